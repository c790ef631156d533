"""Synthetic images: which of them an arm takes, refitted to the classifier's geometry."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from facedata.columns import DEFICITS
from facedata.packs.storage import read_images
from facekit.errors import DataError
from facekit.pictures.canvas import Geometry
from facekit.pictures.geometry import Box, refit
from facekit.storage import files, tables

log = logging.getLogger(__name__)


class SyntheticImages:
    """Generated images cut to their content box and fitted into a classifier's geometry."""

    def __init__(
        self, images: np.ndarray, rows: Sequence[int], box: Box, geometry: Geometry
    ) -> None:
        self.images, self.rows = images, np.asarray(rows, dtype=np.int64)
        self.box, self.geometry = box, geometry

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, numbers: np.ndarray) -> np.ndarray:
        """Return the images of these numbers, uint8 [n, height, width, 3]."""
        return refit(self.images[self.rows[numbers]], self.box, self.geometry)


def open_synthetic(path: Path, table: pd.DataFrame, geometry: Geometry) -> SyntheticImages:
    """Open the generated images that a table's `row` names; their box lies in `images.json`.

    Raises:
        DataError: not packed images, no content box, or fewer images than the table names.
    """
    images = read_images(path)
    meta_path = path.with_suffix(".json")
    meta = files.read_json(meta_path)
    rows = table["row"].to_numpy(dtype=np.int64)
    if not isinstance(meta, dict) or "content_box" not in meta:
        raise DataError(f"{meta_path}: found {meta}, expected an object with content_box")
    if len(rows) and not 0 <= rows.min() <= rows.max() < len(images):
        raise DataError(f"{path}: has {len(images)} images, rows up to {rows.max()} are named")
    try:
        refit(images[:0], meta["content_box"], geometry)
    except (TypeError, ValueError) as error:
        raise DataError(f"{meta_path}: {error}") from None
    return SyntheticImages(images, rows, tuple(meta["content_box"]), geometry)


def read_deficits(path: Path) -> pd.Series:
    """Return what each class lacks, int64, by class id; classes that lack nothing left out.

    Raises:
        DataError: a column is missing or holds no whole numbers.
    """
    table = tables.read(path, DEFICITS, ["class", "deficit"])
    deficits = table.set_index("class")["deficit"]
    return deficits[deficits > 0]


def choose_samples(
    samples: pd.DataFrame, deficits: pd.Series, share: float, seed: int
) -> pd.DataFrame:
    """Return accepted samples that fill a share of each class's deficit, drawn by chance.

    With the same seed, those of a share are among those of every larger one.

    Args:
        samples: samples.parquet.
        deficits: of `read_deficits`.
        share: of the deficit to fill, in (0, 1].
        seed: of the draw, that of the training.

    A class with too few accepted samples gives all that it has; the log says how many lack.
    """
    accepted = samples[samples["accepted"]].sort_values(["class", "rank"])
    chosen = []
    for one, deficit in deficits.items():
        wanted = round(share * deficit)
        own = accepted[accepted["class"] == one]
        found = own.iloc[np.random.default_rng([seed, int(one)]).permutation(len(own))[:wanted]]
        if len(found) < wanted:
            log.warning("class %s: %d synthetic images of %d wanted", one, len(found), wanted)
        chosen.append(found)
    return pd.concat(chosen) if chosen else samples.iloc[:0]
