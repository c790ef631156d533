"""Intervals of probabilities' scores over rounds and seeds; see `classifiers.evaluate.scores`."""

from dataclasses import dataclass

import numpy as np

from classifiers.evaluate.metrics import NUM_BINS
from classifiers.evaluate.scores import calibration_errors
from evenface.experiment.influence import Sample, sum_clusters


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
