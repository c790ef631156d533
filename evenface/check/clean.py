"""The photographs that are worth keeping, copied with their labels to where other tools read them.

Broken files and exact copies stay out. Sources are read alone.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from evenface.check.exports import FORMATS
from evenface.check.exports.copying import free, label_of, names
from evenface.check.findings import Found
from evenface.check.sources import Photographs
from facekit.errors import DataError
from facekit.storage import files


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        folder: where.
        num_photographs: that were copied.
        left_out: how many were not, by why.
    """

    folder: Path
    num_photographs: int
    left_out: dict[str, int]


def clean(photographs: Photographs, facts: pd.DataFrame, found: Found) -> pd.DataFrame:
    """Return the rows of photographs that are read and no exact copy of another one.

    Of equal pictures the one that is kept in its cluster stays, else the first. A label on which
    they disagree is missing: which is right is not known.

    Args:
        photographs: and their labels.
        facts: as `inspection.parquet` has them, in the order of the index.
        found: which of copies is kept.
    """
    decoded = facts["row"].notna().to_numpy()
    table = photographs.index.assign(pixels=facts["pixel_hash"].to_numpy(), kept=found.best)
    table = table[decoded].sort_values("kept", ascending=False, kind="stable")
    for name in photographs.attributes:
        is_one = table.groupby("pixels")[name].transform("nunique") <= 1
        table[name] = table[name].where(is_one)
        known = table.dropna(subset=[name]).drop_duplicates("pixels").set_index("pixels")[name]
        filled = table[name].astype(object).fillna(table["pixels"].map(known).astype(object))
        table[name] = filled.astype(table[name].dtype)
    return table.drop_duplicates("pixels").drop(columns=["pixels", "kept"]).sort_index()


def write(
    name: str, folder: Path, photographs: Photographs, facts: pd.DataFrame, found: Found
) -> Export:
    """Write the clean set in a format, whole or not at all.

    Args:
        name: of FORMATS.
        folder: that is made; it may be there, but empty.
        photographs: and their labels.
        facts: as in `clean`.
        found: which of copies is kept.

    Raises:
        DataError: no such format, something lies in the folder, or the format needs labels that
            there are not.
    """
    writer = FORMATS[name]
    called = free(photographs.attributes)
    table = clean(photographs, facts, found).rename(columns=called)
    attributes = list(called.values())
    num_broken = int(facts["row"].isna().sum())
    left_out = {
        "broken": num_broken,
        "exact copies": len(photographs.index) - num_broken - len(table),
    }
    if name == "folders":
        label = label_of(table, attributes)
        unlabelled = int(table[label].isna().sum())
        left_out["without a label"] = unlabelled
        table = table.dropna(subset=[label])
    if table.empty:
        why = ", ".join(f"{count} {why}" for why, count in left_out.items() if count)
        raise DataError(f"--export {name}:{folder}: no photograph is left to copy ({why})")
    folder = Path(os.path.realpath(folder))  # also of `.`
    part = folder.with_name(f"{folder.name}.{files.HOST}-{os.getpid()}.part")  # nobody else's
    with files.writing(folder, part):
        part.mkdir(parents=True)
        try:
            table = table.assign(file=names(table["path"]))
            writer(table, attributes, photographs.root, part)
            if folder.is_dir():
                folder.rmdir()
            part.replace(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return Export(folder, len(table), {why: count for why, count in left_out.items() if count})


def check_folder(name: str, folder: Path) -> None:
    """Check that a format is known and that its folder can be written without harm.

    Raises:
        DataError: it cannot.
    """
    FORMATS[name]  # an unknown one is an error
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"--export {name}:{folder}: is there and not empty; name a new folder")
