"""What features tell: which labels a quick classifier doubts, and which pictures stand alone."""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd

from facedata.curation import labels as judging
from facedata.options import CurateOptions

log = logging.getLogger(__name__)

FEWEST = 40  # labelled photographs; of fewer nothing is told
FEWEST_OF_CLASS = 5
FOLDS = 5
# Strengths of logistic regression that are tried, C times the number of photographs: the one whose
# probabilities are best out of fold is taken.
STRENGTHS = (1.5, 12.0, 96.0)
ABOVE_CHANCE = 0.25  # of balanced accuracy; less, and its doubts mean nothing
NEIGHBOURS = 5
FAR = 4.0  # robust standard deviations of the log distance to neighbours, for an outlier
NORMAL = 1.4826  # standard deviations of a normal distribution in its median absolute deviation


@dataclass(frozen=True)
class Doubts:
    """What a quick classifier says of labels.

    Attributes:
        issues: image_id, attribute, given, suggested, score, issue, as in `label_issues.csv`.
        said: how good the classifier is, in sentences, an attribute each.
    """

    issues: pd.DataFrame
    said: list[str]


def find_doubts(
    labels: pd.DataFrame, features: np.ndarray, units: np.ndarray, seed: int = 0
) -> Doubts:
    """Return the labels that predictions from features contradict, out of fold.

    A logistic regression (of numbers: ridge regression) on the features, each photograph judged by
    one that saw no photograph of its unit.

    Args:
        labels: image_id and attributes, [N].
        features: float [N, F].
        units: what stays in one fold, such as copies and persons, int [N].
        seed: of the folds.
    """
    predictions: dict[str, np.ndarray] = {}
    said = []
    for name in labels.columns.drop("image_id"):
        values = labels[name]
        has_classes = isinstance(values.dtype, pd.CategoricalDtype)
        usable = values.notna().to_numpy().copy()
        if has_classes:
            usable &= values.isin(_common(values)).to_numpy()
        if usable.sum() < FEWEST or values[usable].nunique() < 2:
            said.append(f"{name}: too few labels to judge them.")
            continue
        given = values[usable].astype(str if has_classes else float).to_numpy()
        found = _out_of_fold(features[usable], given, units[usable], has_classes, seed)
        if found is None:
            said.append(f"{name}: too few persons or photographs that differ to judge labels.")
            continue
        quality, text = _quality(given, found, has_classes)
        said.append(f"{name}: {text}")
        if quality < ABOVE_CHANCE:
            said[-1] += " Its doubts mean nothing and are left out."
            continue
        for column, predicted in found.items():
            full = np.full(len(labels), np.nan)
            full[usable] = predicted
            predictions[f"{name}:{column}" if has_classes else name] = full
    if not predictions:
        return Doubts(pd.DataFrame(columns=["image_id", "attribute"]), said)
    table = pd.DataFrame({"image_id": labels["image_id"], **predictions})
    issues = judging.find_label_issues(labels, table)
    issues = issues[issues["issue"] & (issues["score"] < CurateOptions().max_score)]
    return Doubts(issues.reset_index(drop=True), said)


def _common(values: pd.Series) -> list[str]:
    counts = values.value_counts()
    return list(counts.index[counts >= FEWEST_OF_CLASS])


def _out_of_fold(
    features: np.ndarray, given: np.ndarray, units: np.ndarray, has_classes: bool, seed: int
) -> dict[str, np.ndarray] | None:
    """Return predictions of models that did not see a photograph: by class, or of the number.

    None where a class lies in too few units to be in every part.
    """
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    num_units = len(np.unique(units))
    if num_units < 2 * FOLDS:
        return None
    if not has_classes:
        model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(2, 5, 7)))
        parts = GroupKFold(FOLDS, shuffle=True, random_state=seed)
        return {"": cross_val_predict(model, features, given, groups=units, cv=parts)}
    classes = np.unique(given)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    parts = list(folds.split(features, given, units))
    if any(len(np.unique(given[train])) < 2 for train, _ in parts):
        return None
    best, least = None, np.inf
    for strength in STRENGTHS:
        prob = np.zeros((len(given), len(classes)))
        for train, held in parts:
            regression = LogisticRegression(C=strength / len(train), max_iter=300)
            model = make_pipeline(StandardScaler(), regression).fit(features[train], given[train])
            places = np.searchsorted(classes, model.classes_)
            prob[held[:, None], places] = model.predict_proba(features[held])
        own = prob[np.arange(len(given)), np.searchsorted(classes, given)]
        loss = -np.log(np.maximum(own, 1e-6)).mean()
        if loss < least:
            best, least = prob, loss
    assert best is not None
    return dict(zip(classes, best.T, strict=True))


def _quality(
    given: np.ndarray, found: dict[str, np.ndarray], has_classes: bool
) -> tuple[float, str]:
    """Return how far predictions are above chance (0..1), and that in words."""
    if not has_classes:
        error = np.abs(given - found[""])
        base = np.abs(given - np.median(given))
        gain = 1 - error.mean() / max(base.mean(), 1e-12)
        return gain, (
            f"a quick estimate is off by {error.mean():.3g} on average ({base.mean():.3g} for one"
            " that always says the median)."
        )
    classes = np.array(list(found))
    told = classes[np.stack(list(found.values())).argmax(axis=0)]
    recalls = [np.mean(told[given == one] == one) for one in classes]
    balanced, chance = float(np.mean(recalls)), 1 / len(classes)
    text = (
        f"a quick classifier tells {np.mean(told == given):.0%} of the labels (averaged over"
        f" classes {balanced:.0%}, by chance {chance:.0%})."
    )
    return (balanced - chance) / (1 - chance), text


def find_outliers(features: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Return the deviation of pictures that are far from their neighbours, NaN for others; [N].

    Deviations are robust z-scores of the log of the mean cosine distance to the nearest
    neighbours, copies counted once.

    Args:
        features: float [N, F].
        clusters: of copies, int [N].
    """
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import normalize

    found = np.full(len(features), np.nan)
    _, first = np.unique(clusters, return_index=True)
    if len(first) < FEWEST:
        return found
    known = normalize(features[first])
    near = NearestNeighbors(n_neighbors=NEIGHBOURS + 1, metric="cosine").fit(known)
    distances, _ = near.kneighbors(known)  # the first one is the picture itself
    logs = np.log(np.maximum(distances[:, 1:].mean(axis=1), 1e-9))
    middle = np.median(logs)
    spread = NORMAL * np.median(np.abs(logs - middle))
    deviation = (logs - middle) / max(spread, 1e-6)
    found[first] = np.where(deviation > FAR, deviation, np.nan)
    return found
