"""Counts of two attributes' classes together: are they independent, and how much do they share?"""

import numpy as np
import pandas as pd
from scipy import stats


def count(rows: pd.Series, columns: pd.Series) -> pd.DataFrame:
    """Return how many images are of each class of two category columns, [classes, classes].

    A missing class of either leaves an image out.
    """
    shape = len(rows.cat.categories), len(columns.cat.categories)
    row, column = rows.cat.codes.to_numpy(dtype=np.int64), columns.cat.codes.to_numpy()
    known = (row >= 0) & (column >= 0)
    cell = row[known] * shape[1] + column[known]
    counts = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    return pd.DataFrame(counts, index=rows.cat.categories, columns=columns.cat.categories)


def occupied(counts: np.ndarray) -> np.ndarray:
    """Return the table as float64 without the classes that do not occur, [rows, columns]."""
    counts = np.asarray(counts, dtype=np.float64)
    counts = counts[counts.sum(axis=1) > 0]
    return counts[:, counts.sum(axis=0) > 0]


def expected(counts: np.ndarray) -> np.ndarray:
    """Return the counts of independent attributes with the same marginals, [rows, columns]."""
    return np.outer(counts.sum(axis=1), counts.sum(axis=0)) / max(counts.sum(), 1)


def chi_square(counts: np.ndarray) -> tuple[float, int, float]:
    """Return Pearson's statistic, its degrees of freedom and p (without continuity correction).

    Classes that do not occur are left out; with a single one left the p is NaN.
    """
    counts = occupied(counts)
    if min(counts.shape) < 2:
        return 0.0, 0, np.nan
    degrees = (counts.shape[0] - 1) * (counts.shape[1] - 1)
    chance = expected(counts)
    statistic = float(((counts - chance) ** 2 / chance).sum())
    return statistic, degrees, float(stats.chi2.sf(statistic, degrees))


def cramers_v(counts: np.ndarray) -> float:
    """Return the effect size of chi-square: 0 independent, 1 determined, NaN: one class."""
    counts = occupied(counts)
    ranks = min(counts.shape) - 1
    statistic, degrees, _ = chi_square(counts)
    return float(np.sqrt(statistic / (counts.sum() * ranks))) if degrees else np.nan


def mutual_information(counts: np.ndarray) -> float:
    """Return 2 I(A; B) / (H(A) + H(B)): 0 independent, 1 determined, NaN: one class."""
    counts = occupied(counts)
    if min(counts.shape) < 2:
        return np.nan
    share = counts / counts.sum()
    rows, columns = share.sum(axis=1), share.sum(axis=0)
    joint = _entropy(share)
    return 2 - 2 * joint / (_entropy(rows) + _entropy(columns))


def _entropy(share: np.ndarray) -> float:
    share = share[share > 0]
    return -float((share * np.log(share)).sum())
