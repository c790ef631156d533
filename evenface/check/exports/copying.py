"""What formats share: names that every system takes, copies, and the label that is a class."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from facekit.errors import DataError
from facekit.storage import archives

if TYPE_CHECKING:
    import pandas as pd

MAX_NAME = 80  # characters of a file's name
OWN = ("file", "file_name", "image", "person", "split")  # columns that formats write themselves


def label_of(table: pd.DataFrame, attributes: list[str]) -> str:
    """Return the first attribute with classes.

    Raises:
        DataError: there is none.
    """
    import pandas as pd

    for name in attributes:
        if isinstance(table[name].dtype, pd.CategoricalDtype):
            return name
    raise DataError("--export: folders and fiftyone need a label with classes, found none")


def names(paths: pd.Series) -> list[str]:
    """Return a name for each photograph, unique without its suffix on every system."""
    top = os.path.commonpath([path.rpartition("/")[0] for path in paths])
    found = [PurePosixPath(safe(path[len(top) :].replace("/", "_").lstrip("_"))) for path in paths]
    stems = distinct(one.stem for one in found)
    return [stem + one.suffix for stem, one in zip(stems, found, strict=True)]


def safe(name: str) -> str:
    """Return a name that every file system and tool takes; a long one loses its middle."""
    kept = "".join(one if one.isalnum() or one in "._- " else "_" for one in name)
    kept = kept.strip(". ") or "_"
    if len(kept) > MAX_NAME:
        kept = f"{kept[: MAX_NAME // 2]}_{kept[-MAX_NAME // 2 :]}"
    return kept


def distinct(names: Iterable[str]) -> list[str]:
    """Return names that differ without regard to case; later ones get a number."""
    taken: set[str] = set()
    found = []
    for name in names:
        one, number = name, 2
        while one.casefold() in taken:
            one, number = f"{name}-{number}", number + 1
        taken.add(one.casefold())
        found.append(one)
    return found


def free(attributes: Sequence[str]) -> dict[str, str]:
    """Return what attributes are called in an export: those called as its own columns get a number.

    So a column `file_name` of labels hides no file.
    """
    names = distinct([*OWN, *attributes])[len(OWN) :]
    return dict(zip(attributes, names, strict=True))


def copy(table: pd.DataFrame, root: Path, folder: Path) -> None:
    """Copy photographs, byte for byte, to the names in the column `file`."""
    for path, file in zip(table["path"], table["file"], strict=True):
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(archives.read_bytes(f"{root}/{path}"))
