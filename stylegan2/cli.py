"""Command line of stylegan2."""

import click

from facedata import command


@click.group(cls=command.Group)
@click.version_option(package_name="evenface")
def main() -> None:
    """Train StyleGAN2-ADA and draw faces from it."""
