"""Images and labels of a classifier: tables joined with splits, packed arrays as batches."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from facedata.columns import CURATED, SPLITS
from facedata.curation.trusted import is_trusted
from facedata.packs.storage import read_images
from facedata.splits.units import units
from facekit.errors import DataError
from facekit.pictures.canvas import Geometry
from facekit.storage import tables


def read_labelled(curated: Path, splits: Path, wanted: Iterable[str]) -> pd.DataFrame:
    """Return the curated images of some splits, with their split and fold.

    Images of train whose labels weigh nothing are left out; those of val and test are all there.

    Args:
        curated: curated.parquet (image_id, row, cluster, unit, weight, attributes).
        splits: splits.parquet (image_id, split, fold).
        wanted: names of splits; no other row is returned.

    Returns:
        The rows in the order of `curated`, numbered from 0.

    Raises:
        DataError: a table lacks columns, names an image twice, or an image has no split; or one of
            the wanted splits is empty.
    """
    table = tables.read(curated, CURATED, ["image_id", "row"])
    split = tables.read(splits, SPLITS)
    for path, one in ((curated, table), (splits, split)):
        if one["image_id"].duplicated().any():
            first = one.loc[one["image_id"].duplicated(), "image_id"].iloc[0]
            raise DataError(f"{path}: image_id {first!r} occurs twice; make the file again")
    table = table.drop(columns=["split", "fold"], errors="ignore")
    table = table.merge(split[["image_id", "split", "fold"]], on="image_id", how="left")
    if table["split"].isna().any():
        first = table.loc[table["split"].isna(), "image_id"].iloc[0]
        raise DataError(f"{splits}: no split for image {first!r}; run `facedata split` again")
    table = table[is_trusted(table, table["split"])]
    wanted = list(wanted)
    for name in wanted:
        if not (table["split"] == name).any():
            raise DataError(f"{splits}: no image in the split {name}")
    return table[table["split"].isin(wanted)].reset_index(drop=True)


def open_images(path: Path, table: pd.DataFrame) -> np.ndarray:
    """Map packed images into memory and check that they hold every row that a table names.

    Raises:
        DataError: not packed images, or fewer than the table names.
    """
    if table["row"].isna().any():
        raise DataError(f"{path}: {table['row'].isna().sum()} images are in no row of it")
    return read_images(path, table["row"].to_numpy(dtype="int64"))


def check_size(path: Path, shape: Sequence[int], size: Geometry) -> None:
    """Check that packed images [N, H, W, 3] have the size that a geometry says.

    Raises:
        DataError: they have another.
    """
    if tuple(shape[1:3]) != (size.height, size.width):
        found = f"{shape[2]}x{shape[1]}"
        raise DataError(f"{path}: {found} px, the geometry says {size.width}x{size.height}")


def check_apart(one: pd.DataFrame, other: pd.DataFrame, source: str) -> None:
    """Check that two tables of images have no image, person or cluster of duplicates in common.

    Raises:
        DataError: they have; one image of each is named.
    """
    unit = units(pd.concat([one, other], ignore_index=True))
    shared = np.intersect1d(unit[: len(one)], unit[len(one) :])
    if len(shared):
        places = [np.flatnonzero(part == shared[0])[0] for part in np.split(unit, [len(one)])]
        names = [table["image_id"].iloc[i] for table, i in zip((one, other), places, strict=True)]
        raise DataError(
            f"{source}: image {names[1]!r} is held out, but its person or duplicate {names[0]!r} is"
            f" not ({len(shared)} such); make the splits again with `facedata split`"
        )


def read_geometry(values: Any) -> Geometry:
    """Return a geometry from plain values, `{height, width, fit}`.

    Raises:
        DataError: a key is missing, unknown or wrong.
    """
    return Geometry.read(values, "geometry")


class ImagePool:
    """Images of several arrays under one numbering, read only where they are asked for."""

    def __init__(self, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        """Args: parts: (images uint8 [n, H, W, 3], rows of them int [m]), one after another."""
        self.parts = [(images, np.asarray(rows, dtype=np.int64)) for images, rows in parts]
        self.starts = np.cumsum([0, *(len(rows) for _, rows in self.parts)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def take(self, numbers: np.ndarray) -> np.ndarray:
        """Return the images of these numbers, uint8 [n, H, W, 3]."""
        taken = np.empty((len(numbers), *self.parts[0][0].shape[1:]), dtype=np.uint8)
        part_of = np.searchsorted(self.starts, numbers, side="right") - 1
        for i in np.unique(part_of):
            images, rows = self.parts[i]
            here = part_of == i
            taken[here] = images[rows[numbers[here] - self.starts[i]]]
        return taken


def to_bytes(images: np.ndarray, device: torch.device) -> Tensor:
    """Return packed images uint8 [N, H, W, 3] as uint8 [N, 3, H, W], channels last."""
    return torch.from_numpy(images).to(device, non_blocking=True).permute(0, 3, 1, 2)


def to_batch(images: np.ndarray, device: torch.device) -> Tensor:
    """Return packed images uint8 [N, H, W, 3] as float32 [N, 3, H, W] in [0, 1], channels last."""
    return to_bytes(images, device).float() / 255
