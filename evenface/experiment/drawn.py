"""What the filter recorded of synthetic images: the dose really reached, and what stops arms."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from classifiers.accept.doses import reached_dose, used_images
from classifiers.models.heads import Head
from evenface.experiment.result import Dose
from facedata.columns import DEFICITS, DOSES
from facekit.errors import DataError
from facekit.storage import files, tables


@dataclass(frozen=True)
class Drawn:
    """What was drawn for the rounds, as far as it is known.

    Attributes:
        doses: of each round, `doses.csv`.
        facts: of each round, `filter.json`.
        deficits: of each round, `deficits.csv`.
    """

    doses: Sequence[pd.DataFrame] = ()
    facts: Sequence[dict[str, Any]] = ()
    deficits: Sequence[pd.DataFrame] = ()

    def counts(self, head: Head) -> dict[str, float]:
        """Return the images in train of each class of a head that lacks some, mean over rounds.

        Nothing where the generator is not told what the head predicts.
        """
        found: dict[str, list[float]] = {}
        for table in self.deficits:
            of_head = _classes_of(head, table)
            if of_head is None:
                return {}
            summed = table.groupby(of_head)[["count", "deficit"]].sum()
            for name, row in summed[summed["deficit"] > 0].iterrows():
                found.setdefault(str(name), []).append(float(row["count"]))
        return {name: float(np.mean(found[name])) for name in head.classes if name in found}

    def dose(self, nominal: float) -> Dose:
        """Return what an arm that is to fill a share of each class's deficit has reached."""
        reached = [_reached(one, nominal) for one in self.doses]
        if not reached:
            return Dose(nominal=nominal, reached=None, low=None, high=None)
        return Dose(
            nominal=nominal, reached=float(np.mean(reached)), low=min(reached), high=max(reached)
        )

    def mislabelled(self, head: Head, nominal: float) -> float | None:
        """Return the share of a head's labels that are wrong once those of a dose are shuffled.

        The mean over rounds of what is expected by chance; None where it is not known, or where
        the generator is not told what the head predicts.
        """
        found = []
        for doses, deficits in zip(self.doses, self.deficits, strict=False):
            of_head = _classes_of(head, deficits)
            if of_head is None:
                return None
            named = doses["name"].map(dict(zip(deficits["name"], of_head, strict=True)))
            used = used_images(doses, nominal).groupby(named).sum()
            if used.sum():
                found.append(1 - float(((used / used.sum()) ** 2).sum()))
        return float(np.mean(found)) if found else None

    def reasons(self, nominal: float) -> list[str]:
        """Return why nothing can be said of an arm with synthetic images, in words."""
        found = []
        full = sum(is_full(one, nominal) for one in self.doses)
        if full:
            found.append(
                f"no class lacked an image in {full} of {len(self.doses)} rounds, so that no"
                " synthetic one was added"
            )
        empty = sum(_reached(one, nominal) == 0 for one in self.doses) - full
        if empty:
            found.append(f"no synthetic image was accepted in {empty} of {len(self.doses)} rounds")
        untold = sum(one.get("classes_told") is False for one in self.facts)
        if untold:
            found.append(
                "the teacher cannot tell the classes of the synthetic images from chance in"
                f" {untold} of {len(self.facts)} rounds"
            )
        copied = sum(bool(one.get("memorized")) for one in self.facts)
        if copied:
            found.append(
                f"accepted synthetic images are copies of train's in {copied} of"
                f" {len(self.facts)} rounds"
            )
        return found


def read_drawn(
    doses: Sequence[Path], facts: Sequence[Path], deficits: Sequence[Path], num_rounds: int
) -> Drawn:
    """Return what the filter recorded, and what classes lacked.

    Args:
        doses: `doses.csv` of the rounds; none where it is not known.
        facts: `filter.json` of the rounds, likewise.
        deficits: `deficits.csv` of the rounds, likewise.
        num_rounds: how many rounds there are.

    Raises:
        DataError: a file is none of these, or they are not one a round.
    """
    for name, paths in (
        ("doses.csv", doses), ("filter.json", facts), ("deficits.csv", deficits)
    ):  # fmt: skip
        if paths and len(paths) != num_rounds:
            raise DataError(
                f"{len(paths)} files {name}; expected one of each of {num_rounds} rounds"
            )
    return Drawn(
        [tables.read(path, DOSES, ["name", "deficit", "accepted"]) for path in doses],
        [files.read_json(path) for path in facts],
        [tables.read(path, DEFICITS, ["class", "name", "count", "deficit"]) for path in deficits],
    )


def _classes_of(head: Head, deficits: pd.DataFrame) -> pd.Series | None:
    """Return the class of a head that each row of deficits.csv is of; None: the rows do not say."""
    names = list(head.attributes)
    if not set(names) <= set(deficits.columns):
        return None
    return deficits[names].astype(str).agg("/".join, axis=1)


def is_full(doses: pd.DataFrame, nominal: float) -> bool:
    """Tell whether no class lacks as much as would be one image of a dose."""
    return bool(np.isnan(reached_dose(doses, nominal)))


def _reached(doses: pd.DataFrame, nominal: float) -> float:
    """Return the share of all deficits that is filled; 0 where nothing lacks."""
    return 0.0 if is_full(doses, nominal) else reached_dose(doses, nominal)
