"""Scores of probabilities: Brier, log loss, calibration error, with intervals over clusters."""

import numpy as np
from scipy import stats

from classifiers.evaluate.metrics import NUM_BINS

TINY = np.finfo(np.float64).tiny  # probabilities of 0 have a logarithm, too


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


def score_head(
    target: np.ndarray, prob: np.ndarray, cluster: np.ndarray, confidence: float
) -> dict[str, tuple[float, list[float] | None]]:
    """Return brier, log_loss and ece of a head, each with its interval.

    Intervals are by the jackknife over clusters, with the tail of t; None of a single cluster.

    Args:
        target: class ids int64 [N], none of them MISSING, N > 0.
        prob: float64 [N, K].
        cluster: int64 [N]; images that belong together.
        confidence: of the intervals.
    """
    errors, added = calibration_errors(target, prob[None])
    found = {"ece": (float(errors[0]), added[0])}
    for name, losses in (
        ("brier", brier_losses(target, prob)),
        ("log_loss", log_losses(target, prob)),
    ):
        found[name] = (float(losses.mean()), (losses - losses.mean()) / len(losses))
    return {
        name: (value, _interval(value, influence, cluster, confidence))
        for name, (value, influence) in found.items()
    }


def _interval(
    value: float, influence: np.ndarray, cluster: np.ndarray, confidence: float
) -> list[float] | None:
    """Return the ends of the interval of a figure that is no less than 0.

    Args:
        value: of the figure.
        influence: what each image adds to it, float64 [N].
        cluster: int64 [N].
        confidence: of the interval.
    """
    _, place = np.unique(cluster, return_inverse=True)
    sums = np.bincount(place, influence)
    num = len(sums)
    if num < 2:
        return None
    error = np.sqrt((sums**2).sum() * num / (num - 1))
    width = float(stats.t.ppf((1 + confidence) / 2, num - 1) * error)
    return [max(value - width, 0.0), value + width]
