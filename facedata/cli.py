"""Command line of facedata."""

from pathlib import Path
from typing import Any

import click

from facedata import command


@click.group(cls=command.Group)
@click.version_option(package_name="evenface")
def main() -> None:
    """Explore, clean, split and pack face thumbnails."""


@main.command()
@click.option("--results", type=command.IN_DIR, required=True, help="Folder of the run.")
@click.option("--dataset", required=True, help="Name of the data set, for the title.")
@click.option("--tasks", type=command.JSON, required=True, help="Tasks: a list of {name, heads}.")
@click.option("--page", type=command.OUT_FILE, required=True, help="Output: the page (HTML).")
@command.recorded("page")
def report(results: Path, dataset: str, tasks: list[dict[str, Any]], page: Path) -> None:
    """Write one self-contained page: verdict, data, generator, classifiers, provenance."""
    from facedata import files, report

    files.write_text(report.make_page(results, dataset, tasks), page)
