"""Where a model and its predictions come from: arm, seed, round, digests of ids, budget."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import pandas as pd

from facedata.columns import PREDICTIONS
from facekit.errors import DataError
from facekit.splits import SPLITS
from facekit.storage import tables

BUDGET = ("real_shown", "images_shown")


@dataclass(frozen=True)
class Origin:
    """Where a model, or what it predicted, comes from; the columns of PREDICTIONS but image_id.

    Attributes:
        arm: of the model.
        seed: of the model; None for several.
        round: whose split it learned from.
        train_ids, val_ids, test_ids: digests of the parts of that split, see `digest_of_ids`.
        real_shown, images_shown: images that its training was to show, real ones and all; of
            several models the sum.
    """

    arm: str
    seed: int | None
    round: int
    train_ids: str
    val_ids: str
    test_ids: str
    real_shown: int
    images_shown: int

    @classmethod
    def of_meta(cls, meta: Mapping[str, Any], path: Path) -> Self:
        """Return what a model's file tells.

        Args:
            meta: of the file.
            path: of the file, for the message.

        Raises:
            DataError: it does not tell: an earlier version wrote it.
        """
        names = cls.__dataclass_fields__
        missing = [name for name in names if name not in meta]
        if missing:
            raise DataError(
                f"{path}: says nothing of {', '.join(missing)}, expected what every model tells of"
                " the images that it learned from; train it again with `classifiers train`"
            )
        return cls(**{name: meta[name] for name in names})

    @classmethod
    def of_table(cls, table: pd.DataFrame, path: Path) -> Self:
        """Return what a table of predictions tells; all its rows are of one model, or one mean.

        Args:
            table: as declared by PREDICTIONS.
            path: its file, for the message.

        Raises:
            DataError: rows differ, or there is none.
        """
        told = table[list(cls.__dataclass_fields__)].drop_duplicates()
        if len(told) != 1:
            raise DataError(f"{path}: rows of {len(told)} models; expected those of one")
        values = told.iloc[0].to_dict()
        seed = None if pd.isna(values["seed"]) else int(values["seed"])
        numbers = {name: int(values[name]) for name in ("round", *BUDGET)}
        return cls(**{**values, **numbers, "seed": seed})

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return what a file of predictions tells; see `of_table`."""
        return cls.of_table(tables.read(path, PREDICTIONS), path)

    def columns(self, num: int) -> dict[str, Any]:
        """Return the values as columns of a table of a number of rows, by name."""
        seed = pd.array([self.seed] * num, dtype="Int64") if self.seed is None else self.seed
        return {**asdict(self), "seed": seed}

    def check_splits(self, digests: Mapping[str, str], path: Path, splits: Path) -> None:
        """Check that a model belongs to a split.

        Args:
            digests: of train, val and test.
            path: of the model, for the message.
            splits: file of the split, for the message.

        Raises:
            DataError: a part is another one.
        """
        other = [name for name in SPLITS if getattr(self, f"{name}_ids") != digests[name]]
        if other:
            raise DataError(
                f"{path}: learned in round {self.round} from a split whose {', '.join(other)} has"
                f" other images than that of {splits}; give the splits that it was trained with"
            )


def common(origins: Sequence[Origin], paths: Sequence[Path], same_budget: bool = True) -> Origin:
    """Return the origin of the mean of several models; it has a seed if all have that one.

    Args:
        origins: of the models.
        paths: of their files, for messages.
        same_budget: whether each has to have been shown as many images, as all but those of
            folds have.

    Raises:
        DataError: they differ in arm, round, ids or budget.
    """
    first = origins[0]
    names = ("arm", "round", *(f"{name}_ids" for name in SPLITS), *(BUDGET if same_budget else ()))
    for origin, path in zip(origins, paths, strict=True):
        for name in names:
            found, expected = getattr(origin, name), getattr(first, name)
            if found != expected:
                raise DataError(f"{path}: {name} {found}, but {paths[0]} has {expected}")
    is_one = len({origin.seed for origin in origins}) == 1
    return replace(
        first,
        seed=first.seed if is_one else None,
        **{name: sum(getattr(origin, name) for origin in origins) for name in BUDGET},
    )
