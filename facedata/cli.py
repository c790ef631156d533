"""Command line of facedata."""

import click

from facedata import command


@click.group(cls=command.Group)
@click.version_option(package_name="evenface")
def main() -> None:
    """Explore, clean, split and pack face thumbnails."""
