"""Measures of a head over all images and over groups of them, with bootstrap intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from classifiers.columns import SUBGROUPS
from classifiers.evaluate.bootstrap import Measure, Resampling, bootstrap, interval
from classifiers.evaluate.confusions import share
from classifiers.evaluate.gaps import LEVEL, false_discovery, gap_of_shares, gap_of_values
from classifiers.evaluate.metrics import plain
from classifiers.measures import MEASURES
from classifiers.models.heads import MISSING, Head
from facedata.columns import attributes_of

# Sums [..., 5] over images of 1, |gap|, gap^2, target, target^2 -> [...].
NUMERIC_MEASURES: dict[str, Measure] = {
    "mae": lambda sums: share(sums[..., 1], sums[..., 0]),
    "rmse": lambda sums: np.sqrt(share(sums[..., 2], sums[..., 0])),
    "r2": lambda sums: 1 - share(sums[..., 2], _spread(sums)),
}
SHOWN = ("accuracy", "macro_f1", "mae")  # of subgroups
TESTED = ("accuracy", "mae")  # of these; one of a head
COLUMNS = SUBGROUPS.names


def _spread(sums: np.ndarray) -> np.ndarray:
    """Return the sum of squared differences of targets from their mean, [...]."""
    return sums[..., 4] - share(sums[..., 3] ** 2, sums[..., 0])


Group = tuple[str, str, np.ndarray]  # attribute, class, members: bool [N]


@dataclass(frozen=True)
class Measured:
    """Measures of several groups of images.

    Attributes:
        support: images with a label, int64 [num_groups].
        num_units: persons or single images that these are of, int64 [num_groups].
        measures: by name, float64 [num_groups]; NaN where not defined.
        replicates: by measure, float64 [num_bootstrap, num_groups], of the same draws.
        p: of no gap to the other images in accuracy, or of numeric heads in mae, float64
            [num_groups]; NaN where there are no others.
    """

    support: np.ndarray
    num_units: np.ndarray
    measures: dict[str, np.ndarray]
    replicates: dict[str, np.ndarray]
    p: np.ndarray


def measure_groups(
    head: Head,
    target: np.ndarray,
    output: np.ndarray,
    cluster: np.ndarray,
    members: np.ndarray,
    resampling: Resampling,
) -> Measured:
    """Measure a head on groups of images.

    Args:
        head: that was predicted.
        target: as of `head_targets`.
        output: probabilities [N, num_classes], or values [N].
        cluster: int64 [N], 0..num_clusters-1; images that are drawn together.
        members: bool [num_groups, N].
        resampling: of these clusters, and of one seed.
    """
    known = ~np.isnan(target) if head.kind == "numeric" else target != MISSING
    group, image = np.nonzero(members & known)
    num_classes, shape = len(head.classes), (cluster.max() + 1, len(members))
    place = cluster[image] * len(members) + group  # in `shape`, flat: numpy adds so much faster
    measures: Mapping[str, Measure]
    if head.kind == "numeric":
        gap = output - target
        parts = np.stack([np.ones_like(gap), np.abs(gap), gap**2, target, target**2], axis=1)
        sums, measures = np.zeros((*shape, 5)), NUMERIC_MEASURES
        np.add.at(sums.reshape(-1, 5), place, parts[image])
    else:
        cell = target * num_classes + output.argmax(axis=1)  # of [num_classes, num_classes]
        sums = np.zeros((*shape, num_classes, num_classes), dtype=np.float32)
        np.add.at(sums.reshape(-1), place * num_classes**2 + cell[image], np.float32(1))
        measures = dict(MEASURES.items())
    p = _test_gaps(head, target[known], output[known], cluster[known], members[:, known])
    held = np.bincount(place, minlength=shape[0] * shape[1]).reshape(shape)
    total = sums.sum(axis=0, dtype=np.float64)
    return Measured(
        held.sum(axis=0),
        (held > 0).sum(axis=0),
        {name: measure(total) for name, measure in measures.items()},
        bootstrap(sums[:, :, None], measures, resampling),
        p,
    )


def _test_gaps(
    head: Head, target: np.ndarray, output: np.ndarray, cluster: np.ndarray, members: np.ndarray
) -> np.ndarray:
    """Return p of each group's gap to the other images, all of which have a label."""
    if head.kind == "numeric":
        errors = np.abs(output - target)
        return np.array([gap_of_values(errors, inside, cluster) for inside in members])
    right = output.argmax(axis=1) == target
    return np.array([gap_of_shares(right, inside, cluster) for inside in members])


def all_groups(table: pd.DataFrame) -> list[Group]:
    """Return attribute, class and members (bool [N]) of each class of the attributes."""
    return [
        (name, str(one), codes == k)
        for name in attributes_of(table)
        if isinstance(table[name].dtype, pd.CategoricalDtype)
        for codes in [table[name].cat.codes.to_numpy()]
        for k, one in enumerate(table[name].cat.categories)
    ]


def groups_for(head: Head, groups: Sequence[Group]) -> list[Group]:
    """Return the groups of the attributes that a head alone does not predict.

    The classes of one that it does stand in the report already.
    """
    return [group for group in groups if list(head.attributes) != [group[0]]]


def subgroup_rows(
    head: Head,
    groups: Sequence[Group],
    measured: Measured,
    small_group: int,
    confidence: float,
) -> list[dict[str, Any]]:
    """Return a row of COLUMNS for each group and measure; None where nothing is defined.

    Args:
        head: that was measured.
        groups: as of `groups_for`.
        measured: of all images, then of each group.
        small_group: groups of fewer persons (or single images) are marked, and no best one.
        confidence: of the intervals.

    Returns:
        Without q and marked, see `mark_gaps`. gap is the group's measure less that of all images,
        gap_to_best less the best one of the attribute's classes that are not small.
    """
    is_small = measured.num_units < small_group
    ends = {
        name: (
            interval(measured.replicates[name], confidence),
            interval(measured.replicates[name] - measured.replicates[name][:, :1], confidence),
        )
        for name in SHOWN
        if name in measured.measures
    }
    rows = []
    for i, (attribute, one, _) in enumerate(groups, start=1):
        alike = [j for j, group in enumerate(groups, start=1) if group[0] == attribute]
        for name, (of_values, of_gaps) in ends.items():
            values = measured.measures[name]
            large = [values[j] for j in alike if not (is_small[j] or np.isnan(values[j]))]
            best = (min if name == "mae" else max)(large, default=np.nan)
            p = measured.p[i] if name in TESTED else np.nan
            figures = (
                values[i], *of_values[:, i], values[i] - values[0], *of_gaps[:, i],
                values[i] - best, p,
            )  # fmt: skip
            support, num_units = int(measured.support[i]), int(measured.num_units[i])
            row = (head.name, attribute, one, name, support, num_units, bool(is_small[i]))
            rows.append(dict(zip(COLUMNS[:-2], (*row, *map(plain, figures)), strict=True)))
    return rows


def mark_gaps(rows: Sequence[dict[str, Any]]) -> None:
    """Add q and marked to the rows of all heads, which are looked through together."""
    corrected = false_discovery([np.nan if row["p"] is None else row["p"] for row in rows])
    for row, q in zip(rows, corrected, strict=True):
        row |= {"q": plain(q), "marked": bool(q <= LEVEL)}
