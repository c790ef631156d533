"""What the filter reads: real faces and candidates, with their classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from classifiers.accept.appearances import appearances
from classifiers.accept.copies import thumbnails
from classifiers.images.data import ImagePool, check_size, open_images, read_labelled
from classifiers.images.synthetic import SyntheticImages, open_synthetic
from classifiers.models.heads import MISSING
from facedata.columns import CANDIDATES, DEFICITS
from facedata.packs.samples import condition
from facekit.errors import DataError
from facekit.pictures.canvas import Geometry
from facekit.storage import tables


@dataclass(frozen=True)
class Paths:
    """Files that the filter reads.

    Attributes:
        teacher: models of the arm real, one of each fold of train.
        candidates: what was generated, by class.
        images: generated images (.npy).
        train_images: packed images of the teacher.
        curated: images that survived curation.
        splits: split and fold of each image.
        deficits: what each class lacks.
    """

    teacher: Sequence[Path]
    candidates: Path
    images: Path
    train_images: Path
    curated: Path
    splits: Path
    deficits: Path


@dataclass(frozen=True)
class Faces:
    """Real images of a split.

    Attributes:
        table: their labels and folds.
        label: place of each one's class in the table of classes, int64 [N]; MISSING where a label
            is.
        array: packed images, which `row` of the table counts.
    """

    table: pd.DataFrame
    label: np.ndarray
    array: np.ndarray

    @property
    def folds(self) -> list[int]:
        """Folds that there are."""
        return sorted(self.table["fold"].dropna().astype(int).unique().tolist())

    def pool(self, places: np.ndarray) -> ImagePool:
        """Return the images at some places of the table."""
        rows = self.table["row"].to_numpy(dtype=np.int64)
        return ImagePool([(self.array, rows[places])])

    def looks(self, batch: int) -> np.ndarray:
        """Return how all of them look; see `appearances`."""
        return appearances(self.pool(np.arange(len(self.table))), batch)

    def thumbnails(self, batch: int) -> np.ndarray:
        """Return thumbnails of all of them; see `copies.thumbnails`."""
        return thumbnails(self.pool(np.arange(len(self.table))), batch)


@dataclass(frozen=True)
class Drawn:
    """Candidates.

    Attributes:
        table: candidates.parquet.
        label: place in the table of classes of the one that each was drawn for, int64 [N].
        order: in which they are taken, by chance, int64 [N].
        images: generated images (.npy).
        size: that they are brought to.
    """

    table: pd.DataFrame
    label: np.ndarray
    order: np.ndarray
    images: Path
    size: Geometry

    def pool(self, places: np.ndarray) -> SyntheticImages:
        """Return the images at some places of the table."""
        return open_synthetic(self.images, self.table.iloc[places], self.size)

    def looks(self, batch: int) -> np.ndarray:
        """Return how all of them look; see `appearances`."""
        return appearances(self.pool(np.arange(len(self.table))), batch)

    def thumbnails(self, batch: int) -> np.ndarray:
        """Return thumbnails of all of them; see `copies.thumbnails`."""
        return thumbnails(self.pool(np.arange(len(self.table))), batch)


def read_classes(paths: Paths) -> pd.DataFrame:
    """Return the generator's classes: class, name, deficit and the attributes of the condition.

    Raises:
        DataError: candidates and deficits are of other conditions.
    """
    attributes = condition(tables.read(paths.candidates, CANDIDATES))
    wanted = ["class", "name", "deficit"]
    return tables.read(paths.deficits, DEFICITS, [*wanted, *attributes])[[*wanted, *attributes]]


def read_faces(paths: Paths, classes: pd.DataFrame, size: Geometry) -> tuple[Faces, Faces]:
    """Return the faces of train and of val.

    Raises:
        DataError: files do not fit together.
    """
    table = read_labelled(paths.curated, paths.splits, ["train", "val"])
    array = open_images(paths.train_images, table)
    check_size(paths.train_images, array.shape, size)
    parts = [table[table["split"] == name].reset_index(drop=True) for name in ("train", "val")]
    train, val = (Faces(part, _labels(part, classes), array) for part in parts)
    return train, val


def read_drawn(paths: Paths, classes: pd.DataFrame, size: Geometry, seed: int) -> Drawn:
    """Return the candidates, and an order by chance.

    Raises:
        DataError: they are of a class that the deficits do not name.
    """
    table = tables.read(paths.candidates, CANDIDATES)
    label = pd.Index(classes["class"]).get_indexer(pd.Index(table["class"])).astype(np.int64)
    if (label < 0).any():
        unknown = sorted(set(table.loc[label < 0, "class"]))
        raise DataError(
            f"{paths.candidates}: classes {unknown}, {paths.deficits} has"
            f" {classes['class'].tolist()}; make both of the same train split"
        )
    order = np.random.default_rng(seed).permutation(len(table))
    return Drawn(table.reset_index(drop=True), label, order, paths.images, size)


def _labels(images: pd.DataFrame, classes: pd.DataFrame) -> np.ndarray:
    """Return the place of each image's class, int64 [N]; MISSING where a label is."""
    names = [name for name in classes.columns if name not in DEFICITS.names]
    missing = set(names) - set(images.columns)
    if missing:
        raise DataError(f"curated: no column {sorted(missing)}, which the generator was told")
    values = images[names].astype(object)
    known = values.notna().all(axis=1).to_numpy()
    places = {row: place for place, row in enumerate(_rows(classes[names]))}
    label = np.full(len(images), MISSING, dtype=np.int64)
    label[known] = [places.get(row, MISSING) for row in _rows(values[known])]
    return label


def _rows(values: pd.DataFrame) -> list[tuple[str, ...]]:
    return list(values.astype(object).map(str).itertuples(index=False, name=None))
