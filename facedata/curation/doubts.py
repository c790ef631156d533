"""Doubtful labels of a table, by the probabilities that any program predicts out of fold."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from facedata.curation.labels import find_label_issues
from facedata.ingest import table_rows
from facedata.ingest.adapters.declared import normal
from facedata.ingest.adapters.reading import MISSING
from facekit.errors import DataError
from facekit.storage import kinds

log = logging.getLogger(__name__)

LABEL = "label"
SUMS_TO_ONE = 1e-3  # that rows of probabilities may be off by


def find_doubts(
    labels: Path, probabilities: Path, column: str | None, classes: Sequence[str]
) -> pd.DataFrame:
    """Return the labels that predictions contradict, worst first.

    Args:
        labels: CSV, Excel or Parquet, a row an image; its first column names the image.
        probabilities: .npy, [N, num_classes] in the order of the rows, each of a model that did not
            learn from that row; rows sum to 1.
        column: of the labels; None: `label`, or the only one beside the first.
        classes: in the order of the probabilities; none: by the alphabet, as scikit-learn has them.
            Labels such as `n/a` that are none of them are missing ones.

    Returns:
        As `labels.find_label_issues`; image_id is the first column's.

    Raises:
        DataError: the files cannot be read, or do not fit together.
    """
    heading, records = table_rows.read_cells(labels, [])
    name = column or _only_column(heading, labels)
    if name not in heading[1:]:
        raise DataError(f"{labels}: no column {name!r} beside the first, found {heading}")
    heading, records = table_rows.read_cells(labels, [heading[0], name])
    place = heading.index(name)
    rows = [(cells[0].strip(), "".join(cells[place : place + 1]).strip()) for cells in records]
    given = pd.Series([label or None for _, label in rows], dtype="str")
    prob = _load(probabilities)
    order = list(classes) or _by_alphabet(given, prob)
    void = given.isin([one for one in _missing(given) if one not in order])
    if void.any():
        words = ", ".join(f"{one!r} {n}" for one, n in given[void].value_counts().items())
        log.info("%s: read as missing: %s", name, words)
        given = given.mask(void)
    unknown = sorted(set(given.dropna()) - set(order))
    if unknown:
        raise DataError(f"--classes: {order} lack {unknown[0]!r}, a label of {labels}")
    prob = _checked(prob, probabilities, len(rows), order)
    ids = [image_id for image_id, _ in rows]
    labelled = pd.DataFrame({"image_id": ids, name: pd.Categorical(given, order)})
    if labelled["image_id"].duplicated().any():
        twice = labelled["image_id"][labelled["image_id"].duplicated()].iloc[0]
        raise DataError(f"{labels}: {twice!r} is there twice, expected a row an image")
    predicted = pd.DataFrame(prob, columns=[f"{name}:{value}" for value in order])
    predicted.insert(0, "image_id", ids)
    return find_label_issues(labelled, predicted)


def _only_column(heading: Sequence[str], path: Path) -> str:
    if LABEL in heading[1:]:
        return LABEL
    if len(heading) == 2:
        return heading[1]
    raise DataError(f"{path}: which column holds labels? --column NAME, one of {heading[1:]}")


def _missing(given: pd.Series) -> list[str]:
    """Return the labels that stand for none where they are no classes: `n/a`, `?`, `unknown`."""
    return [one for one in given.dropna().unique() if normal(one) in MISSING]


def _by_alphabet(given: pd.Series, prob: np.ndarray) -> list[str]:
    """Return the classes that are there: without words for none, if the columns are as many."""
    found = sorted(given.dropna().unique())
    void = _missing(given)
    num_columns = prob.shape[1] if prob.ndim == 2 else 0
    return [one for one in found if one not in void or num_columns != len(found) - len(void)]


def _load(path: Path) -> np.ndarray:
    try:
        prob = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError):
        found = kinds.of_file(path) or "something else"
        raise DataError(f"{path}: {found}, expected an array as numpy.save writes it") from None
    if not isinstance(prob, np.ndarray) or prob.dtype.kind not in "fiu":
        raise DataError(f"{path}: no array of numbers, expected one as numpy.save writes it")
    return prob


def _checked(prob: np.ndarray, path: Path, num_rows: int, classes: Sequence[str]) -> np.ndarray:
    """Return probabilities, float64 [num_rows, num_classes], each of a row of the table."""
    expected = f"numbers [{num_rows}, {len(classes)}], a row a label and a column a class"
    if prob.shape != (num_rows, len(classes)):
        raise DataError(f"{path}: found {list(prob.shape)}, expected {expected} ({classes})")
    prob = prob.astype(np.float64)
    is_odd = ~(np.abs(prob.sum(axis=1) - 1) <= SUMS_TO_ONE) | (prob < 0).any(axis=1)
    if is_odd.any():
        row = int(np.flatnonzero(is_odd)[0])
        raise DataError(
            f"{path}: row {row + 1} is {prob[row].round(4).tolist()}, expected probabilities that"
            " sum to 1"
        )
    return prob
