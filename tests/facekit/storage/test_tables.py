"""Tables: rows of given images, names of columns that stages share."""

import pandas as pd
import pytest

from facekit.errors import DataError
from facekit.storage import tables
from facekit.storage.columns import Column, Table

TABLE = pd.DataFrame({"row": [0, 1, 2], "image_id": ["a", "b", "c"]})


def test_rows_come_in_the_order_asked_for():
    found = tables.rows_of(TABLE, ["c", "a"], "faces.parquet")
    assert found.to_dict("list") == {"row": [2, 0], "image_id": ["c", "a"]}
    assert found.index.tolist() == [0, 1]


def test_a_table_of_another_run_is_refused():
    with pytest.raises(DataError, match=r"faces.parquet: no row for image 'd'; make the file"):
        tables.rows_of(TABLE, ["a", "d"], "faces.parquet")
    with pytest.raises(DataError, match="'a' twice"):
        tables.rows_of(pd.concat([TABLE, TABLE]), ["a"], "faces.parquet")


def test_no_cell_of_text_is_a_formula_and_each_is_read_as_it_was(tmp_path):
    names = [
        "=1+1.jpg",
        "+a",
        "-rf",
        "@eaDir/a",
        "\tx",
        "'=b",
        "''@c",
        "-1",
        "1e3",
        "a=b",
        "'d",
        None,
    ]
    table = pd.DataFrame({"image_id": names, "score": range(len(names))}).astype(
        {"image_id": "str"}
    )
    table["kind"] = pd.Categorical(["=x"] + ["y"] * (len(names) - 1))
    tables.write(table, tmp_path / "t.csv")
    cells = pd.read_csv(tmp_path / "t.csv", dtype=str, keep_default_na=False)
    written = [*cells["image_id"], *cells["kind"]]
    assert not [one for one in written if one[:1] in "=+@\t\r" and one]
    assert [one for one in written if one.startswith("-")] == ["-1"]  # a number, no formula
    found = tables.read(tmp_path / "t.csv")
    assert found["image_id"].astype(object).where(found["image_id"].notna(), None).tolist() == names
    assert found["kind"].tolist() == table["kind"].tolist()


def test_a_table_without_formulas_is_written_as_it_is(tmp_path):
    table = pd.DataFrame({"a": ["x", "y"], "b": [-1.5, 2.0], "c": [True, False], "d": [["-p"], []]})
    tables.write(table, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == table.to_csv(index=False)


def test_figures_for_people_are_rounded_in_csv_alone(tmp_path):
    table = pd.DataFrame({"prob": [1 / 3, 1.0, None], "seen": [1234567.25, 0.1, 2.0]})
    tables.write(table, tmp_path / "out.csv", tables.FOR_PEOPLE)
    tables.write(table, tmp_path / "out.parquet", tables.FOR_PEOPLE)
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines == ["prob,seen", "0.33333,1234567.25", "1,0.1", ",2"]
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out.parquet"), table)


@pytest.mark.parametrize("cell", ["9223372036854775808", "1e400", "nan", "1.5", "x"])
def test_a_number_beyond_its_type_is_named_with_its_row(tmp_path, cell):
    declared = Table("a.csv", "make it", "A row.", (Column("number", "int64", "a number"),))
    (tmp_path / "a.csv").write_text(f"number\n1\n{cell}\n")
    with pytest.raises(DataError, match=f"column number, row 2: found '{cell}', expected int64"):
        tables.read(tmp_path / "a.csv", declared)
