"""The photographs of a folder, and what tells their labels.

Every picture below the folder is looked at, whatever its layout; layouts are recognised as
`evenface init` does. What is understood is said in words; nothing is guessed in silence.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from classifiers.columns import RESERVED
from facedata.columns import attributes_of
from facedata.ingest import adapters
from facedata.ingest.adapters.imagefolder import SPLITS
from facedata.ingest.adapters.reading import make_index
from facedata.recognition import layouts
from facedata.recognition.folder import Folder
from facekit.errors import DataError
from facekit.storage.walking import Files, also, join, told

MAX_FOLDERS = 100  # that are taken for classes; more are persons, or days
FEW = 3  # photographs of a folder, in the median, below which they are taken for neither
NUM_NAMED = 12
NAMED = re.compile(rf"(?:^|[ _.-])({'|'.join(SPLITS)})$")  # a table of one split: `labels_train`
LEFT_OUT = ("file_without_row", "repeated_row", "no_class")  # photographs that are looked at, too


@dataclass(frozen=True)
class Photographs:
    """What lies in a folder.

    Attributes:
        root: that paths are relative to.
        index: one row a photograph, sorted by path: image_id (the path), table_row, path, group,
            official_split, attributes.
        missing: rows of tables that name no photograph here: image_id, detail.
        said: what was understood and what is odd, in sentences.
    """

    root: Path
    index: pd.DataFrame
    missing: pd.DataFrame
    said: list[str] = field(default_factory=list)

    @property
    def attributes(self) -> list[str]:
        """Names of the attributes."""
        return attributes_of(self.index)


def read(photos: Path, tables: Sequence[Path], found_labels: bool) -> Photographs:
    """Return the photographs below a folder with the labels that there are.

    Args:
        photos: the folder, or a ZIP archive.
        tables: that tell labels, a row a photograph; later ones fill what earlier ones lack.
        found_labels: where no table is given, labels are taken from the layout, if it has some.

    Raises:
        DataError: there are no photographs, or a table does not speak of them.
    """
    if photos.is_file():
        root = photos.resolve().parent
        files = Files(root)
        paths = files.images(photos.name)
        if not paths:
            raise DataError(f"{photos}: no photographs{also(files.passed_over)}")
    else:
        folder = Folder(photos)
        root, files, paths = folder.root, folder.files, folder.images
    said: list[str] = []
    labelled: list[pd.DataFrame] = []
    missing = [pd.DataFrame({"image_id": [], "detail": []}, dtype="str")]
    for place, layout in enumerate(_layouts(photos, tables, found_labels, said)):
        index, lost = _read(layout, root)
        said += [f"Labels: {layout.how}.", *(f"{line}." for line in layout.odd)]
        of_name = NAMED.search(tables[place].stem.lower()) if tables else None
        if of_name and index["official_split"].isna().all():
            index["official_split"] = SPLITS[of_name[1]]
            said.append(f"{tables[place].name}: all of it is {SPLITS[of_name[1]]}, by its name.")
        if layout.adapter == "imagefolder" and _are_no_classes(index, said):
            index = index.drop(columns=attributes_of(index))
        labelled.append(index)
        missing.append(lost)
    if not labelled:
        labelled += _splits(paths, said)
    if files.passed_over:
        said.append(f"Not looked at: {told(files.passed_over)}.")
    joined = _joined(paths, labelled)
    _say_labels(joined, said)
    return Photographs(root, joined, pd.concat(missing, ignore_index=True), said)


def _layouts(
    photos: Path, tables: Sequence[Path], found_labels: bool, said: list[str]
) -> list[layouts.Layout]:
    """Return where labels are read from: the tables given, else what the folder is."""
    if tables:
        return [
            layouts.recognise(photos, layouts.Given(labels=path, reserved=RESERVED))
            for path in tables
        ]
    if not found_labels:
        return []
    try:
        return [layouts.recognise(photos, layouts.Given(reserved=RESERVED))]
    except DataError as error:
        said.append(f"No labels were found: {str(error).removeprefix(f'{photos}: ')}.")
        return []


def _read(layout: layouts.Layout, root: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what a layout tells of photographs, by path below the root, and rows without one."""
    reader = adapters.read(layout.adapter, {**layout.settings, "max_left_out": 1.0})
    found = reader.ingest(layout.root, 0)
    below = layout.root.relative_to(root).as_posix() if layout.root != root else ""
    index = found.index.assign(path=[join(below, path) for path in found.index["path"]])
    lost = found.rejected[~found.rejected["reason"].isin(LEFT_OUT)]
    lost = lost[lost["table_row"].notna()]
    detail = [
        f"row {row}: {more if isinstance(more, str) and more else reason}"
        for row, reason, more in zip(lost["table_row"], lost["reason"], lost["detail"], strict=True)
    ]
    gone = {"image_id": lost["image_id"].to_numpy(dtype=object), "detail": detail}
    return index, pd.DataFrame(gone, dtype="str")


def _are_no_classes(index: pd.DataFrame, said: list[str]) -> bool:
    """Return whether folders are too many, or hold too little, to be classes; say so."""
    (name,) = attributes_of(index)
    counts = index[name].value_counts()
    if len(counts) <= MAX_FOLDERS and counts.median() >= FEW:
        return False
    said.append(f"{len(counts)} folders are too many, or hold too little, to be classes.")
    return True


def _splits(paths: Sequence[str], said: list[str]) -> list[pd.DataFrame]:
    """Return the splits that folders of unlabelled photographs tell, if they do."""
    tops = [path.partition("/")[0].lower() if "/" in path else "" for path in paths]
    names = {SPLITS.get(top) for top in tops}
    if len(names) < 2 or None in names:
        return []
    said.append(f"Folders are splits: {', '.join(sorted(set(tops)))}.")
    split = [SPLITS[top] for top in tops]
    return [make_index(paths, range(1, len(paths) + 1), paths, None, split, {})]


def _joined(paths: Sequence[str], labelled: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return all photographs, each with what is said of it; the first that says anything wins."""
    index = make_index(paths, np.full(len(paths), np.nan), paths, None, None, {})
    for table in labelled:
        rows = table.drop_duplicates("path").set_index("path").reindex(paths)
        rows.index = index.index
        for name in rows.columns.difference(["image_id"], sort=False):
            index[name] = _filled(index.get(name), rows[name])
    return index


def _filled(before: pd.Series | None, more: pd.Series) -> pd.Series:
    """Return values with those of another column where they are missing."""
    if before is None:
        return more
    if not isinstance(more.dtype, pd.CategoricalDtype):
        return before.where(before.notna(), more)
    classes = more.cat.categories
    if isinstance(before.dtype, pd.CategoricalDtype):
        classes = before.cat.categories.union(classes, sort=False)
    values = before.astype(object).where(before.notna(), more.astype(object))
    return pd.Series(pd.Categorical(values, classes), index=more.index)


def _say_labels(index: pd.DataFrame, said: list[str]) -> None:
    """Say how many photographs have which label."""
    splits = index["official_split"].value_counts()
    if len(splits):
        said.append(f"Splits: {', '.join(f'{name} {n}' for name, n in splits.items())}.")
    if index["group"].notna().any():
        said.append(f"Persons: {index['group'].nunique()}.")
    for name in attributes_of(index):
        values = index[name]
        lacking = f"; {values.isna().sum()} without" if values.hasnans else ""
        if isinstance(values.dtype, pd.CategoricalDtype):
            counts = values.value_counts().head(NUM_NAMED).items()
            shown = ", ".join(f"{label} {count}" for label, count in counts)
            more = ", ..." if len(values.cat.categories) > NUM_NAMED else ""
            said.append(f"{name}: {shown}{more}{lacking}.")
        elif values.notna().any():
            said.append(f"{name}: {values.min():g} to {values.max():g}{lacking}.")
