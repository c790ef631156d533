"""Measures of predictions, from confusion matrices."""

from collections.abc import Callable
from typing import Any

import numpy as np

from classifiers.heads import MISSING, Head

NUM_BINS = 15  # of the calibration error, as in arXiv:1706.04599


def confusion_matrix(target: np.ndarray, pred: np.ndarray, num_classes: int) -> np.ndarray:
    """Return counts [num_classes, num_classes] int64: row the true class, column the predicted.

    Args:
        target: class ids int64 [N]; images of class MISSING are left out.
        pred: class ids int64 [N].
    """
    known = target != MISSING
    pairs = target[known] * num_classes + pred[known]
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole, NaN where whole is 0."""
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)


def recalls(confusion: np.ndarray) -> np.ndarray:
    """Return each class's recall [..., K] of confusions [..., K, K]; NaN without true images."""
    return _share(np.einsum("...kk->...k", confusion), confusion.sum(axis=-1))


def f1_scores(confusion: np.ndarray) -> np.ndarray:
    """Return each class's F1 [..., K] of confusions [..., K, K]; NaN without true images."""
    hits = np.einsum("...kk->...k", confusion)
    support = confusion.sum(axis=-1)
    scores = _share(2 * hits, support + confusion.sum(axis=-2))
    return np.where(support > 0, scores, np.nan)


def _mean_known(values: np.ndarray) -> np.ndarray:
    """Return the mean over the last axis without NaN; NaN where nothing is known."""
    known = ~np.isnan(values)
    return _share(np.where(known, values, 0).sum(axis=-1), known.sum(axis=-1))


def accuracy(confusion: np.ndarray) -> np.ndarray:
    """Return the share of images [...] whose class is right."""
    return _share(np.einsum("...kk->...", confusion), confusion.sum(axis=(-2, -1)))


def balanced_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Return the mean recall [...] over the classes that have true images."""
    return _mean_known(recalls(confusion))


def macro_f1(confusion: np.ndarray) -> np.ndarray:
    """Return the mean F1 [...] over the classes that have true images."""
    return _mean_known(f1_scores(confusion))


# Measures by name: confusions [..., K, K], any counts or weights -> [...].
MEASURES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
}


def calibration_error(target: np.ndarray, prob: np.ndarray) -> float:
    """Return the expected calibration error: mean gap of confidence and accuracy, in [0, 1].

    Args:
        target: class ids int64 [N], none of them MISSING.
        prob: float [N, num_classes].

    Source: arXiv:1706.04599, equation 3, bins of equal width.
    """
    confidence = prob.max(axis=1)
    gap = (prob.argmax(axis=1) == target) - confidence
    place = np.clip(np.ceil(confidence * NUM_BINS).astype(int) - 1, 0, NUM_BINS - 1)
    return float(np.abs(np.bincount(place, weights=gap, minlength=NUM_BINS)).sum() / len(target))


def head_metrics(head: Head, target: np.ndarray, output: np.ndarray) -> dict[str, Any]:
    """Return a head's measures over the images that have its label, as plain values.

    Args:
        head: categorical or numeric.
        target: as of `head_targets`.
        output: probabilities [N, num_classes], or values [N] in the attribute's own unit.

    Returns:
        Categorical: accuracy, balanced_accuracy, macro_f1, ece, support (int) and per_class
        {class: {precision, recall, f1, support}}. Numeric: mae, rmse (both in the attribute's
        unit), r2, support. None where nothing is defined (a class without images).
    """
    if head.kind == "numeric":
        return _numeric_metrics(target, output)
    known = target != MISSING
    target, output = target[known], output[known]
    confusion = confusion_matrix(target, output.argmax(axis=1), len(head.classes))
    precision = _share(np.diagonal(confusion), confusion.sum(axis=0))
    columns = [precision, recalls(confusion), f1_scores(confusion)]
    per_class = {
        name: {
            "precision": _plain(columns[0][k]),
            "recall": _plain(columns[1][k]),
            "f1": _plain(columns[2][k]),
            "support": int(confusion[k].sum()),
        }
        for k, name in enumerate(head.classes)
    }
    figures = {name: _plain(measure(confusion)) for name, measure in MEASURES.items()}
    ece = calibration_error(target, output) if len(target) else None
    return {**figures, "ece": ece, "support": len(target), "per_class": per_class}


def _numeric_metrics(target: np.ndarray, output: np.ndarray) -> dict[str, Any]:
    known = ~np.isnan(target)
    target, gap = target[known], output[known] - target[known]
    if not len(target):
        return {"mae": None, "rmse": None, "r2": None, "support": 0}
    spread = ((target - target.mean()) ** 2).sum()
    return {
        "mae": float(np.abs(gap).mean()),
        "rmse": float(np.sqrt((gap**2).mean())),
        "r2": float(1 - (gap**2).sum() / spread) if spread > 0 else None,
        "support": len(target),
    }


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
