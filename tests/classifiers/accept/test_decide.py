"""What becomes of candidates, by hand."""

import numpy as np
import pandas as pd

from classifiers.accept.decide import accept, deal_folds, refuse

WANTED = np.array([1, 1, 1, 1, 2, 2, 0])
ORDER = np.array([6, 2, 5, 0, 4, 1, 3])


def test_folds_are_dealt_evenly_within_a_class():
    wanted = np.repeat([0, 2], [30, 7])
    order = np.random.default_rng(0).permutation(len(wanted))
    dealt = deal_folds(wanted, order, [0, 1, 4])
    assert np.bincount(dealt[wanted == 0]).tolist() == [10, 10, 0, 0, 10]
    assert sorted(np.bincount(dealt[wanted == 2], minlength=5)) == [0, 0, 2, 2, 3]


def test_reasons_to_refuse():
    probability = np.array([0.9, 0.8, 0.95, 0.2, 0.6, 0.99, 0.1])
    threshold = np.array([0.5, 0.5, 0.96, 0.1, 0.5, 0.5, 0.5])
    distance = np.array([0.9, 0.9, 0.9, 0.9, 0.9, 0.3, 0.3])
    is_copy = np.array([False, True, False, False, False, False, False])
    reason = refuse(probability, threshold, distance, 0.6, is_copy)
    assert reason.fillna("").tolist() == [
        *("", "memorized", "low_probability", "", "", "memorized", "memorized"),
    ]


def test_as_many_as_lack_are_taken_in_order():
    reason = pd.Series(pd.NA, index=range(7), dtype="str")
    reason[2] = "memorized"
    found = accept(reason, WANTED, ORDER, np.array([0, 2, 5]))
    assert found["rank"].astype("float64").fillna(-1).tolist() == [0, 1, -1, 2, 1, 0, 0]
    assert found["reason"].fillna("").tolist() == [
        "",
        "",
        "memorized",
        "surplus",
        "",
        "",
        "surplus",
    ]
    assert found["accepted"].tolist() == [True, True, False, False, True, True, False]
