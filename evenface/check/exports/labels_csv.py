"""Format `csv`: pictures beside one table, which `evenface init` and most programs read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evenface.check.exports import FORMATS
from evenface.check.exports.copying import copy

if TYPE_CHECKING:
    import pandas as pd


@FORMATS.register("csv")
def write_csv(table: pd.DataFrame, attributes: list[str], root: Path, folder: Path) -> None:
    """Write images/ and labels.csv: file, person, split, then a column a label."""
    import pandas as pd

    from facekit.storage import tables

    table = table.assign(file="images/" + table["file"])
    copy(table, root, folder)
    columns = {"file": table["file"], "person": table["group"], "split": table["official_split"]}
    given = {name: values for name, values in columns.items() if values.notna().any()}
    tables.write(pd.DataFrame({**given, **table[attributes]}), folder / "labels.csv")
