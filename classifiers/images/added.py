"""Images that an arm adds to those of train, and the part of train that it learns from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from classifiers.images import synthetic
from classifiers.images.data import read_labelled
from classifiers.images.examples import Examples
from classifiers.images.order import passes
from classifiers.models.heads import Head
from facedata.columns import DEFICITS, SAMPLES
from facedata.splits.units import units
from facekit.errors import DataError
from facekit.pictures.canvas import Geometry
from facekit.splits import RESERVE
from facekit.storage import tables

if TYPE_CHECKING:
    from classifiers.images.sets import Paths

log = logging.getLogger(__name__)

# Parts of a seed.
COPIES, SHUFFLE, HELD_BACK, UNITS = 1, 2, 3, 4


@dataclass(frozen=True)
class Stock:
    """What an arm's images are taken from.

    Attributes:
        paths: the files.
        array: packed images, uint8 [N, H, W, 3].
        table: rows of train.
        heads: of the task.
        size: of the images.
        seed: of what is chosen by chance.
    """

    paths: Paths
    array: np.ndarray
    table: pd.DataFrame
    heads: Sequence[Head]
    size: Geometry
    seed: int

    def draws(self, *part: int) -> np.random.Generator:
        """Return the random numbers of a part of the seed."""
        return np.random.default_rng([self.seed, *part])


@dataclass(frozen=True)
class Added:
    """Images that join those of train.

    Attributes:
        examples: the images with their labels.
        table: rows of real images that are none of train; None where there are none.
    """

    examples: Examples
    table: pd.DataFrame | None = None


# --- Minority classes


def read_minorities(stock: Stock) -> pd.DataFrame:
    """Return the rows of deficits.csv whose class lacks images."""
    assert stock.paths.deficits is not None, "read_sets checks it"
    table = tables.read(stock.paths.deficits, DEFICITS)
    return table[table["deficit"] > 0]


def classes_of(table: pd.DataFrame, minorities: pd.DataFrame, stock: Stock) -> np.ndarray:
    """Return the class id of each image's minority class, int64 [N]; -1 where it is of none.

    Args:
        table: with the attributes of the classes.
        minorities: of `read_minorities`.
        stock: for the message.

    Raises:
        DataError: the table lacks an attribute.
    """
    attributes = [name for name in minorities.columns if name not in DEFICITS.names]
    missing = [name for name in attributes if name not in table.columns]
    if missing:
        raise DataError(
            f"{stock.paths.deficits}: classes of {', '.join(attributes)}, but"
            f" {stock.paths.curated} has no {', '.join(missing)}; make the deficits again"
        )
    if not len(table) or not len(minorities):
        return np.full(len(table), -1, dtype=np.int64)
    names = [
        pd.MultiIndex.from_frame(
            one[attributes].astype(object).astype("str").reset_index(drop=True)
        )
        for one in (minorities, table)
    ]
    place = names[0].get_indexer(names[1])
    known = table[attributes].notna().all(axis=1).to_numpy()
    ids = np.append(minorities["class"].to_numpy(dtype=np.int64), -1)
    return np.where(known, ids[place], -1)


def part_of_minorities(stock: Stock, share: float) -> np.ndarray:
    """Return which images of train stay: a share of each minority class's, bool [N].

    The images of a class that are of one person, or duplicates, go together, so some more may stay
    than the share. Units go in an order that follows from the seed, the same for every share.

    Raises:
        DataError: no class lacks images.
    """
    minorities = read_minorities(stock)
    if not len(minorities):
        raise DataError(f"{stock.paths.deficits}: no minority class, of which a part could be left")
    of_class, unit = classes_of(stock.table, minorities, stock), units(stock.table)
    places = stock.draws(UNITS).permutation(unit.max() + 1)[unit]  # of the images' units
    kept = np.ones(len(stock.table), dtype=bool)
    for one in minorities["class"]:
        members = np.flatnonzero(of_class == one)
        members = members[np.argsort(places[members], kind="stable")]
        is_first = np.diff(places[members], prepend=-1) != 0
        starts = np.flatnonzero(is_first)[np.cumsum(is_first) - 1]  # images before its unit
        kept[members[starts >= max(round(share * len(members)), 1)]] = False
    return kept


# --- Images to add


def synthetic_images(stock: Stock, share: float) -> Added:
    """Return the accepted synthetic images that fill a share of each class's deficit."""
    return Added(_refitted(stock, _chosen(stock, share)))


def shuffled_images(stock: Stock, share: float) -> Added:
    """Return the images of `synthetic_images` with their classes shuffled among them.

    Raises:
        DataError: they are all of one class, so that there is nothing to shuffle.
    """
    chosen = _chosen(stock, share)
    if (chosen["class"] == chosen["class"].iloc[0]).all():
        raise DataError(
            f"{stock.paths.synth_samples}: all images of the arm are of class"
            f" {chosen['class'].iloc[0]}, expected two or more classes to shuffle"
        )
    labels = [name for name in chosen.columns if name not in SAMPLES.names or name == "class"]
    order = stock.draws(SHUFFLE).permutation(len(chosen))
    shuffled = chosen[labels].iloc[order].set_axis(chosen.index)
    return Added(_refitted(stock, chosen.assign(**shuffled)))


def copied_images(stock: Stock, share: float) -> Added:
    """Return images of train again, so many that a share of each class's deficit is filled.

    Of a class each image is repeated as often as any other, give or take one.
    """
    minorities = read_minorities(stock)
    of_class = classes_of(stock.table, minorities, stock)
    found = []
    for row in minorities.itertuples():
        members = np.flatnonzero(of_class == row[1])
        wanted = round(share * row.deficit)
        if len(members) and wanted:
            found.append(members[passes(len(members), wanted, stock.draws(COPIES, row[1]))])
        elif wanted:
            log.warning("%s: no image in train to repeat", row.name)
    numbers = np.concatenate([np.zeros(0, dtype=np.int64), *found])
    return Added(Examples.of(stock.array, stock.table.iloc[numbers], stock.heads))


def withheld_images(stock: Stock, share: float) -> Added:
    """Return real images of the reserve that fill a share of each class's deficit.

    A class of which the reserve has too few gives all that it has; the log says how many lack.

    Raises:
        DataError: the reserve is empty.
    """
    paths = stock.paths
    splits = tables.read(paths.splits, None, ["image_id", "split"])
    if not (splits["split"] == RESERVE).any():
        raise DataError(
            f"{paths.splits}: no image in the split {RESERVE}, which the arm withheld takes its"
            " images from; give `facedata split` a --reserve"
        )
    table = read_labelled(paths.curated, paths.splits, [RESERVE])
    minorities = read_minorities(stock)
    of_class = classes_of(table, minorities, stock)
    found = []
    for row in minorities.itertuples():
        members, wanted = np.flatnonzero(of_class == row[1]), round(share * row.deficit)
        if len(members) < wanted:
            log.warning("%s: %d images held back of %d wanted", row.name, len(members), wanted)
        found.append(stock.draws(HELD_BACK, row[1]).permutation(members)[:wanted])
    numbers = np.concatenate([np.zeros(0, dtype=np.int64), *found])
    table = table.iloc[numbers]
    return Added(Examples.of(stock.array, table, stock.heads), table)


def _chosen(stock: Stock, share: float) -> pd.DataFrame:
    """Return the rows of the accepted synthetic images that fill a share of the deficits."""
    paths = stock.paths
    assert paths.synth_samples is not None and paths.deficits is not None, "read_sets checks it"
    samples = tables.read(paths.synth_samples, SAMPLES, ["row", "class", "accepted", "rank"])
    deficits = synthetic.read_deficits(paths.deficits)
    return synthetic.choose_samples(samples, deficits, share, stock.seed)


def _refitted(stock: Stock, chosen: pd.DataFrame) -> Examples:
    assert stock.paths.synth_images is not None, "read_sets checks it"
    generated = synthetic.open_synthetic(stock.paths.synth_images, chosen, stock.size)
    return Examples.of_synthetic(generated, chosen, stock.heads)
