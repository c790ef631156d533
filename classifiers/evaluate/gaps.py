"""Tests of gaps between subgroups: which of many are more than chance.

Both sides of a comparison, a group and all other images, count as many images as they have
independent ones. Groups are looked through for something odd, so the share of false alarms among
the marks is held (Benjamini and Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.05  # of the share of false alarms


def gap_of_shares(right: np.ndarray, inside: np.ndarray, cluster: np.ndarray) -> float:
    """Return Fisher's exact p of a group's share of right images being the others'; NaN for none.

    Args:
        right: of each image, bool [N].
        inside: whether it is of the group, bool [N].
        cluster: int64 [N]; images that belong together.

    Source: effective sample sizes, Kish 1965.
    """
    if inside.all() or not inside.any():
        return np.nan
    one, other = (_share(right[side], cluster[side]) for side in (inside, ~inside))
    nums = [max(int(side.num), 1) for side in (one, other)]
    hits = [round(side.mean * num) for side, num in zip((one, other), nums, strict=True)]
    drawn = stats.hypergeom(sum(nums), sum(hits), nums[0])
    return float(min(2 * min(drawn.cdf(hits[0]), drawn.sf(hits[0] - 1)), 1.0))


def gap_of_values(values: np.ndarray, inside: np.ndarray, cluster: np.ndarray) -> float:
    """Return Mann and Whitney's p of a group's values being like the others', by cluster means.

    A t test of groups of a few persons, by skewed values such as errors, alarms too often.

    Args:
        values: of each image, float64 [N].
        inside, cluster: as of `gap_of_shares`; NaN where a side has no image.
    """
    if inside.all() or not inside.any():
        return np.nan
    means = []
    for side in (inside, ~inside):
        _, place = np.unique(cluster[side], return_inverse=True)
        means.append(np.bincount(place, values[side]) / np.bincount(place))
    return float(stats.mannwhitneyu(*means).pvalue)


def false_discovery(p: Sequence[float]) -> np.ndarray:
    """Return the corrected p of gaps that are looked at together, float64 [m]; NaN stays NaN."""
    values = np.asarray(p, dtype=np.float64)
    known = ~np.isnan(values)
    corrected = np.full(len(values), np.nan)
    if known.any():
        corrected[known] = stats.false_discovery_control(values[known])
    return corrected


@dataclass(frozen=True)
class _Side:
    """Images of one side: share that is right, and independent images that they are worth."""

    mean: float
    num: float


def _share(right: np.ndarray, cluster: np.ndarray) -> _Side:
    """Return what is right of some images, [N], of these clusters."""
    mean = float(right.mean())
    _, place = np.unique(cluster, return_inverse=True)
    sums = np.bincount(place, right - mean)
    binomial = mean * (1 - mean) * len(right)
    num_units = len(sums)
    # How many times the variance is that of single images that are right or wrong: persons make
    # it more, and never less is taken.
    if binomial > 0 and num_units > 1:
        effect = max(float((sums**2).sum()) * num_units / (num_units - 1) / binomial, 1.0)
    else:
        effect = len(right) / num_units
    return _Side(mean, len(right) / effect)
