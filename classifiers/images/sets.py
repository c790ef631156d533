"""What one training reads: images to learn from and images to choose the epoch by."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from classifiers.arms import Arm
from classifiers.images import synthetic
from classifiers.images.data import check_apart, check_size, open_images, read_labelled
from classifiers.models.heads import Head, read_heads
from classifiers.options import HeadOptions
from classifiers.train.loop import Examples
from facedata.columns import FACES, SAMPLES
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
        synth_images, synth_samples, deficits: of the arms with synthetic images; None for others.
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
        train: images to learn from, the real ones first.
        val: images to choose the epoch by.
        val_table: their rows of the curated table.
        train_ids: image_id of the real images of train.
    """

    heads: list[Head]
    train: Examples
    val: Examples
    val_table: pd.DataFrame
    train_ids: list[str]

    @property
    def num_real(self) -> int:
        """Real images of train."""
        return len(self.train_ids)

    @property
    def num_synthetic(self) -> int:
        """Synthetic images of train."""
        return len(self.train.pool) - self.num_real


def read_sets(
    paths: Paths, options: Sequence[HeadOptions], arm: Arm, size: Geometry, fold: int | None = None
) -> Sets:
    """Read the images and labels of a training; those of test are not among them.

    Args:
        paths: the files.
        options: of the heads.
        arm: says whether synthetic images join train.
        size: of the packed images.
        fold: trains on the other folds of train and takes this one in place of val; None for
            train and val.

    Raises:
        DataError: files do not fit together or to the arm, or a person (or duplicates) would be
            both learned from and validated on.
    """
    given = (paths.synth_images, paths.synth_samples, paths.deficits)
    if arm.share and None in given:
        raise DataError(f"arm {arm.name}: needs --synth-images, --synth-samples and --deficits")
    if not arm.share and any(given):
        raise DataError(f"arm {arm.name}: takes no synthetic images")
    wanted = ["train", "val"] if fold is None else ["train"]
    table = read_labelled(paths.curated, paths.splits, wanted)
    array = open_images(paths.images, table)
    check_size(paths.images, array.shape, size)
    is_val = table["split"] == "val" if fold is None else (table["fold"] == fold).fillna(False)
    if not is_val.any():
        raise DataError(f"{paths.splits}: no image of train in fold {fold}")
    train_table, val_table = table[~is_val], table[is_val]
    check_apart(train_table, val_table, str(paths.splits))
    heads = read_heads(options, train_table, str(paths.curated))
    train = Examples.of(array, train_table, heads)
    if arm.share:
        assert paths.synth_images and paths.synth_samples and paths.deficits  # see above
        samples = tables.read(
            paths.synth_samples, SAMPLES, ["row", "class", "accepted", "teacher_probability"]
        )
        deficits = synthetic.read_deficits(paths.deficits)
        chosen = synthetic.choose_samples(samples, deficits, arm.share)
        generated = synthetic.open_synthetic(paths.synth_images, chosen, size)
        train += Examples.of_synthetic(generated, chosen, heads)
    val = Examples.of(array, val_table, heads)
    return Sets(heads, train, val, val_table, train_table["image_id"].tolist())


def read_framing(faces: Path, train_ids: Sequence[str]) -> list[list[float]] | None:
    """Return how faces lie in the images of train; see `align.measure_framing`.

    Raises:
        DataError: no table of faces, or not of these images.
    """
    table = tables.read(faces, FACES, ["image_id", "non_face", *align.POINT_COLUMNS])
    return align.measure_framing(tables.rows_of(table, train_ids, faces))
