"""Labels: which of them a classifier that did not learn from them doubts most."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import erfc

from facedata.columns import LABEL_ISSUES, attributes_of
from facedata.ingest.derived import bin_values
from facekit.errors import DataError

log = logging.getLogger(__name__)

# Robust standard deviations off its prediction from which a number is listed, and an issue.
LISTED_DEVIATION, ISSUE_DEVIATION = 2.0, 3.5
MAX_SHARE = 0.15  # of labels called wrong; more say that the predictions are poor, not the labels
MAD = 0.6745  # median absolute deviation of a normal distribution, in standard deviations


def find_label_issues(
    labelled: pd.DataFrame,
    predictions: pd.DataFrame,
    derived: Sequence[Mapping[str, Any]] = (),
) -> pd.DataFrame:
    """Return the labels that predictions contradict, worst first.

    Classes of a number are as doubtful as the number: they are listed where the predicted number
    is of another class.

    Args:
        labelled: image_id and attributes.
        predictions: out-of-fold predictions of the same images, or some of them: image_id, for
            each class of a judged attribute a column `attribute:class` of probabilities, for each
            judged number a column of its name.
        derived: attributes made of others, as in `facedata.ingest.derived`.

    Returns:
        image_id, attribute, given, suggested (most probable class, or predicted number), score
        (0..1, see `judge_classes` and `judge_numbers`) and issue (bool, whether the label counts as
        wrong), sorted by score. Classes are listed where they are not the most probable one,
        numbers from a deviation of LISTED_DEVIATION on. No row if predictions have no attribute.

    Raises:
        DataError: no attribute has predictions, or they are of other images.
    """
    if predictions["image_id"].duplicated().any():
        twice = predictions["image_id"][predictions["image_id"].duplicated()].iloc[0]
        raise DataError(f"--predictions: image {twice!r} is there twice")
    if set(predictions.columns) <= {"image_id", "fold"}:
        log.warning("no predictions, no labels are judged")
        return pd.DataFrame(columns=LABEL_ISSUES.names)
    table = labelled[["image_id"]].merge(predictions, on="image_id", how="left")
    if table.drop(columns="image_id").isna().all(axis=None):
        raise DataError("--predictions: none of the images has predictions")
    followers = {item["name"] for item in derived}
    found = []
    for name in attributes_of(labelled):
        labels, has_classes = labelled[name], isinstance(labelled[name].dtype, pd.CategoricalDtype)
        columns = [f"{name}:{value}" for value in labels.cat.categories] if has_classes else [name]
        if not set(columns) & set(predictions.columns):
            if name not in followers:
                log.info("%s: no predictions, its labels are not judged", name)
            continue
        # A class that was never seen in training is never predicted.
        predicted = table.reindex(columns=columns)
        is_judged = labels.notna().to_numpy() & predicted.notna().any(axis=1).to_numpy()
        judge = _class_issues if has_classes else _number_issues
        issues = judge(labels[is_judged], predicted.fillna(0).to_numpy(dtype=float)[is_judged])
        image_ids = labelled["image_id"].to_numpy()[is_judged]
        issues.insert(0, "image_id", image_ids[issues.index])
        issues.insert(1, "attribute", name)
        found.append(issues)
        num_issues, num_judged = issues["issue"].sum(), is_judged.sum()
        log.info("%s: %d of %d labels are doubtful", name, num_issues, num_judged)
        if num_issues > MAX_SHARE * num_judged:
            log.warning("%s: so many that the predictions may be to blame; train longer", name)
    if not found:
        raise DataError("--predictions: of no attribute of --labelled")
    issues = pd.concat(found, ignore_index=True)[LABEL_ISSUES.names]
    issues = pd.concat([issues, *_follow(issues, derived)], ignore_index=True)
    return issues.sort_values(["score", "attribute", "image_id"], ignore_index=True)


def judge_classes(given: np.ndarray, prob: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which labels are issues (bool [N]) and the probability of each given label (0..1).

    Each attribute is a problem of its own, also where an image has many (multi-label).

    Args:
        given: class ids, int64 [N].
        prob: out of fold, float64 [N, num_classes]; classes without a label are left out.

    Source: confident learning, arXiv:1911.00068; cleanlab.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    present, given = np.unique(given, return_inverse=True)
    if len(present) < 2:
        return np.zeros(len(given), dtype=bool), np.ones(len(given))
    prob = prob[:, present] + 1e-12  # an image of which only absent classes were predicted
    prob = prob / prob.sum(axis=1, keepdims=True)
    return find_label_issues(given, prob, n_jobs=1), get_label_quality_scores(given, prob)


def judge_numbers(given: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which numbers are issues (bool [N]), and how probable errors as large as theirs are.

    Errors are measured in robust standard deviations, from the median of all; the score is the
    two-sided tail of a normal distribution.

    Args:
        given: float64 [N].
        predicted: out of fold, float64 [N].

    Source: modified z-scores, Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993.
    """
    error = given - predicted
    error = np.abs(error - np.median(error))
    deviation = MAD * error / max(np.median(error), 1e-12)
    return deviation > ISSUE_DEVIATION, erfc(deviation / np.sqrt(2))


def _class_issues(labels: pd.Series, prob: np.ndarray) -> pd.DataFrame:
    """Return given, suggested, score and issue of the labels that are not the likeliest class."""
    given = labels.cat.codes.to_numpy(dtype=np.int64)
    is_issue, score = judge_classes(given, prob)
    present = np.isin(np.arange(prob.shape[1]), given)
    suggested = np.where(present, prob, -1).argmax(axis=1)
    categories = labels.cat.categories.to_numpy(dtype=object)
    table = pd.DataFrame(
        {
            "given": categories[given],
            "suggested": categories[suggested],
            "score": score.round(6),
            "issue": is_issue,
        }
    )
    return table[suggested != given]


def _number_issues(labels: pd.Series, predicted: np.ndarray) -> pd.DataFrame:
    """Return given, suggested, score and issue of the numbers that are far off."""
    is_issue, score = judge_numbers(labels.to_numpy(dtype=float), predicted[:, 0])
    table = pd.DataFrame(
        {
            "given": [f"{value:g}" for value in labels],
            "suggested": [f"{value:.3g}" for value in predicted[:, 0]],
            "score": [float(f"{value:.6g}") for value in score],
            "issue": is_issue,
        }
    )
    return table[score < erfc(LISTED_DEVIATION / np.sqrt(2))]


def _follow(issues: pd.DataFrame, derived: Sequence[Mapping[str, Any]]) -> Iterator[pd.DataFrame]:
    """Yield the issues of classes that are made of doubted numbers."""
    for item in derived:
        if "bins" not in item:
            continue  # joint classes: what is wrong with them is listed at their sources
        of_source = issues[issues["attribute"] == item["source"]]
        classes = {
            column: bin_values(of_source[column].astype(float), item["bins"], item["classes"])
            for column in ("given", "suggested")
        }
        follow = of_source.assign(attribute=item["name"], **classes)
        follow = follow.astype({"given": "str", "suggested": "str"})
        yield follow[follow["given"] != follow["suggested"]]
