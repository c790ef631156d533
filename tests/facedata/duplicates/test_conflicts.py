"""Labels of one picture: when they disagree, and when they only differ."""

import numpy as np
import pandas as pd
import pytest

from facedata.duplicates import dedup
from facedata.duplicates.conflicts import disagreements

GROUPS = ["young", "middle", "old"]
DERIVED = [
    {"name": "age_group", "source": "age", "bins": [30, 60], "classes": GROUPS},
    {"name": "both", "sources": ["gender", "age_group"]},
]


def people(*rows):
    """Return labels of images (gender, age), with what is derived from them."""
    gender, age = zip(*rows, strict=True)
    table = pd.DataFrame({"gender": pd.Categorical(gender, ["f", "m"]), "age": np.float64(age)})
    table["age_group"] = pd.cut(table["age"], [-1, 29.9, 59.9, 200], labels=GROUPS)
    names = [f"{a}/{b}" for a in ["f", "m"] for b in GROUPS]
    both = table["gender"].astype(str) + "/" + table["age_group"].astype(str)
    table["both"] = pd.Categorical(both.where(both.isin(names)), names)
    return table


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([("f", 29), ("f", 31)], []),  # two years, though the age groups differ
        ([("f", 20), ("f", 25)], []),
        ([("f", 20), ("f", 25.5)], ["age"]),  # the group is the same
        ([("f", 20), ("f", 30)], ["age", "age_group", "both"]),
        ([("f", 29), ("m", 31)], ["gender", "both"]),
        ([("f", np.nan), ("f", 40)], []),
        ([(None, 20), ("m", 20)], []),
        ([("f", 27), ("f", 31), ("f", 33)], ["age", "age_group", "both"]),  # the outer ones count
        ([(None, np.nan), (None, np.nan)], []),
    ],
)
def test_what_is_a_disagreement(labels, expected):
    table = people(*labels)
    found = disagreements(table, np.zeros(len(table), int), {"age": 5}, DERIVED)
    assert found.columns[found.iloc[0]].tolist() == expected


def test_without_a_tolerance_every_difference_counts():
    table = people(("f", 29), ("f", 30))
    found = disagreements(table, np.zeros(2, int), {}, DERIVED)
    assert found.columns[found.iloc[0]].tolist() == ["age", "age_group", "both"]


def test_groups_are_judged_one_by_one():
    table = people(("f", 20), ("m", 50), ("m", 20), ("f", 20), ("f", 80))
    found = disagreements(table, np.array([7, 3, 3, 7, 5]), {"age": 5}, DERIVED)
    assert found.index.tolist() == [3, 5, 7]
    assert found["age"].tolist() == [True, False, False]
    assert not found["gender"].any()


def test_conflicts_of_pairs_name_the_attributes():
    table = people(("f", 20), ("m", 50), ("f", 22))
    first, second = np.array([0, 0, 1]), np.array([1, 2, 2])
    names = dedup.conflicts(table, first, second, {"age": 5}, DERIVED)
    assert names == ["gender;age;age_group;both", "", "gender;age;age_group;both"]
    assert dedup.conflicts(table[[]], first, second, {}, []) == ["", "", ""]
    assert dedup.conflicts(table, first[:0], second[:0], {}, DERIVED) == []
