"""What one training reads: images to learn from and images to choose the epoch by."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from classifiers.arms import DEFICITS, SYNTHETIC, Arm
from classifiers.images.added import Added, Stock
from classifiers.images.data import check_apart, check_size, open_images, read_labelled
from classifiers.images.examples import Examples
from classifiers.models.heads import Head, read_heads
from classifiers.options import HeadOptions
from facedata.columns import FACES
from facedata.inspection import align
from facekit.errors import DataError
from facekit.pictures.canvas import Geometry
from facekit.storage import tables


@dataclass(frozen=True)
class Paths:
    """Files of a data set.

    Attributes:
        images: packed images.
        curated: labels of the images that survived curation.
        splits: split and fold of each.
        synth_images, synth_samples: of the arms with synthetic images; None for others.
        deficits: of the arms that go by what classes lack; None for others.
    """

    images: Path
    curated: Path
    splits: Path
    synth_images: Path | None = None
    synth_samples: Path | None = None
    deficits: Path | None = None


@dataclass(frozen=True)
class Sets:
    """What one training reads.

    Attributes:
        heads: of the task.
        train: images to learn from, those that the arm adds last.
        val: images to choose the epoch by.
        val_table: their rows of the curated table.
        train_ids: image_id of the real images that are learned from.
        num_whole: real images of train, whether the arm learns from them or not: what epochs count.
        num_synthetic: synthetic images of train.
    """

    heads: list[Head]
    train: Examples
    val: Examples
    val_table: pd.DataFrame
    train_ids: list[str]
    num_whole: int
    num_synthetic: int

    @property
    def num_real(self) -> int:
        """Different real images that are learned from."""
        return len(self.train_ids)


def read_sets(
    paths: Paths,
    options: Sequence[HeadOptions],
    arm: Arm,
    size: Geometry,
    fold: int | None = None,
    seed: int = 0,
) -> Sets:
    """Read the images and labels of a training; those of test are not among them.

    Args:
        paths: the files.
        options: of the heads.
        arm: says what joins train, and what of it is learned from.
        size: of the packed images.
        fold: trains on the other folds of train and takes this one in place of val; None for
            train and val.
        seed: of what the arm chooses by chance.

    Raises:
        DataError: files do not fit together or to the arm, the arm finds no image to add, or a
            person (or duplicates) would be both learned from and validated on.
    """
    _check_given(paths, arm)
    wanted = ["train", "val"] if fold is None else ["train"]
    table = read_labelled(paths.curated, paths.splits, wanted)
    array = open_images(paths.images, table)
    check_size(paths.images, array.shape, size)
    is_val = table["split"] == "val" if fold is None else (table["fold"] == fold).fillna(False)
    if not is_val.any():
        last = table["fold"].max()
        raise DataError(f"{paths.splits}: no image of train in fold {fold}, found 0 to {last}")
    train_table, val_table = table[~is_val], table[is_val]
    num_whole = len(train_table)
    heads = read_heads(options, train_table, str(paths.curated))
    stock = Stock(paths, array, train_table, heads, size, seed)
    for part in arm.parts:
        kept = part.kept(stock)
        if kept is not None:
            train_table = train_table[kept]
    train = Examples.of(array, train_table, heads)
    added = _added(stock, arm)
    learned = train_table
    for one in added:
        train += one.examples.as_added(arm.added_weight)
        if one.table is not None:
            open_images(paths.images, one.table)
            learned = pd.concat([learned, one.table], ignore_index=True)
    check_apart(learned, val_table, str(paths.splits))
    return Sets(
        heads,
        train,
        Examples.of(array, val_table, heads),
        val_table,
        learned["image_id"].tolist(),
        num_whole,
        train.num_added if SYNTHETIC in arm.needs else 0,
    )


def _check_given(paths: Paths, arm: Arm) -> None:
    """Check that the files are given that an arm needs, and no others."""
    generated = (paths.synth_images, paths.synth_samples)
    if SYNTHETIC in arm.needs and None in (*generated, paths.deficits):
        raise DataError(f"arm {arm.name}: needs --synth-images, --synth-samples and --deficits")
    if SYNTHETIC not in arm.needs and any(generated):
        raise DataError(f"arm {arm.name}: takes no synthetic images")
    if DEFICITS in arm.needs and paths.deficits is None:
        raise DataError(f"arm {arm.name}: needs --deficits")
    if DEFICITS not in arm.needs and paths.deficits is not None:
        raise DataError(f"arm {arm.name}: takes no --deficits")


def _added(stock: Stock, arm: Arm) -> list[Added]:
    """Return what the parts of an arm add.

    Raises:
        DataError: they would add images, but find none.
    """
    found = [part.added(stock) for part in arm.parts]
    added = [one for one in found if one is not None]
    if added and not any(len(one.examples.pool) for one in added):
        raise DataError(
            f"arm {arm.name}: no image is added to train; {stock.paths.deficits} says what lacks,"
            " and of that nothing was accepted, or there is none"
        )
    return added


def read_framing(faces: Path, train_ids: Sequence[str]) -> list[list[float]] | None:
    """Return how faces lie in the images of train; see `align.measure_framing`.

    Args:
        faces: table of them; not all images need be there.
        train_ids: of the images.

    Raises:
        DataError: no table of faces, or of other images.
    """
    table = tables.read(faces, FACES, ["image_id", "non_face", *align.POINT_COLUMNS])
    found = pd.Index(train_ids).intersection(table["image_id"], sort=False)
    if not len(found):
        raise DataError(f"{faces}: has none of the images of train; make the file again")
    return align.measure_framing(tables.rows_of(table, list(found), faces))
