"""Counts of two attributes together: against scipy and scikit-learn, and by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import normalized_mutual_info_score

from facedata.explore import contingency

SOME = np.array([[30, 5, 12], [4, 40, 9]])


def test_chi_square_and_its_effect_size_against_scipy():
    statistic, degrees, p = contingency.chi_square(SOME)
    expected = stats.chi2_contingency(SOME, correction=False)
    assert (statistic, degrees) == (pytest.approx(expected.statistic), expected.dof)
    assert p == pytest.approx(expected.pvalue)
    effect = stats.contingency.association(SOME, method="cramer")
    assert contingency.cramers_v(SOME) == pytest.approx(effect)
    two = SOME[:, :2]  # where scipy would correct for continuity
    p = stats.chi2_contingency(two, correction=False).pvalue
    assert contingency.chi_square(two)[2] == pytest.approx(p)


def test_mutual_information_against_scikit_learn():
    a = np.repeat([0, 0, 0, 1, 1, 1], SOME.ravel())
    b = np.repeat([0, 1, 2, 0, 1, 2], SOME.ravel())
    expected = normalized_mutual_info_score(a, b)
    assert contingency.mutual_information(SOME) == pytest.approx(expected)


def test_extremes_by_hand():
    same, apart = np.diag([3, 4]), np.array([[2, 4], [3, 6]])
    assert contingency.cramers_v(same) == pytest.approx(1)
    assert contingency.mutual_information(same) == pytest.approx(1)
    assert contingency.cramers_v(apart) == pytest.approx(0)
    assert contingency.mutual_information(apart) == pytest.approx(0)
    assert contingency.chi_square(apart)[2] == pytest.approx(1)
    assert contingency.expected(np.array([[4, 0], [0, 4]])).tolist() == [[2, 2], [2, 2]]


def test_classes_that_do_not_occur_do_not_count():
    wide = np.insert(np.insert(SOME, 1, 0, axis=0), 2, 0, axis=1)
    assert contingency.chi_square(wide) == pytest.approx(contingency.chi_square(SOME))
    assert contingency.cramers_v(wide) == pytest.approx(contingency.cramers_v(SOME))
    assert contingency.mutual_information(wide) == pytest.approx(
        contingency.mutual_information(SOME)
    )


@pytest.mark.parametrize("counts", [[[3, 4]], [[3], [4]], [[0, 0], [0, 0]], [[3, 4], [0, 0]]])
def test_a_single_class_tells_nothing(counts):
    statistic, degrees, p = contingency.chi_square(np.array(counts))
    assert (statistic, degrees) == (0, 0)
    assert np.isnan(
        [p, contingency.cramers_v(counts), contingency.mutual_information(counts)]
    ).all()


def test_count_leaves_missing_labels_out():
    rows = pd.Series(pd.Categorical(["a", "b", None, "a", "b"], ["a", "b", "c"]))
    columns = pd.Series(pd.Categorical(["x", "y", "x", None, "y"], ["y", "x"]))
    counts = contingency.count(rows, columns)
    assert counts.to_numpy().tolist() == [[0, 1], [2, 0], [0, 0]]
    assert (list(counts.index), list(counts.columns)) == (["a", "b", "c"], ["y", "x"])
