"""Packs from folders and archives of images, and archives from packs: `stylegan2 pack`."""

import logging
import tempfile
from pathlib import Path

from facedata.packs import export_zip, storage
from facekit.errors import DataError
from facekit.pictures.canvas import Canvas
from facekit.storage import tables
from stylegan2.exchange import folders
from stylegan2.options import PackOptions

log = logging.getLogger(__name__)


def convert(source: Path, dest: Path, options: PackOptions, *, dry_run: bool = False) -> None:
    """Tell what a source holds and what will become of it, then pack it.

    Args:
        source: folder or archive (.zip) of images, or a pack (.npy).
        dest: output: a pack (.npy, and beside it .parquet and .json), or an archive (.zip). What is
            left out is listed beside it, in NAME.left_out.csv.
        options: how to pack.
        dry_run: tell only.

    Raises:
        DataError: a source that cannot be packed like this.
    """
    if dest.suffix not in (".npy", ".zip") or source.suffix == dest.suffix == ".npy":
        raise DataError(f"--dest {dest}: expected a pack (.npy), or a .zip of --source {source}")
    if source.suffix == ".npy":
        _archive(source, dest, options, dry_run)
        return
    found = folders.scan(source, options.labels)
    side = folders.choose_resolution(found, options.resolution)
    fit = {name: getattr(options, name) for name in ("fit", "margin", "no_face")}
    geometry = Canvas(height=side, width=side, **fit)
    for line in folders.summary(found, geometry):
        log.info("%s: %s", source, line)
    folders.check_usable(found, options.skip)
    if dry_run:
        return

    attribute, skip = options.attribute, options.skip
    if dest.suffix == ".npy":
        packed = folders.write_pack(found, geometry, attribute, skip, dest)
    else:
        dest.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=dest.parent) as folder:
            path = Path(folder, "pack.npy")
            packed = folders.write_pack(found, geometry, attribute, skip, path)
            export_zip.export_zip(storage.read_pack(path), dest)
    left_out = packed.left_out
    if len(left_out):
        path = dest.with_name(f"{dest.stem}.left_out.csv")
        tables.write(left_out, path)
        log.info("%d left out, listed in %s", len(left_out), path)
    log.info("%s: %s", dest, folders.last_line(found, packed, geometry))


def _archive(source: Path, dest: Path, options: PackOptions, dry_run: bool) -> None:
    """Write a pack as an archive."""
    if options.resolution is not None:
        raise DataError("--resolution: a pack keeps its size; leave it out")
    pack = storage.read_pack(source)
    log.info("%s: %d images, classes %s", source, len(pack.images), pack.class_names)
    if not dry_run:
        export_zip.export_zip(pack, dest)
