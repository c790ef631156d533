"""Command line of classifiers."""

import click

from facedata import command


@click.group(cls=command.Group)
@click.version_option(package_name="evenface")
def main() -> None:
    """Train, evaluate and compare attribute classifiers."""
