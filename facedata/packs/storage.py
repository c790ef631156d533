"""Packed images: uint8 arrays on disk, and the pack of a split that a GAN is trained on.

A pack is three files of one stem: `train.npy` (images), `train.parquet` (one row an image) and
`train.json` (what its classes mean and which part of a picture holds content).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import BaseModel, ValidationError

from facedata.columns import PACK
from facekit.errors import DataError, place_of
from facekit.storage import files, tables
from facekit.storage.arrays import appending, read_images, read_thumbs

__all__ = [
    "Pack",
    "appending",
    "class_name",
    "read_images",
    "read_pack",
    "read_thumbs",
    "write_description",
    "write_pack",
]
CHUNK = 256  # images copied at a time: memory stays flat


class Description(BaseModel):
    """What lies beside a pack's images as JSON; see `Pack`."""

    attributes: list[str]
    classes: list[list[str]]
    content_box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Pack:
    """The images of one split with their classes.

    Attributes:
        images: uint8 [N, H, W, 3], a read-only memory map when read from disk.
        table: N rows in the order of `images`: row (0..N-1), image_id, class (Int64), and the
            attributes of the condition (category columns).
        attributes: names of the attributes that the classes are made of; empty = unconditional.
        classes: attribute values of each class id, one list a class in the order of `attributes`;
            empty when unconditional (every row is then of class 0).
        content_box: (left, top, right, bottom) in pixels of the part that holds no padding.
    """

    images: np.ndarray
    table: pd.DataFrame
    attributes: list[str]
    classes: list[list[str]]
    content_box: tuple[int, int, int, int]

    @property
    def class_names(self) -> list[str]:
        """Names of the classes for people, in the order of their ids."""
        return [class_name(values) for values in self.classes]

    @property
    def labels(self) -> np.ndarray:
        """Class id of each image, int64 [N]."""
        return self.table["class"].to_numpy(dtype=np.int64)

    def without_classes(self) -> "Pack":
        """Return the same images for a network that is told no class."""
        table = self.table.assign(**{"class": 0}).astype({"class": "Int64"})
        return replace(self, table=table, attributes=[], classes=[])


def class_name(values: Sequence[str]) -> str:
    """Return the name of a class for people: `red`, or `red/glasses` for several attributes."""
    return "/".join(values)


def check_names(names: Sequence[str], what: str) -> None:
    """Check that names of joint classes differ.

    Args:
        names: of `class_name`.
        what: has these classes, for the message.

    Raises:
        DataError: two are the same, as of `a/b` and `c`, and of `a` and `b/c`.
    """
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise DataError(f"{what}: two classes are called {twice!r}; call them without a slash")


def write_pack(
    path: Path,
    images: np.ndarray,
    table: pd.DataFrame,
    attributes: Sequence[str],
    classes: Sequence[Sequence[str]],
    content_box: Sequence[int],
    rows: np.ndarray | None = None,
) -> None:
    """Write a pack: `path` (.npy) last, so that the others are there when it is.

    Args:
        path: the images' file; `.parquet` and `.json` of the same stem lie beside it.
        images: uint8 [M, H, W, 3], may be a memory map.
        table: image_id, class and the attributes of the condition, one row an image written;
            its column row is made here.
        attributes: as in `Pack`.
        classes: as in `Pack`.
        content_box: as in `Pack`.
        rows: int [N], the rows of `images` to write, in order; all of them when None.

    Raises:
        ValueError: table, rows and classes do not fit together.
    """
    path = Path(path)
    rows = np.arange(len(images)) if rows is None else np.asarray(rows)
    if len(rows) != len(table):
        raise ValueError(f"{len(rows)} images, but {len(table)} rows of the table")
    write_description(path, table, attributes, classes, content_box, images.shape[1:3])
    with appending(path, images.shape[1:]) as append:
        for start in range(0, len(rows), CHUNK):
            append(images[rows[start : start + CHUNK]])


def write_description(
    path: Path,
    table: pd.DataFrame,
    attributes: Sequence[str],
    classes: Sequence[Sequence[str]],
    content_box: Sequence[int],
    size: Sequence[int],
) -> None:
    """Write what lies beside a pack's images: its table and what its classes mean.

    Args:
        path, table, attributes, classes, content_box: as in `write_pack`.
        size: height and width of the images.

    Raises:
        ValueError: table and classes do not fit together.
    """
    table = table[["image_id", "class", *attributes]].reset_index(drop=True)
    table["class"] = table["class"].astype("Int64")
    table.insert(0, "row", np.arange(len(table)))
    meta = {
        "attributes": list(attributes),
        "classes": [list(values) for values in classes],
        "content_box": [int(side) for side in content_box],
    }
    wrong = _inconsistency(Description.model_validate(meta), table, size)
    if wrong:
        raise ValueError(wrong)
    tables.write(table, path.with_suffix(".parquet"))
    files.write_json(meta, path.with_suffix(".json"))


def read_pack(path: Path) -> Pack:
    """Read the pack whose images are `path` (.npy).

    Raises:
        DataError: one of the three files is missing or broken, or they do not fit together.
    """
    path = Path(path)
    images = read_images(path)
    table = tables.read(path.with_suffix(".parquet"), PACK)
    told = _read_description(path.with_suffix(".json"))
    wrong = _inconsistency(told, table, images.shape[1:3])
    if len(table) != len(images):
        wrong = f"{len(images)} images, but {len(table)} rows of the table"
    if wrong:
        raise DataError(f"{path}: {wrong}; make the pack again with `facedata pack`")
    return Pack(
        images=images,
        table=table,
        attributes=told.attributes,
        classes=told.classes,
        content_box=told.content_box,
    )


def _read_description(path: Path) -> Description:
    """Return what the classes of a pack mean, and its content box.

    Raises:
        DataError: not the description of a pack.
    """
    try:
        return Description.model_validate(files.read_json(path))
    except ValidationError as error:
        raise DataError(
            f"{path}: not the description of a pack ({place_of(error)}); make the pack again with"
            " `facedata pack`"
        ) from None


def _inconsistency(told: Description, table: pd.DataFrame, size: Sequence[int]) -> str | None:
    """Return what does not fit between a pack's description, its table and its images' size."""
    missing = [name for name in told.attributes if name not in table.columns]
    if missing:
        return f"no column {missing} in the table, found {list(table.columns)}"
    if any(len(values) != len(told.attributes) for values in told.classes):
        return f"classes {told.classes} do not fit the attributes {told.attributes}"
    if table["class"].isna().any():
        return "a row without a class"
    num_classes = max(len(told.classes), 1)
    if not table["class"].between(0, num_classes - 1).all():
        return f"class ids outside 0..{num_classes - 1}"
    left, top, right, bottom = told.content_box
    if not (0 <= left < right <= size[1] and 0 <= top < bottom <= size[0]):
        return f"content box {told.content_box} outside {size[1]}x{size[0]} px"
    return None
