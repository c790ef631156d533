"""Confusions of predictions, and what is known of each class by them."""

import numpy as np

from classifiers.models.heads import MISSING


def confusion_matrix(target: np.ndarray, pred: np.ndarray, num_classes: int) -> np.ndarray:
    """Return counts [num_classes, num_classes] int64: row the true class, column the predicted.

    Args:
        target: class ids int64 [N]; images of class MISSING are left out.
        pred: class ids int64 [N].
    """
    known = target != MISSING
    pairs = target[known] * num_classes + pred[known]
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole, NaN where whole is 0."""
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)


def recalls(confusion: np.ndarray) -> np.ndarray:
    """Return each class's recall [..., K] of confusions [..., K, K]; NaN without true images."""
    return share(np.einsum("...kk->...k", confusion), confusion.sum(axis=-1))


def f1_scores(confusion: np.ndarray) -> np.ndarray:
    """Return each class's F1 [..., K] of confusions [..., K, K]; NaN without true images."""
    hits = np.einsum("...kk->...k", confusion)
    support = confusion.sum(axis=-1)
    scores = share(2 * hits, support + confusion.sum(axis=-2))
    return np.where(support > 0, scores, np.nan)


def mean_known(values: np.ndarray) -> np.ndarray:
    """Return the mean over the last axis without NaN; NaN where nothing is known."""
    known = ~np.isnan(values)
    return share(np.where(known, values, 0).sum(axis=-1), known.sum(axis=-1))
