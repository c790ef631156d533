"""What each test image adds to the difference of two arms: the jackknife, and variances by it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from facekit.errors import DataError

Measure = Callable[[np.ndarray], np.ndarray]  # confusions [..., K, K] -> [...]


@dataclass(frozen=True)
class Sample:
    """The difference (arm minus baseline) measured in one round.

    Attributes:
        values: by seed, float64 [S].
        influence: what each cluster of test images adds to each value, float64 [S, num_clusters]:
            the value minus the value without the cluster, to first order. Images of a
            person, or copies of each other, are one cluster.
        support: images of the rarest class in the test part, or what else is counted of it; 0
            where a class has none.
        cluster_ids: int64 [num_clusters], the same number for the same cluster in all rounds.
    """

    values: np.ndarray
    influence: np.ndarray
    support: int
    cluster_ids: np.ndarray


def jackknife_cells(confusion: np.ndarray, measure: Measure) -> np.ndarray:
    """Return what one image of each cell adds to a measure: with all images minus without it.

    Args:
        confusion: counts [..., K, K], row the true class.
        measure: of confusions.

    Returns:
        float64 [..., K, K], 0 in cells without images, and where the measure is not defined
        without the image (the only one of its class). All images of a cell add the same, so this
        is the whole delete-one jackknife.
    """
    confusion = np.asarray(confusion, dtype=np.float64)
    num_classes = confusion.shape[-1]
    one = np.eye(num_classes**2).reshape(-1, num_classes, num_classes)
    without = np.maximum(confusion[..., None, :, :] - one, 0)  # [..., K*K, K, K]
    added = (measure(confusion)[..., None] - measure(without)).reshape(confusion.shape)
    return np.where((confusion > 0) & ~np.isnan(added), added, 0.0)


def confusions(target: np.ndarray, pred: np.ndarray, num_classes: int) -> np.ndarray:
    """Return counts float64 [S, K, K] of class ids target int64 [N] and pred int64 [S, N]."""
    cells = target * num_classes + pred  # [S, N]
    cells = cells + np.arange(len(pred))[:, None] * num_classes**2
    counts = np.bincount(cells.ravel(), minlength=len(pred) * num_classes**2)
    return counts.reshape(-1, num_classes, num_classes).astype(np.float64)


def sum_clusters(values: np.ndarray, cluster: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return sums over the images of each cluster, [S, num_clusters], and the clusters' ids.

    Args:
        values: [S, N].
        cluster: int64 [N].
    """
    ids, place = np.unique(cluster, return_inverse=True)
    sums = np.stack([np.bincount(place, row, minlength=len(ids)) for row in values])
    return sums, ids


def sample_measure(
    target: np.ndarray,
    pred: np.ndarray,
    cluster: np.ndarray,
    measure: Measure,
    num_classes: int,
) -> Sample:
    """Return a measure of an arm's predicted classes in one round: it minus nothing.

    Args:
        target: class ids int64 [N], none missing.
        pred: predicted class ids of the seeds, int64 [S, N].
        cluster: int64 [N]; images that belong together.
        measure: of confusions, such as those of `classifiers.measures`; it must not change when
            all counts are multiplied.
        num_classes: K.

    Raises:
        DataError: shapes do not fit together, or the measure is not defined on these images.

    Source: the jackknife over clusters, Efron 1982 (doi:10.1137/1.9781611970319), chapter 3.
    """
    if pred.shape[1:] != target.shape:
        raise DataError(
            f"predictions of shape {pred.shape} for {len(target)} images; expected one of each"
            " image and seed"
        )
    counts = confusions(target, pred, num_classes)
    values = measure(counts)
    if np.isnan(values).any():
        raise DataError("the measure is not defined on these test images")
    cells = jackknife_cells(counts, measure).reshape(len(pred), -1)
    added = np.take_along_axis(cells, target * num_classes + pred, axis=1)
    influence, ids = sum_clusters(added, cluster)
    support = np.bincount(target, minlength=num_classes).min()
    return Sample(values, influence, int(support), ids)


def difference_of(arm: Sample, other: Sample) -> Sample:
    """Return the difference of two arms' samples of the same round.

    Raises:
        DataError: they have other seeds or clusters.
    """
    if arm.influence.shape != other.influence.shape:
        raise DataError(
            f"predictions of {arm.influence.shape} and {other.influence.shape} seeds and clusters;"
            " expected the same seeds and images in both arms"
        )
    values, influence = arm.values - other.values, arm.influence - other.influence
    return Sample(values, influence, arm.support, arm.cluster_ids)


def sample_classes(
    target: np.ndarray,
    baseline: np.ndarray,
    arm: np.ndarray,
    cluster: np.ndarray,
    measure: Measure,
    num_classes: int,
) -> Sample:
    """Return the difference of a measure of predicted classes in one round.

    Args:
        target: class ids int64 [N], none missing.
        baseline, arm: predicted class ids of the seeds, int64 [S, N].
        cluster: int64 [N]; images that belong together.
        measure: see `sample_measure`.
        num_classes: K.

    Raises:
        DataError: shapes do not fit together, or the measure is not defined on these images.
    """
    parts = [
        sample_measure(target, pred, cluster, measure, num_classes) for pred in (arm, baseline)
    ]
    return difference_of(*parts)


def sample_losses(
    target: np.ndarray, baseline: np.ndarray, arm: np.ndarray, cluster: np.ndarray
) -> Sample:
    """Return the difference of the mean of something that each image has, in one round.

    Args:
        target: class ids int64 [N], for the support.
        baseline, arm: such as `scores.brier_losses` of the seeds, float64 [S, N].
        cluster: int64 [N].
    """
    gap = arm - baseline
    values = gap.mean(axis=1)
    added = (gap - values[:, None]) / max(gap.shape[1] - 1, 1)
    influence, ids = sum_clusters(added, cluster)
    occurring = np.bincount(target)
    return Sample(values, influence, int(occurring[occurring > 0].min()), ids)


def squared_step(influence: np.ndarray) -> float:
    """Return the square of the step in which a value changes, by one cluster more or less.

    The mean over the influences' squares, each weighted by itself; 0 where nothing has any.

    Args:
        influence: of the value, float64 [C].
    """
    squares = influence**2
    total = float(squares.sum())
    return float((squares**2).sum()) / total if total > 0 else 0.0


def spread(influence: np.ndarray) -> np.ndarray:
    """Return the covariance [S, S] that drawing other clusters gives the rows of [S, C]."""
    num = influence.shape[1]
    centred = influence - influence.mean(axis=1, keepdims=True)
    return centred @ centred.T * (num - 1) / num


def shared_variance(influence: np.ndarray) -> float:
    """Return the variance that repetitions on the same test images have in common, at least 0.

    Args:
        influence: of the repetitions, float64 [S, C].

    Returns:
        The mean covariance of two repetitions; of one alone its variance.
    """
    covariance = spread(influence)
    num = len(covariance)
    if num == 1:
        return float(covariance.item())
    return max(float(covariance.sum() - np.trace(covariance)) / (num * (num - 1)), 0.0)
