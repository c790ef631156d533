"""What is fitted to predictions of val: a temperature a head, and thresholds of two classes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from classifiers.measures import MEASURES
from classifiers.models.heads import MISSING, Head
from classifiers.options import NO_THRESHOLD
from classifiers.predict.predicted import prediction_columns
from facekit.errors import DataError
from facekit.storage import files

FILE = "calibration.json"  # of `classifiers evaluate`
LIMITS = (0.05, 20.0)  # of a temperature
TINY = np.finfo(np.float64).tiny  # probabilities of 0 have a logarithm, too


@dataclass(frozen=True)
class Calibration:
    """How a head's probabilities are read.

    Attributes:
        temperature: that its logits are divided by; 1 changes nothing.
        threshold: calibrated probability of the second of two classes from which on it is chosen;
            None for the most probable class.
    """

    temperature: float = 1.0
    threshold: float | None = None


THRESHOLD = ".threshold"  # the end of a column's name
UNTUNED = 0.5


def scale(prob: np.ndarray, temperature: float) -> np.ndarray:
    """Return probabilities [N, K] of logits divided by a temperature; logits are log prob."""
    return softmax(np.log(np.maximum(prob, TINY)) / temperature, axis=1)


def fit_temperature(target: np.ndarray, prob: np.ndarray) -> float:
    """Return the temperature with the least negative log likelihood, in LIMITS; else 1.

    Images of one class alone tell nothing of how sure one may be: it is 1, too.

    Args:
        target: class ids int64 [N]; images of class MISSING are left out.
        prob: float [N, K].

    Source: arXiv:1706.04599, section 4.2.
    """
    known = target != MISSING
    if len(np.unique(target[known])) < 2:
        return 1.0
    logits, target = np.log(np.maximum(prob[known], TINY)), target[known]

    def loss(log_temperature: float) -> float:
        log_prob = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -log_prob[np.arange(len(target)), target].mean()

    bounds = np.log(LIMITS)
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    is_better = found.fun < loss(0.0) - 1e-9  # of predictions that are sure and right: flat
    return float(np.exp(found.x)) if is_better else 1.0


def fit_threshold(target: np.ndarray, prob: np.ndarray, measure: str) -> float | None:
    """Return the threshold with the best measure, of equally good ones the nearest to 0.5.

    Args:
        target: class ids int64 [N] in 0..1; images of class MISSING are left out.
        prob: of the second class, float [N].
        measure: one of MEASURES.

    Returns:
        Halfway between two probabilities, or 0.5; None if one of the classes has no image.
    """
    scores = [np.sort(prob[target == one]) for one in (0, 1)]
    if not all(map(len, scores)):
        return None
    values = np.unique(np.concatenate([[0.0], *scores, [1.0]]))
    thresholds = np.append((values[1:] + values[:-1]) / 2, 0.5)
    below = np.stack([np.searchsorted(one, thresholds) for one in scores], axis=1)  # [T, 2]
    confusion = np.stack([below, [len(one) for one in scores] - below], axis=2)  # [T, 2, 2]
    found = MEASURES[measure](confusion)
    best = thresholds[found >= found.max() - 1e-12]
    return float(best[np.abs(best - 0.5).argmin()])


def calibrate(
    heads: Sequence[Head],
    targets: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    measure: str,
) -> dict[str, Calibration]:
    """Return the calibration of each head with classes.

    Args:
        heads: all of them.
        targets: of val, by head, as of `head_targets`.
        outputs: for val, by head, as of `predict`.
        measure: that thresholds are tuned for, one of MEASURES or NO_THRESHOLD.
    """
    found = {}
    for head in heads:
        if not head.classes:
            continue
        target, prob = targets[head.name], outputs[head.name]
        temperature = fit_temperature(target, prob)
        threshold = None
        if measure != NO_THRESHOLD and len(head.classes) == 2:
            threshold = fit_threshold(target, scale(prob, temperature)[:, 1], measure)
        found[head.name] = Calibration(temperature, threshold)
    return found


def choose(prob: np.ndarray, threshold: float | None) -> np.ndarray:
    """Return class ids int64 [N] from calibrated probabilities [N, K]; see `Calibration`."""
    return prob.argmax(axis=1) if threshold is None else (prob[:, 1] >= threshold).astype(np.int64)


def calibrated_columns(
    heads: Sequence[Head],
    outputs: Mapping[str, np.ndarray],
    calibrations: Mapping[str, Calibration],
) -> dict[str, pd.Series]:
    """Return columns of a table of calibrated predictions; see `prediction_columns`.

    Args:
        heads: that were predicted.
        outputs: by head as of `inference.predict`.
        calibrations: by head; what a head without one says is left as it is.
    """
    scaled, chosen = dict(outputs), {}
    for head in heads:
        if head.kind == "numeric":
            continue
        calibration = calibrations.get(head.name)
        if calibration is not None:
            scaled[head.name] = scale(outputs[head.name], calibration.temperature)
        threshold = None if calibration is None else calibration.threshold
        chosen[head.name] = choose(scaled[head.name], threshold)
    return prediction_columns(heads, scaled, chosen)


def threshold_columns(
    heads: Sequence[Head], calibrations: Mapping[str, Calibration]
) -> dict[str, float]:
    """Return `name.threshold` of each head with two classes, 0.5 where it was not tuned.

    From that probability on a face is of the second class.
    """
    found = {}
    for head in heads:
        if len(head.classes) == 2:
            tuned = calibrations[head.name].threshold if head.name in calibrations else None
            found[f"{head.name}{THRESHOLD}"] = UNTUNED if tuned is None else tuned
    return found


def write_calibration(found: Mapping[str, Calibration], path: Path) -> None:
    """Write calibrations by head as JSON."""
    files.write_json({name: asdict(one) for name, one in found.items()}, path)


def read_calibration(path: Path) -> dict[str, Calibration]:
    """Return calibrations by head.

    Raises:
        DataError: not such a file.
    """
    values = files.read_json(path)
    try:
        return {name: Calibration(**one) for name, one in values.items()}
    except (AttributeError, TypeError):
        raise DataError(f"{path}: no calibration of `classifiers evaluate`") from None


def read_beside(models: Sequence[Path]) -> dict[str, Calibration]:
    """Return the calibrations that were fitted to a model, or to the mean of several.

    That of one lies beside it, that of several, each in its folder, in the folder above them.
    Without such a file there are none.
    """
    folder = models[0].parent if len(models) == 1 else models[0].parent.parent
    path = folder / FILE
    return read_calibration(path) if path.is_file() else {}
