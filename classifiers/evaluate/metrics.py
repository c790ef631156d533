"""Measures of predictions, from confusion matrices."""

from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score

from classifiers.evaluate.confusions import (
    confusion_matrix,
    f1_scores,
    mean_known,
    recalls,
    share,
)
from classifiers.measures import MEASURES
from classifiers.models.heads import MISSING, Head

NUM_BINS = 15  # of the calibration error, as in arXiv:1706.04599


def average_precisions(target: np.ndarray, prob: np.ndarray) -> np.ndarray:
    """Return each class's average precision against the rest [K]; NaN without either of both.

    Args:
        target: class ids int64 [N], none of them MISSING.
        prob: float [N, K].
    """
    counts = np.bincount(target, minlength=prob.shape[1])
    is_told = (counts > 0) & (counts < len(target))
    found = [
        average_precision_score(target == k, prob[:, k]) if is_told[k] else np.nan
        for k in range(prob.shape[1])
    ]
    return np.array(found)


def calibration_bins(target: np.ndarray, prob: np.ndarray) -> np.ndarray:
    """Return sums over the images of each bin of confidence, float64 [NUM_BINS, 3].

    They are of 1, of the confidence (the largest probability) and of whether it is right.

    Args:
        target: class ids int64 [N], none of them MISSING.
        prob: float [N, num_classes].
    """
    confidence = prob.max(axis=1)
    place = np.clip(np.ceil(confidence * NUM_BINS).astype(int) - 1, 0, NUM_BINS - 1)
    columns = (np.ones_like(confidence), confidence, prob.argmax(axis=1) == target)
    sums = [np.bincount(place, weights=one, minlength=NUM_BINS) for one in columns]
    return np.stack(sums, axis=1)


def calibration_error(target: np.ndarray, prob: np.ndarray) -> float:
    """Return the expected calibration error: mean gap of confidence and accuracy, in [0, 1].

    Arguments as of `calibration_bins`.

    Source: arXiv:1706.04599, equation 3, bins of equal width.
    """
    _, confidence, right = calibration_bins(target, prob).T
    return float(np.abs(right - confidence).sum() / len(target))


def head_metrics(head: Head, target: np.ndarray, output: np.ndarray) -> dict[str, Any]:
    """Return a head's measures over the images that have its label, as plain values.

    Args:
        head: categorical or numeric.
        target: as of `head_targets`.
        output: probabilities [N, num_classes], or values [N] in the attribute's own unit.

    Returns:
        With classes: each of MEASURES, average_precision (mean over the classes that have true
        images, where there are several), ece, support (int) and per_class {class: {precision,
        recall, f1, average_precision, support}}. Numeric: mae, rmse (both in the attribute's unit),
        r2, support. None where nothing is defined (a class without images).
    """
    if head.kind == "numeric":
        return _numeric_metrics(target, output)
    known = target != MISSING
    target, output = target[known], output[known]
    confusion = confusion_matrix(target, output.argmax(axis=1), len(head.classes))
    columns = {
        "precision": share(np.diagonal(confusion), confusion.sum(axis=0)),
        "recall": recalls(confusion),
        "f1": f1_scores(confusion),
        "average_precision": average_precisions(target, output),
    }
    per_class = {
        name: {
            **{measure: plain(values[k]) for measure, values in columns.items()},
            "support": int(confusion[k].sum()),
        }
        for k, name in enumerate(head.classes)
    }
    return {
        **{name: plain(measure(confusion)) for name, measure in MEASURES.items()},
        "average_precision": plain(mean_known(columns["average_precision"])),
        "ece": calibration_error(target, output) if len(target) else None,
        "support": len(target),
        "per_class": per_class,
    }


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


def plain(value: float | np.ndarray) -> float | None:
    """Return a number (or an array of one) for JSON: None where it is not defined (NaN)."""
    return None if np.isnan(value) else float(value)
