"""Labels: which of them a classifier that did not learn from them doubts most."""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from facedata import tables
from facedata.errors import DataError

log = logging.getLogger(__name__)

COLUMNS = ("image_id", "attribute", "given", "suggested", "score")


def find_label_issues(curated: pd.DataFrame, predictions: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the labels that are probably wrong, worst first.

    Args:
        curated: image_id and attributes.
        predictions: out-of-fold predictions: image_id and, for each head `name`, a column
            `name:class` of probabilities. An attribute is looked for as a head of its name, in the
            first table that has one.

    Returns:
        image_id, attribute, given, suggested (most probable class) and score (probability of the
        given label, 0..1), sorted by score.

    Raises:
        DataError: no categorical attribute has predictions, or they are of other images.

    Source: confident learning, arXiv:1911.00068; cleanlab.
    """
    found = []
    num_judged = 0
    for name in tables.attributes(curated):
        if not isinstance(curated[name].dtype, pd.CategoricalDtype):
            continue
        classes = list(curated[name].cat.categories)
        for table in predictions:
            if any(f"{name}:{value}" in table.columns for value in classes):
                found.append(_judge(curated[["image_id", name]], table, classes))
                num_judged += 1
                break
        else:
            log.warning("%s: no out-of-fold predictions, its labels are not judged", name)
    if not num_judged:
        raise DataError("--predictions: no head has the name of a categorical attribute")
    issues = pd.concat(found, ignore_index=True)
    return issues.sort_values(["score", "attribute", "image_id"], ignore_index=True)


def _judge(labels: pd.DataFrame, predictions: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Return the doubtful labels of one attribute.

    Args:
        labels: image_id and the attribute.
        predictions: image_id and `attribute:class` columns.
        classes: of the attribute.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    name = labels.columns[1]
    columns = {f"{name}:{value}": value for value in classes}
    if predictions["image_id"].duplicated().any():
        twice = predictions["image_id"][predictions["image_id"].duplicated()].iloc[0]
        raise DataError(f"--predictions: image {twice!r} is there twice")
    table = labels.merge(predictions.reindex(columns=["image_id", *columns]), on="image_id")
    if table.empty:
        raise DataError(f"--predictions: {name}: none of the images is in --curated")
    table = table[table[name].notna()].reset_index(drop=True)
    # Classes without a label cannot be judged, classes never predicted have probability 0.
    present = [value for value in classes if (table[name] == value).any()]
    prob = table[[f"{name}:{value}" for value in present]].fillna(0).to_numpy(dtype=np.float64)
    total = prob.sum(axis=1)
    table, prob = table[total > 0], prob[total > 0] / total[total > 0, None]  # [N, classes]
    given = table[name].map({value: k for k, value in enumerate(present)}).to_numpy(dtype=np.int64)
    if len(set(given)) < 2:
        log.warning("%s: fewer than two classes, its labels are not judged", name)
        return pd.DataFrame(columns=COLUMNS)

    is_issue = find_label_issues(given, prob, n_jobs=1)
    score = get_label_quality_scores(given, prob)
    issues = pd.DataFrame(
        {
            "image_id": table["image_id"],
            "attribute": name,
            "given": table[name].astype(str),
            "suggested": np.array(present)[prob.argmax(axis=1)],
            "score": score.round(6),
        }
    )[is_issue]
    log.info("%s: %d of %d labels are doubtful", name, len(issues), len(table))
    return issues
