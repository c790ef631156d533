"""Doses: what is reached, and why no more."""

import numpy as np
import pandas as pd
import pytest

from classifiers.accept.doses import find_doses, log_doses, reached_dose
from facedata.columns import DOSES


def doses(deficits, accepted):
    return pd.DataFrame({"deficit": deficits, "accepted": accepted})


@pytest.mark.parametrize(
    ("deficits", "accepted", "share", "expected"),
    [
        ([100, 50], [100, 50], 1.0, 1.0),
        ([100, 50], [100, 50], 0.5, 0.5),
        ([7, 5], [7, 5], 0.5, 0.5),  # rounding is no shortfall
        ([100, 50], [40, 50], 1.0, 0.6),
        ([100, 50], [40, 50], 0.5, 0.5 * 65 / 75),
        ([100, 50], [0, 0], 1.0, 0.0),
    ],
)
def test_reached_dose(deficits, accepted, share, expected):
    assert reached_dose(doses(deficits, accepted), share) == pytest.approx(expected)


def test_where_nothing_lacks_there_is_no_dose():
    assert np.isnan(reached_dose(doses([], []), 1.0))


def test_each_class_has_its_counts_and_what_lacks_is_said(caplog):
    samples = pd.DataFrame(
        {
            "class": [1, 1, 1, 1, 1, 2],
            "accepted": [True, False, False, False, False, False],
            "reason": [
                pd.NA,
                *("memorized", "memorized", "low_probability", "duplicate"),
                "surplus",
            ],
        }
    )
    deficits = pd.DataFrame(
        {"class": [0, 1, 2, 3], "name": list("abcd"), "deficit": [0, 4, 0, 2], "color": "x"}
    )
    found = find_doses(samples, deficits, np.array([0, 0.3, 0, 0.2]), np.array([9, 8, 7, 6]))
    assert list(found.columns) == DOSES.names
    b, d = found.to_dict("records")
    assert (b["name"], b["deficit"], b["candidates"], b["accepted"]) == ("b", 4, 5, 1)
    assert (b["memorized"], b["low_probability"], b["duplicate"], b["surplus"]) == (2, 1, 1, 0)
    assert (b["threshold"], b["real"], b["reached"]) == (0.3, 8, 0.25)
    assert (d["candidates"], d["accepted"], d["reached"]) == (0, 0, 0)  # nothing was drawn
    log_doses(found)
    assert "3 of 4 missing images remain unfilled" in caplog.text
