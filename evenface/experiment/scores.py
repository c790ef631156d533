"""Intervals of probabilities' scores: Brier, log loss, calibration error; gaps of subgroups."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from evenface.experiment.influence import Sample, shared_variance, sum_clusters
from evenface.experiment.intervals import half_width
from evenface.experiment.multiplicity import Key, benjamini_hochberg

NUM_BINS = 15  # of the calibration error: arXiv:1706.04599
TINY = np.finfo(np.float64).tiny  # probabilities of 0 have a logarithm, too


@dataclass(frozen=True)
class Score:
    """A figure with its interval over test images, averaged over seeds.

    Attributes:
        value: of these images.
        low, high: ends of the interval.
    """

    value: float
    low: float
    high: float


def brier_losses(target: np.ndarray, prob: np.ndarray) -> np.ndarray:
    """Return each image's Brier score, in 0..2: [..., N] of class ids [N], prob [..., N, K].

    Source: Brier 1950 (doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2).
    """
    hit = np.eye(prob.shape[-1])[target]
    return ((prob - hit) ** 2).sum(axis=-1)


def log_losses(target: np.ndarray, prob: np.ndarray) -> np.ndarray:
    """Return each image's negative log probability of its class, nats: [..., N]."""
    chosen = np.take_along_axis(prob, np.broadcast_to(target, prob.shape[:-1])[..., None], axis=-1)
    return -np.log(np.maximum(chosen[..., 0], TINY))


def calibration_errors(
    target: np.ndarray, prob: np.ndarray, num_bins: int = NUM_BINS
) -> tuple[np.ndarray, np.ndarray]:
    """Return expected calibration errors [S], and what each image adds to them, [S, N].

    Bins have equal widths of the largest probability. The error of finitely many images is larger
    than that of all there are, the more so the fewer they are; arms on the same images
    share that, so differences are nearer to the truth than values.

    Args:
        target: class ids int64 [N].
        prob: float [S, N, K].
        num_bins: of the largest probability.

    Source: arXiv:1706.04599, eq. 3.
    """
    num_seeds, num, _ = prob.shape
    top = prob.max(axis=-1)
    gap = top - (prob.argmax(axis=-1) == target)  # [S, N]
    place = np.clip(np.ceil(top * num_bins).astype(int) - 1, 0, num_bins - 1)
    sums = np.stack([np.bincount(place[s], gap[s], num_bins) for s in range(num_seeds)])
    errors = np.abs(sums).sum(axis=1) / num
    own = np.take_along_axis(sums, place, axis=1)
    without = (errors[:, None] * num - np.abs(own) + np.abs(own - gap)) / max(num - 1, 1)
    return errors, errors[:, None] - without


def sample_calibration(
    target: np.ndarray,
    baseline: np.ndarray,
    arm: np.ndarray,
    cluster: np.ndarray,
    num_bins: int = NUM_BINS,
) -> Sample:
    """Return the difference of calibration errors in one round.

    Args:
        target: class ids int64 [N].
        baseline, arm: probabilities of the seeds, float64 [S, N, K].
        cluster: int64 [N]; images that belong together.
        num_bins: see `calibration_errors`.
    """
    (before, added_before), (after, added) = (
        calibration_errors(target, prob, num_bins) for prob in (baseline, arm)
    )
    influence, ids = sum_clusters(added - added_before, cluster)
    support = np.bincount(target, minlength=baseline.shape[-1]).min()
    return Sample(after - before, influence, int(support), ids)


def score(
    values: np.ndarray, influence: np.ndarray, confidence: float = 0.95, lowest: float = 0.0
) -> Score:
    """Return the mean over seeds with its interval, by the jackknife over clusters.

    Args:
        values: of the seeds, [S].
        influence: what each cluster adds, [S, num_clusters], as of `sum_clusters`.
        confidence: of the interval.
        lowest: that the figure can be.
    """
    variance = shared_variance(influence.mean(axis=0)[None])
    width = float(half_width(confidence, variance, influence.shape[1] - 1, 0.0, np.inf))
    value = float(np.mean(values))
    return Score(value, max(value - width, lowest), value + width)


@dataclass(frozen=True)
class Gap:
    """How much less (or more) is right in a subgroup than in all other images.

    Attributes:
        support, units: images of the subgroup, and persons or single images that they are of.
        gap: share that is right, the subgroup's minus the others'.
        low, high: its interval by itself.
        p: of no gap.
        corrected: p of all gaps looked at together.
        is_marked: the corrected p is at most the level.
    """

    support: int
    units: int
    gap: float
    low: float
    high: float
    p: float
    corrected: float
    is_marked: bool


def subgroup_gaps(
    right: np.ndarray,
    members: Mapping[Key, np.ndarray],
    cluster: np.ndarray,
    confidence: float = 0.95,
) -> dict[Key, Gap]:
    """Return the gap of each subgroup; of those marked, one in twenty is a false alarm at most.

    Both sides count as many images as they have independent ones. The p is Fisher's; in the
    interval a success and a failure are added to either side, so that a small group in which
    all is right has one, too.

    Args:
        right: of each image, bool [N], or float: the share of seeds that are.
        members: of each subgroup, bool [N]; one with no image, or all of them, is left out.
        cluster: int64 [N]; images that belong together.
        confidence: of the intervals and marks.

    Source: Agresti and Caffo 2000 (doi:10.1080/00031305.2000.10474560); effective sample sizes,
    Kish 1965; Benjamini and Hochberg 1995.
    """
    right = np.asarray(right, dtype=np.float64)
    found = {}
    for key, inside in members.items():
        if inside.all() or not inside.any():
            continue
        one, other = (_share(right[side], cluster[side]) for side in (inside, ~inside))
        middles = [(side.mean * side.num + 1) / (side.num + 2) for side in (one, other)]
        error = np.sqrt(
            sum(
                middle * (1 - middle) / (side.num + 2)
                for middle, side in zip(middles, (one, other), strict=True)
            )
        )
        width = stats.norm.ppf((1 + confidence) / 2) * error
        difference = middles[0] - middles[1]
        gap = one.mean - other.mean
        found[key] = (int(inside.sum()), one.units, gap, difference, width, _fisher(one, other))
    corrected = benjamini_hochberg(np.array([one[-1] for one in found.values()]))
    return {
        key: Gap(
            support,
            units,
            float(gap),
            float(max(middle - width, -1)),
            float(min(middle + width, 1)),
            float(p),
            float(q),
            bool(q <= 1 - confidence),
        )
        for (key, (support, units, gap, middle, width, p)), q in zip(
            found.items(), corrected, strict=True
        )
    }


@dataclass(frozen=True)
class _Side:
    """Images of a subgroup: share that is right, independent images that they are worth, units."""

    mean: float
    num: float
    units: int


def _share(right: np.ndarray, cluster: np.ndarray) -> _Side:
    """Return what is right of some images, [N], of these clusters."""
    mean = float(right.mean())
    sums, ids = sum_clusters((right - mean)[None], cluster)
    binomial = mean * (1 - mean) * len(right)
    num_units = len(ids)
    # How many times the variance is that of single images that are right or wrong: persons make
    # it more, and never less is taken.
    if binomial > 0 and num_units > 1:
        effect = max(float((sums**2).sum()) * num_units / (num_units - 1) / binomial, 1.0)
    else:
        effect = len(right) / num_units
    return _Side(mean, len(right) / effect, num_units)


def _fisher(one: _Side, other: _Side) -> float:
    """Return Fisher's exact p, twice the smaller tail, of whole independent images."""
    nums = [max(int(side.num), 1) for side in (one, other)]
    hits = [round(side.mean * num) for side, num in zip((one, other), nums, strict=True)]
    drawn = stats.hypergeom(sum(nums), sum(hits), nums[0])
    return float(min(2 * min(drawn.cdf(hits[0]), drawn.sf(hits[0] - 1)), 1.0))
