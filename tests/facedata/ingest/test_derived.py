"""Attributes made from others, and what is said of descriptions that make no sense."""

import numpy as np
import pandas as pd
import pytest

from facedata.ingest import adapters
from facedata.ingest.derived import derive, join_classes
from facekit.errors import DataError

GROUPS = {"name": "age_group", "source": "age", "bins": [30, 60], "classes": ["y", "m", "o"]}
JOINT = {"name": "who", "sources": ["gender", "age_group"]}


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "image_id": list("abcd"),
            "gender": pd.Categorical(["m", "f", None, "f"], categories=["m", "f"]),
            "age": [29.0, 60.0, 40.0, np.nan],
        }
    )


def test_joint_classes_count_the_last_source_fastest(table):
    made = derive(table, [GROUPS, JOINT])
    assert list(made) == ["image_id", "gender", "age", "age_group", "who"]
    assert made["who"].cat.categories.tolist() == ["m/y", "m/m", "m/o", "f/y", "f/m", "f/o"]
    assert made["who"].cat.codes.tolist() == [0, 5, -1, -1]
    assert "who" not in table


def test_joint_classes_may_have_names_of_their_own(table):
    names = ["boy", "man", "grandpa", "girl", "woman", "grandma"]
    made = derive(table, [GROUPS, JOINT | {"classes": names}])
    assert made["who"].tolist()[:2] == ["boy", "grandma"]


def test_eighteen_classes_of_three_attributes():
    three, two = ["a", "b", "c"], ["m", "f"]
    rows = [(x, y, z) for x in three for y in two for z in three]
    columns = [
        pd.Series(pd.Categorical([row[i] for row in rows], categories=classes))
        for i, classes in enumerate((three, two, three))
    ]
    assert join_classes(columns).codes.tolist() == list(range(18))


def test_derived_columns_follow_a_change_in_place(table):
    made = derive(table, [GROUPS, JOINT])
    made.loc[0, "age"] = 31
    again = derive(made, [GROUPS, JOINT])
    assert list(again) == list(made)
    assert again.loc[0, ["age_group", "who"]].tolist() == ["m", "m/m"]


def test_empty_tables_keep_their_classes(table):
    made = derive(table[:0], [GROUPS, JOINT])
    assert len(made["who"].cat.categories) == 6


def settings(*derived):
    attributes = [
        {"name": "gender", "column": "g", "kind": "categorical", "classes": ["m", "f"]},
        {"name": "age", "column": "a", "kind": "numeric"},
    ]
    return {"attributes": attributes, "derived": list(derived)}


def test_declared_classes_are_those_made(table):
    classes = adapters.read("table", settings(GROUPS, JOINT)).class_lists()
    made = derive(table, adapters.read("table", settings(GROUPS, JOINT)).derivations())
    for name in ("age_group", "who"):
        assert classes[name] == made[name].cat.categories.tolist()
    assert adapters.read("avatars", {}).derivations() == []


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"sources": ["gender", "age"]}, "sources: 'age' is no categorical attribute of"),
        ({"sources": ["gender", "later"]}, "sources: 'later' is no categorical"),
        ({"sources": ["gender", "gender"]}, "sources: gender is named twice"),
        ({"sources": ["gender"]}, "sources: .*expected two or more"),
        ({"sources": ["gender", "age_group"], "classes": ["a", "b"]}, "classes: 2 for 6 comb"),
        ({"sources": ["gender", "age_group"], "classes": list("abcdeE")}, "do not differ"),
    ],
)
def test_joint_descriptions_that_make_no_sense_say_why(item, message):
    with pytest.raises(DataError, match=rf"settings of table: derived\[1\]\..*{message}"):
        adapters.read("table", settings(GROUPS, {"name": "who"} | item))
