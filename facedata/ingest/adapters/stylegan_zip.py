"""Adapter `stylegan_zip`: what StyleGAN tools train on, a ZIP archive or folder of images.

Its `dataset.json` has `labels`: a list of [file, class number], of [file, one-hot list], or null.
`facedata export-zip` writes such archives.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facedata.ingest.adapters import ADAPTERS, Adapter, Ingested, present
from facedata.ingest.adapters.declared import Labels, NewAttribute
from facedata.ingest.adapters.reading import Log, make_index
from facekit.errors import DataError
from facekit.options import Text, option
from facekit.storage import archives
from facekit.storage.walking import Files, also, respelled

log = logging.getLogger(__name__)

LABELS = "dataset.json"
MAX_CLASSES = 100_000  # a larger number is no class


@ADAPTERS.register("stylegan_zip")
class StyleganZip(Adapter):
    """What StyleGAN tools train on: a ZIP archive or folder of images with dataset.json."""

    file: Text = option(
        "dataset.zip",
        "The archive, or a folder with dataset.json, relative to dataset_root (.: dataset_root"
        " itself).",
    )
    attribute: NewAttribute = option("label", "Name of what the classes tell.")
    classes: Labels | None = option(
        None,
        "Their names by number; null for those in dataset.json, or class0, class1 ...",
    )

    def class_lists(self) -> dict[str, list[str] | None]:
        """Return the attribute; its classes are empty where the archive tells them."""
        return {self.attribute: list(self.classes or ())}

    def tables(self, root: Path) -> list[Path]:
        """Return the archive, or the folder's dataset.json where it has one."""
        path = root / self.file
        if not path.is_dir():
            return [present(path)]
        return [path / LABELS] if (path / LABELS).is_file() else []

    def ingest(self, root: Path, seed: int) -> Ingested:
        """Read labels and check them against the images.

        An image without a label and a label without its image are rejected. Without any labels all
        images are taken, and there is no attribute.

        Raises:
            DataError: no such archive, no images, or labels that are not of this format.
        """
        import pandas as pd

        top = Path(self.file).as_posix()
        top = "" if top == "." else top
        files, found = Files(root), Log()
        prefix = f"{top}/" if top else ""
        images = [path.removeprefix(prefix) for path in files.images(top)]
        if not images:
            if not files.is_folder(top):
                archives.names(files.path(top))  # tells what is wrong with it
            raise DataError(
                f"{files.path(top)}: no images, expected a folder or a .zip archive of them"
                f"{also(files.passed_over)}"
            )
        path = files.path(f"{prefix}{LABELS}")
        labels, names = _read_labels(path) if files.is_file(f"{prefix}{LABELS}") else (None, None)
        if labels is None:
            log.warning("%s: no labels", path)
            rows = {name: (row, name) for row, name in enumerate(images, start=1)}
            attributes = {}
        else:
            rows = _match(labels, images, found)
            if not rows:
                raise DataError(
                    f"{path}: none of {len(labels)} labels is of an image that is there"
                )
            numbers = [labels[name] for _, name in rows.values()]
            names = list(self.classes or names or ()) or [
                f"class{i}" for i in range(max(numbers) + 1)
            ]
            if max(numbers) >= len(names):
                raise DataError(f"{path}: class {max(numbers)}, but names of {len(names)}: {names}")
            attributes = {self.attribute: pd.Categorical.from_codes(numbers, names)}
        index = make_index(
            list(rows),
            [row for row, _ in rows.values()],
            [f"{prefix}{name}" for name in rows],
            None,
            None,
            attributes,
        )
        return Ingested(index, found.rejected_table(), found.notes_table(), files.passed_over)


def _match(labels: Mapping[str, int], images: list[str], found: Log) -> dict[str, tuple[int, str]]:
    """Return the row, from 1, of each image that is there and has a label, and its name there."""
    there = {respelled(name): name for name in images} | {name: name for name in images}
    rows: dict[str, tuple[int, str]] = {}
    for row, label in enumerate(labels, start=1):
        name = there.get(label) or there.get(respelled(label))
        if name is None:
            found.reject(label, row, "missing_file", "no such image in the archive")
        elif name in rows:
            found.reject(label, row, "repeated_row", f"the file of row {rows[name][0]}")
        else:
            rows[name] = row, label
    for name in images:
        if name not in rows:
            found.reject(name, None, "file_without_row", f"{LABELS} has no label of it")
    return rows


def _read_labels(path: str) -> tuple[dict[str, int] | None, list[str] | None]:
    """Return the class number of each file (None: no labels), and names of the classes if any."""
    try:
        content = json.loads(archives.read_bytes(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error})") from None
    if not isinstance(content, dict) or "labels" not in content:
        raise DataError(f'{path}: expected {{"labels": [[file, class], ...]}}')
    names = content.get("classes")
    if names is not None and not (
        isinstance(names, list)
        and all(isinstance(name, str) for name in names)
        and len(set(names)) == len(names)
    ):
        raise DataError(f"{path}: classes: found {names!r:.80}, expected different names")
    if content["labels"] is None:
        return None, names
    if not isinstance(content["labels"], list):
        raise DataError(f"{path}: labels: found {content['labels']!r:.80}, expected a list or null")
    labels: dict[str, int] = {}
    widths = set()
    for place, item in enumerate(content["labels"]):
        where = f"{path}: labels[{place}]: found {item!r:.80}"
        if not (isinstance(item, list) and len(item) == 2 and isinstance(item[0], str)):
            raise DataError(f"{where}, expected [file, class]")
        name, label = item
        if name in labels:
            raise DataError(f"{where}, expected another file, it is there above")
        labels[name] = _number(label, where)
        widths.add(len(label) if isinstance(label, list) else 0)
        if len(widths) > 1:
            raise DataError(f"{where}, expected a label of the same kind as those above")
    return labels, names


def _number(label: Any, where: str) -> int:
    """Return the class number of a label: a number, or a list that is 1 there and 0 elsewhere."""
    if type(label) is int and 0 <= label < MAX_CLASSES:
        return label
    if isinstance(label, list) and label.count(1) == 1 and label.count(0) == len(label) - 1:
        return label.index(1)
    raise DataError(f"{where}, expected a class number or a one-hot list")
