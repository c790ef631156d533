"""What `classifiers evaluate` and `classifiers ensemble` found, arm by arm, for the page."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from classifiers.columns import CONFUSION, MISTAKES
from classifiers.measures import MEASURES as OF_CONFUSIONS
from facekit.storage import files, tables

MAX_GROUPS = 5  # subgroups that are shown of a head
ENSEMBLE = "ensemble"  # folder beside those of the seeds
OUT_OF_FOLD = "out_of_fold"
# Measures of metrics.json by kind of head, as people write them.
MEASURES = {
    **{name: name.replace("_", " ").capitalize().replace("f1", "F1") for name in OF_CONFUSIONS},
    "average_precision": "Average precision",
    "ece": "Calibration error",
    "ece_calibrated": "Calibration error, calibrated",
    "mae": "Mean absolute error",
    "rmse": "Root mean square error",
    "r2": "R²",
}
GAP_MEASURES = ("accuracy", "mae")  # the one of a head that its subgroups are compared by


@dataclass(frozen=True)
class Arm:
    """The results of an arm, each file read once.

    Attributes:
        name: of the arm.
        folders: of its seeds.
        has_ensemble: whether there is a mean of several seeds.
    """

    name: str
    folders: list[Path]
    has_ensemble: bool

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """Measures by head, of each seed that was evaluated."""
        paths = [folder / "metrics.json" for folder in self.folders]
        return [files.read_json(path) for path in paths if path.exists()]

    @cached_property
    def ensemble(self) -> dict[str, Any]:
        """Measures by head of the mean of all seeds; empty where there is none."""
        return files.read_json(self._folder / "metrics.json") if self.has_ensemble else {}

    def as_one(self, head: str) -> dict[str, Any]:
        """Return the measures of a head by the mean of all seeds, else by the first of them."""
        found = (metrics[head] for metrics in [self.ensemble, *self.metrics] if head in metrics)
        return next(found)

    @property
    def reliability(self) -> Path:
        """The figure of the mean of all seeds, else that of the first; it need not be there."""
        return self._folder / "reliability.svg"

    @cached_property
    def mistakes(self) -> pd.DataFrame:
        """Return head, image_id, true, predicted, score by the mean of all seeds, else the first.

        The surest mistakes of a head are first; empty where none were written.
        """
        path = self._folder / "mistakes.csv"
        if not path.exists():
            return pd.DataFrame(columns=MISTAKES.names)
        return tables.read(path, MISTAKES)

    @property
    def _folder(self) -> Path:
        return self.folders[0].parent / ENSEMBLE if self.has_ensemble else self.folders[0]

    @cached_property
    def confusions(self) -> pd.DataFrame:
        """Return head, true, predicted, count, of all seeds."""
        paths = [folder / "confusion.csv" for folder in self.folders]
        parts = [tables.read(path, CONFUSION) for path in paths if path.exists()]
        empty = pd.DataFrame(columns=CONFUSION.names).astype({"count": "int64"})
        return pd.concat(parts or [empty], ignore_index=True)


def find_arms(rounds: Sequence[Path], comparison: Mapping[str, Any]) -> list[Arm]:
    """Return the arms compared, with the seeds compared; those of earlier settings left out.

    Args:
        rounds: folder of the task's classifiers in each round; the mean of all seeds is that of
            the first.
        comparison: of `evenface compare`.
    """
    found = []
    seeds = comparison["rounds"][0]["seeds"]
    for arm in comparison["arms"]:
        folders = [task / arm["arm"] / f"seed{seed}" for task in rounds for seed in seeds]
        is_one = (rounds[0] / arm["arm"] / ENSEMBLE / "metrics.json").exists()
        found.append(Arm(arm["arm"], folders, is_one and len(seeds) > 1))
    return found


def head_scores(name: str, arms: Sequence[Arm]) -> dict[str, Any]:
    """Return one head's results: measures, recalls and confusions by arm, and its subgroups."""
    arms = [arm for arm in arms if any(name in metrics for metrics in arm.metrics)]
    shown = [_arm_scores(name, arm) for arm in arms]
    first = shown[0] if shown else {"rows": [{"measures": {}}], "classes": []}
    return {
        "name": name,
        "arms": shown,
        "measures": list(first["rows"][0]["measures"]),
        "classes": [
            {
                "name": one["name"],
                "support": one["support"],
                "recalls": [arm["classes"][place]["recall"] for arm in shown],
            }
            for place, one in enumerate(first["classes"])
        ],
        "groups": _groups(name, arms),
    }


def kinds_of(heads: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the kinds of rows among the measures of heads: "", ENSEMBLE, OUT_OF_FOLD."""
    return {row["kind"] for head in heads for arm in head["arms"] for row in arm["rows"]}


def _arm_scores(name: str, arm: Arm) -> dict[str, Any]:
    found = [metrics[name] for metrics in arm.metrics if name in metrics]
    names = [key for key in MEASURES if key in found[0]]
    classes = list(found[0].get("per_class", {}))
    rows = {
        "": found,
        ENSEMBLE: [arm.ensemble[name]] if name in arm.ensemble else [],
        OUT_OF_FOLD: [one[OUT_OF_FOLD] for one in found if OUT_OF_FOLD in one],
    }
    return {
        "arm": arm.name,
        "num_seeds": len(found),
        "support": found[0]["support"],
        "rows": [
            {
                "kind": kind,
                "measures": {key: over_seeds([one.get(key) for one in of]) for key in names},
            }
            for kind, of in rows.items()
            if of
        ],
        "classes": [
            {
                "name": one,
                "support": found[0]["per_class"][one]["support"],
                **{
                    key: over_seeds([m["per_class"][one][key] for m in found])
                    for key in ("precision", "recall", "f1")
                },
            }
            for one in classes
        ],
        "confusion": _confusion(arm.confusions, name, classes),
    }


def over_seeds(values: Sequence[float | None]) -> dict[str, float | None]:
    """Return mean, least and largest of a measure over seeds; None where it was not defined."""
    known = [float(value) for value in values if value is not None and not math.isnan(value)]
    if not known:
        return {"mean": None, "low": None, "high": None}
    return {"mean": sum(known) / len(known), "low": min(known), "high": max(known)}


def _confusion(counts: pd.DataFrame, head: str, classes: list[str]) -> dict[str, Any] | None:
    """Return the confusion of a head summed over seeds, with the share of each true class."""
    if counts.empty or not classes:
        return None
    total = counts[counts["head"] == head].pivot_table(
        index="true", columns="predicted", values="count", aggfunc="sum", fill_value=0
    )
    total = total.reindex(index=classes, columns=classes, fill_value=0)
    shares = total.div(total.sum(axis=1).replace(0, 1), axis=0)
    return {
        "classes": classes,
        "rows": [
            {
                "name": one,
                "cells": [
                    {"count": int(count), "share": float(share)}
                    for count, share in zip(total.loc[one], shares.loc[one], strict=True)
                ],
            }
            for one in classes
        ],
    }


def _groups(head: str, arms: Sequence[Arm]) -> dict[str, Any] | None:
    """Return the subgroups that an arm does worse on than on all images; None where there is none.

    The surest come first: those whose gap's interval ends farthest from zero. A small group has a
    wide interval, so it does not come first by chance alone.
    """
    of_arms = [arm.as_one(head) for arm in arms]
    if not (arms and all(of_arm.get("subgroups") for of_arm in of_arms)):
        return None
    measure = next(one for one in GAP_MEASURES if one in of_arms[0])
    worse = 1 if measure == "mae" else -1  # sign of a gap
    rows = []
    for attribute, one, group in _walk(of_arms[0]["subgroups"]):
        found = [of_arm["subgroups"].get(attribute, {}).get(one, {}) for of_arm in of_arms]
        cells = [found_one[measure] for found_one in found if measure in found_one]
        losses = [_sure_loss(cell, worse) for cell in cells]
        is_worse = any(cell["gap"] is not None and worse * cell["gap"] > 0 for cell in cells)
        if len(cells) == len(arms):
            rows.append(
                {
                    "attribute": attribute,
                    "class": one,
                    "support": group["support"],
                    "small": group["small"],
                    "cells": [
                        {**cell, "is_sure": cell["marked"] and worse * cell["gap"] > 0}
                        for cell in cells
                    ],
                    "is_worse": is_worse,
                    "loss": max(losses),
                }
            )
    all_rows, rows = rows, [row for row in rows if row["is_worse"]]
    if not rows:
        return None
    rows.sort(key=lambda row: -row["loss"])
    shown = rows[:MAX_GROUPS]
    return {
        "measure": MEASURES[measure],
        "of_all": [of_arm[measure] for of_arm in of_arms],
        "rows": shown,
        "all_rows": all_rows,
        "num_more": len(rows) - len(shown),
        "has_small": any(row["small"] for row in shown),
    }


def _sure_loss(cell: Mapping[str, float | None], worse: int) -> float:
    """Return how much worse than all images a group is at least; negative where that is unsure."""
    low, high = cell["gap_low"], cell["gap_high"]
    if low is None or high is None:
        return -math.inf
    return min(worse * low, worse * high)


def _walk(subgroups: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for attribute, classes in subgroups.items():
        for one, group in classes.items():
            yield attribute, one, group
