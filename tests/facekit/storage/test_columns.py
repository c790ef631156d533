"""Declared columns: what is checked when a table is read, and that it costs next to nothing."""

import time

import numpy as np
import pandas as pd
import pytest

from facekit.errors import DataError
from facekit.storage import arrow, tables
from facekit.storage.columns import Column, Table

PEOPLE = Table(
    "people.parquet",
    "facedata people",
    "A person.",
    (
        Column("name", "str", "of the person"),
        Column("age", "Int64", "years; NA: not told"),
        Column("height", "float64", "metres"),
        Column("is_tall", "bool", "whether they are"),
        Column("hand", "category", "left or right", ("left", "right")),
        Column("*_left", "Int64", "pixels"),
        Column("note", "str", "anything", optional=True),
    ),
    "attributes",
)
ROWS = pd.DataFrame(
    {
        "name": ["a", "b"],
        "age": pd.array([3, None], dtype="Int64"),
        "height": [1.0, np.nan],
        "is_tall": [False, True],
        "hand": pd.Categorical(["left", None]),
        "eye_left": pd.array([1, 2], dtype="Int64"),
        "hair": ["red", "brown"],
    }
)


@pytest.fixture(params=[".parquet", ".csv"])
def path(request, tmp_path):
    return tmp_path / f"people{request.param}"


def test_what_is_as_declared_is_read(path):
    tables.write(ROWS, path)
    found = tables.read(path, PEOPLE)
    expected = ROWS if path.suffix == ".parquet" else ROWS.astype({"hand": "str"})
    pd.testing.assert_frame_equal(found, expected)


def test_a_table_without_rows_is_read(path):
    tables.write(ROWS.iloc[:0], path)
    assert dict(tables.read(path, PEOPLE).dtypes)["is_tall"] == "bool"


def test_a_table_without_rows_has_the_dtypes_that_are_declared(tmp_path):
    """Whoever writes no row may not know what would be in it."""
    path = tmp_path / "people.parquet"
    tables.write(pd.DataFrame({name: [] for name in ROWS}), path)
    found = tables.read(path, PEOPLE).dtypes.astype(str).to_dict()
    expected = ROWS.dtypes.astype(str).to_dict()
    assert {name: found[name] for name in ROWS if name != "hair"} == {
        name: dtype for name, dtype in expected.items() if name != "hair"
    }


def test_only_what_is_wanted_must_be_there(path):
    tables.write(ROWS[["name", "hair"]], path)
    assert list(tables.read(path, PEOPLE, ["name"])) == ["name", "hair"]
    with pytest.raises(DataError) as caught:
        tables.read(path, PEOPLE, ["name", "age"])
    assert str(caught.value) == (
        f"{path}: no column ['age'], found ['name', 'hair']; make it again with `facedata people`"
    )


@pytest.mark.parametrize(
    ("changed", "in_parquet", "in_csv"),
    [
        (
            {"age": ["x", "y"]},
            "age is str, expected Int64",
            "age, row 1: found 'x', expected Int64",
        ),
        ({"age": [1, 2.5]}, "age is float64, expected Int64", "age, row 1: found '1.0', expected"),
        ({"eye_left": ["1", "?"]}, "eye_left is str, expected", "eye_left, row 2: found '?'"),
        (
            {"is_tall": ["yes", "no"]},
            "is_tall is str, expected bool",
            "is_tall, row 1: found 'yes'",
        ),
        (
            {"is_tall": [True, None]},
            "is_tall lacks 1 values, expected bool",
            "is_tall, row 2: found nothing, expected bool",
        ),
        ({"height": ["tall", None]}, "height is str, expected float64", "row 1: found 'tall'"),
        ({"hand": ["left", "up"]}, "hand holds 'up', expected left, right", "hand holds 'up'"),
        ({"name": [1, 2]}, "name is int64, expected str", None),
    ],
)
def test_a_wrong_column_is_one_line(path, changed, in_parquet, in_csv):
    expected = in_parquet if path.suffix == ".parquet" else in_csv
    tables.write(ROWS.assign(**changed), path)
    if expected is None:
        tables.read(path, PEOPLE)
        return
    with pytest.raises(DataError) as caught:
        tables.read(path, PEOPLE)
    text = str(caught.value)
    assert text.startswith(f"{path}: column ") and expected in text and "\n" not in text
    assert text.endswith("; make it again with `facedata people`")


def test_tables_without_pandas_are_checked_alike(tmp_path):
    path = tmp_path / "people.parquet"
    tables.write(ROWS, path)
    assert arrow.read(path, PEOPLE, ["hand", "name"]).column_names == ["hand", "name"]
    for changed in ({"age": ["x", "y"]}, {"hand": ["left", "up"]}):
        tables.write(ROWS.assign(**changed), path)
        said = []
        for read in (tables.read, arrow.read):
            with pytest.raises(DataError) as caught:
                read(path, PEOPLE)
            said.append(str(caught.value))
        assert said[0] == said[1]


def test_a_column_without_any_value_is_read(tmp_path):
    tables.write(ROWS.assign(name=None, height=None), tmp_path / "people.parquet")
    assert tables.read(tmp_path / "people.parquet", PEOPLE)["name"].isna().all()


def test_a_file_of_bytes_is_no_table(path):
    path.write_bytes(b"\x00\xff" * 9)
    with pytest.raises(DataError, match=r"people\.(parquet|csv): not a readable table"):
        tables.read(path, PEOPLE)


def test_checks_of_many_rows_take_no_time(tmp_path):
    path = tmp_path / "people.parquet"
    tables.write(pd.concat([ROWS] * 100_000, ignore_index=True), path)

    def seconds(*declared):
        begun = time.perf_counter()
        tables.read(path, *declared)
        return time.perf_counter() - begun

    plain, checked = (min(seconds(*one) for _ in range(5)) for one in ((), (PEOPLE,)))
    assert checked - plain < 0.1
