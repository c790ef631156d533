"""Format `folders`: the class is the folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evenface.check.exports import FORMATS, UNKNOWN_SPLIT
from evenface.check.exports.copying import copy, distinct, label_of, safe

if TYPE_CHECKING:
    import pandas as pd


@FORMATS.register("folders")
def write_folders(table: pd.DataFrame, attributes: list[str], root: Path, folder: Path) -> None:
    """Write a folder a class of the first label, within one a split where there are splits."""
    label = label_of(table, attributes)
    classes = {value: safe(str(value)) for value in table[label].cat.categories}
    names = distinct(list(classes.values()))
    classes = dict(zip(classes, names, strict=True))
    places = table[label].map(classes).astype(str)
    if table["official_split"].notna().any():
        places = table["official_split"].fillna(UNKNOWN_SPLIT) + "/" + places
    copy(table.assign(file=places + "/" + table["file"]), root, folder)
