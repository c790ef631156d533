"""Command line of facedata."""

from pathlib import Path
from typing import Any

import click

from facedata import adapters, command


@click.group(cls=command.Group)
@click.version_option(package_name="evenface")
def main() -> None:
    """Explore, clean, split and pack face thumbnails."""


@main.command()
@click.option("--adapter", type=click.Choice(adapters.ADAPTERS), required=True, help="Layout.")
@click.option("--root", type=command.OUT_DIR, required=True, help="Folder of the data set.")
@click.option("--settings", type=command.JSON, required=True, help="Settings of the adapter.")
@click.option("--seed", type=command.SEED, required=True, help="Seed of what an adapter draws.")
@click.option("--index", type=command.OUT_FILE, required=True, help="Output: one row an image.")
@click.option("--rejected", type=command.OUT_FILE, required=True, help="Output: what is not in it.")
@click.option("--notes", type=command.OUT_FILE, required=True, help="Output: values repaired.")
@command.recorded("index")
def ingest(
    adapter: str,
    root: Path,
    settings: dict[str, Any],
    seed: int,
    index: Path,
    rejected: Path,
    notes: Path,
) -> None:
    """Read a data set, or draw one, into a table with one row an image."""
    from facedata import ingest, tables

    found = ingest.ingest(adapter, root, settings, seed)
    tables.write(found.rejected, rejected)
    tables.write(found.notes, notes)
    tables.write(found.index, index)


@main.command()
@click.option("--index", type=command.IN_FILE, required=True, help="One row an image.")
@click.option("--root", type=command.IN_DIR, required=True, help="Folder of the data set.")
@click.option("--geometries", type=command.JSON, required=True, help="Sizes to pack, by name.")
@click.option("--workers", type=command.NUM_WORKERS, required=True, help="Processes.")
@click.option("--inspection", type=command.OUT_FILE, required=True, help="Output: facts of each.")
@click.option("--images", type=command.OUT_DIR, required=True, help="Output: packed thumbnails.")
@command.recorded("inspection")
def inspect(
    index: Path,
    root: Path,
    geometries: dict[str, Any],
    workers: int,
    inspection: Path,
    images: Path,
) -> None:
    """Decode every image once: facts, hashes, quality and packed thumbnails."""
    from facedata import geometry, inspect, tables

    table = tables.read(index, ["image_id", "path"])
    sizes = geometry.read_geometries(geometries)
    tables.write(inspect.inspect(table, root, sizes, workers, images), inspection)


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
