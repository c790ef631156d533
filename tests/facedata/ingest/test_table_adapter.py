"""The adapter for a table beside image folders, and the command `facedata ingest`."""

import json
import logging
import os
import subprocess
import sys
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
from click.testing import CliRunner

from facedata.cli import main
from facedata.columns import RESERVED
from facedata.ingest import adapters
from facedata.ingest.dataset import ingest
from facekit.errors import DataError
from facekit.storage import tables

SHARED = Path(__file__).parents[4] / "shared"
HAIR = {"name": "hair", "column": "hair", "kind": "categorical", "classes": ["red", "brown"]}
AGE = {"name": "age", "column": "age", "kind": "numeric", "min": 0, "max": 120}
GROUPS = {"name": "age_group", "source": "age", "bins": [30, 60], "classes": ["y", "m", "o"]}


def settings(**changes):
    plain = {
        "file": "labels.csv",
        "file_column": "file",
        "group_column": None,
        "split_column": None,
        "attributes": [HAIR],
        "derived": [],
    }
    return plain | changes


@pytest.fixture
def root(tmp_path):
    """A folder with images/a.jpg to images/f.jpg; what is in them does not matter."""
    (tmp_path / "images").mkdir()
    for name in "abcdef":
        (tmp_path / "images" / f"{name}.jpg").touch()
    return tmp_path


def read(root, text, **changes):
    if isinstance(text, str):
        text = text.encode()
    (root / "labels.csv").write_bytes(text)
    return ingest("table", root, settings(**changes), seed=0)


def reasons(found):
    rejected = found.rejected[found.rejected["table_row"].notna()]
    return dict(zip(rejected["table_row"], rejected["reason"], strict=True))


def test_index_has_one_typed_row_an_image(root):
    text = "file,hair,age,person,part\nimages/b.jpg,red,31,p1,train\nimages/a.jpg,brown,,p1,test\n"
    found = read(
        root,
        text,
        group_column="person",
        split_column="part",
        attributes=[HAIR, AGE],
        derived=[GROUPS],
    )
    index = found.index
    columns = ["image_id", "table_row", "path", "group", "official_split"]
    assert list(index.columns) == [*columns, "hair", "age", "age_group"]
    assert index["image_id"].tolist() == ["images/b.jpg", "images/a.jpg"]
    assert index["table_row"].tolist() == [1, 2]
    assert index["table_row"].dtype == "Int64"
    assert index["group"].tolist() == ["p1", "p1"]
    assert index["official_split"].tolist() == ["train", "test"]
    assert index["hair"].cat.categories.tolist() == ["red", "brown"]
    assert index["age"].dtype == np.float64
    assert index["age_group"].tolist()[0] == "m"
    assert index["age_group"].isna().tolist() == [False, True]


def test_without_group_and_split_their_columns_are_missing(root):
    index = read(root, "file,hair\nimages/a.jpg,red\n").index
    assert index["group"].isna().all()
    assert index["official_split"].isna().all()
    tables.write(index, root / "index.parquet")
    pd.testing.assert_frame_equal(tables.read(root / "index.parquet"), index)


def test_bins_are_closed_on_the_left(root):
    rows = zip("abcdef", ["0", "29.9", "30", "59", "60", "120"], strict=True)
    text = "file,age\n" + "".join(f"images/{name}.jpg,{age}\n" for name, age in rows)
    index = read(root, text, attributes=[AGE], derived=[GROUPS]).index
    assert index["age_group"].tolist() == ["y", "y", "m", "m", "o", "o"]


def test_labels_are_repaired_by_case_and_space_alone(root):
    cells = ["red", " Red ", "RED", "brwn", "n/a", ""]
    text = "file,hair\n" + "".join(
        f"images/{name}.jpg,{cell}\n" for name, cell in zip("abcdef", cells, strict=True)
    )
    found = read(root, text)
    assert found.index["hair"].tolist()[:3] == ["red"] * 3
    assert found.index["hair"].isna().tolist() == [False] * 3 + [True] * 3
    assert found.notes.to_dict("list") == {
        "image_id": [f"images/{name}.jpg" for name in "bcdef"],
        "attribute": ["hair"] * 5,
        "given": cells[1:],
        "note": ["repaired: case or spaces"] * 2
        + ["set missing: not a class; did you mean brown?", "missing", "missing"],
    }


@pytest.mark.parametrize("word", ["N/A", "na", "NaN", "None", "NULL", "Unknown", "?", "-", " "])
def test_words_for_missing(root, word):
    found = read(root, f"file,hair,age\nimages/a.jpg,{word},{word}\n", attributes=[HAIR, AGE])
    assert found.index[["hair", "age"]].isna().all(axis=None)
    assert found.notes["note"].tolist() == ["missing", "missing"]


def test_a_class_may_be_called_none(root):
    glasses = HAIR | {"classes": ["none", "glasses"]}
    found = read(root, "file,hair\nimages/a.jpg,None\nimages/b.jpg,na\n", attributes=[glasses])
    assert found.index["hair"].isna().tolist() == [False, True]
    assert found.index["hair"][0] == "none"


@pytest.mark.parametrize(
    ("text", "value"),
    [("36", 36), ("36.5", 36.5), (" 36 ", 36), ("+3e1", 30), ("0", 0), (".5", 0.5), ("120", 120)],
)
def test_plain_numbers_are_read(root, text, value):
    index = read(root, f"file,age\nimages/a.jpg,{text}\n", attributes=[AGE]).index
    assert index["age"].tolist() == [value]


@pytest.mark.parametrize("text", ["36;5", "3 6", "1_0", "abc", "0x10", "inf", "-1", "121", "1e999"])
def test_other_numbers_are_missing_and_noted(root, text):
    found = read(root, f"file,age\nimages/a.jpg,{text}\nimages/b.jpg,7\n", attributes=[AGE])
    assert found.index["age"].isna().tolist() == [True, False]
    assert found.notes["given"].tolist() == [text]
    assert found.notes["note"][0].startswith("set missing")


def test_decimal_commas_are_read_and_noted(root):
    text = 'file,age\nimages/a.jpg,"36,5"\nimages/b.jpg,"1,020"\nimages/c.jpg,7\n'
    found = read(root, text, attributes=[AGE])
    assert found.index["age"].tolist() == [36.5, 1.02, 7]
    assert found.notes["note"].tolist() == ["repaired: decimal comma"] * 2


@pytest.mark.parametrize("cells", [["1,020", "1,021"], ["1,5", "20.5"], ["7,5", "1,020.5"]])
def test_a_comma_that_may_part_thousands_is_no_decimal_comma(root, cells):
    rows = "".join(f'images/{n}.jpg,"{cell}"\n' for n, cell in zip("ab", cells, strict=True))
    found = read(root, f"file,age\n{rows}", attributes=[AGE], max_left_out=1)
    read_as = dict(zip(cells, found.index["age"], strict=True))
    assert np.isnan(read_as[cells[0]]) == (cells[0] != "7,5")
    assert np.isnan(read_as[cells[1]]) == (cells[1] != "20.5")


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        (["1,020", "1,021", "7"], r"age: 2 of 3 labels .* found '1,020' 1, '1,021' 1, expected nu"),
        (["True", "False", "True"], "3 of 3 labels cannot be used: found 'True' 2, 'False' 1"),
        (["31 years", "41 years", "2"], "found '31 years' 1, '41 years' 1, expected numbers from"),
        (["b'31'", "31\u2007000", "5"], r"found \"b'31'\" 1, '31\\u2007000' 1"),
    ],
)
def test_an_attribute_that_is_mostly_lost_stops_and_shows_what_was_found(root, cells, found):
    rows = zip("abc", cells, strict=True)
    text = "file,age\n" + "".join(f'images/{name}.jpg,"{cell}"\n' for name, cell in rows)
    with pytest.raises(DataError, match=found):
        read(root, text, attributes=[AGE])
    index = read(root, text, attributes=[AGE], max_left_out=1).index
    assert index["age"].isna().sum() >= 2


def test_classes_that_are_numbers_are_read_however_they_are_written(root):
    smile = HAIR | {"name": "smile", "column": "smile", "classes": ["0", "1", "02"]}
    rows = zip("abcdef", ["0.0", "1.0", "2", "1", "1e0", "3.0"], strict=True)
    text = "file,smile\n" + "".join(f"images/{name}.jpg,{cell}\n" for name, cell in rows)
    found = read(root, text, attributes=[smile])
    assert found.index["smile"].tolist()[:5] == ["0", "1", "02", "1", "1"]
    notes = found.notes["note"].tolist()
    assert notes == ["repaired: the same number"] * 4 + ["set missing: not a class"]


@pytest.mark.parametrize("cell", ["\u200bred", "red\ufeff", "\xa0red\xa0", "r\xaded", "RED\u200e"])
def test_characters_that_nobody_sees_do_not_matter(root, cell):
    text = f"\u200bfile,hair\xa0\n\ufeffimages/a.jpg,{cell}\n"
    found = read(root, text)
    assert found.index["hair"].tolist() == ["red"]
    assert found.notes["note"].tolist() == ["repaired: case or spaces"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_are_the_same_in_any_unicode_form(root, form):
    other = "NFD" if form == "NFC" else "NFC"
    name = unicodedata.normalize(form, "ren\xe9.jpg")
    (root / "images" / name).touch()
    cell = unicodedata.normalize(other, "images\\ren\xe9.jpg")
    classes = [unicodedata.normalize(form, "ch\xe2tain"), "red"]
    label = unicodedata.normalize(other, classes[0])
    found = read(root, f"file,hair\n{cell},{label}\n", attributes=[HAIR | {"classes": classes}])
    assert found.index["path"].tolist() == [f"images/{name}"]
    assert found.index["hair"].tolist() == classes[:1]


def test_rows_of_files_that_are_not_there_stop_if_they_are_most(root):
    rows = "".join(f"images/{name}.png,red\n" for name in "bcde")
    found = r"labels.csv: 4 of 5 rows and files .* 4 missing_file \(images/b.png: no such file"
    with pytest.raises(DataError, match=found):
        read(root, f"file,hair\nimages/a.jpg,red\n{rows}")
    assert len(read(root, f"file,hair\nimages/a.jpg,red\n{rows}", max_left_out=0.8).index) == 1


def test_the_last_line_counts_what_is_left_out(root, caplog):
    (root / "images/._a.jpg").touch()
    (root / "other.csv").touch()
    rows = "images/a.jpg,Red\nimages/b.jpg,red\nimages/x.jpg,red\nimages/c.jpg,brwn\n"
    caplog.set_level(logging.INFO)
    read(root, f"file,hair\n{rows}")
    assert caplog.messages[-1] == (
        "3 images in the index; left out: 3 file_without_row, 1 missing_file, 1 hidden or system"
        " (images/._a.jpg); labels: hair repaired 1, hair set missing 1; not read: other.csv"
    )


def test_a_table_of_which_nothing_is_amiss_says_no_more_than_its_size(root, caplog):
    caplog.set_level(logging.INFO)
    read(root, "file,hair\n" + "".join(f"images/{name}.jpg,red\n" for name in "abcdef"))
    assert caplog.messages[-1] == "6 images in the index"


@pytest.mark.parametrize(
    "path",
    [
        "../secret.jpg",
        "images/../../secret.jpg",
        "images/../images/a.jpg",
        "/etc/passwd",
        "~/a.jpg",
        "~root/a.jpg",
        "C:\\a.jpg",
        "c:a.jpg",
        "..\\a.jpg",
        "\\\\host\\a.jpg",
        "images/a.jpg\0.png",
    ],
)
def test_paths_that_could_lead_out_are_rejected_and_not_looked_at(root, path, monkeypatch):
    looked_at = []
    scan = os.scandir
    monkeypatch.setattr(os.path, "isfile", lambda p: looked_at.append(str(p)) or True)
    monkeypatch.setattr(os, "scandir", lambda p: looked_at.append(str(p)) or scan(p))
    found = read(root, f"file,hair\n{path},red\nimages/b.jpg,red\n")
    assert found.index["image_id"].tolist() == ["images/b.jpg"]
    assert reasons(found) == {1: "path_outside_root"}
    assert found.rejected["image_id"][0] == path
    assert looked_at == [str(root / "images"), str(root)]  # the root for other tables


def test_every_row_is_in_the_index_or_rejected(root):
    (root / "images" / "sub").mkdir()
    text = (
        "file,hair\n"
        "images/a.jpg,red\n"
        "images/nowhere.jpg,red\n"
        "  ,red\n"
        "images/sub,red\n"
        "./images//a.jpg,red\n"
        "images\\b.jpg,brown\n"
        f"{'x' * 5000}.jpg,red\n"
        "images/c.jpg\n"
        "images/d.jpg,red,brown,red\n"
        " images/e.jpg ,brown,,\n"
    )
    found = read(root, text, max_left_out=1)
    assert found.index["image_id"].tolist() == ["images/a.jpg", "images\\b.jpg", "images/e.jpg"]
    assert found.index["path"].tolist() == ["images/a.jpg", "images/b.jpg", "images/e.jpg"]
    assert found.index["table_row"].tolist() == [1, 6, 10]
    assert reasons(found) == {
        2: "missing_file",
        3: "no_file_name",
        4: "not_a_file",
        5: "repeated_row",
        7: "missing_file",
        8: "ragged_row",
        9: "ragged_row",
    }


def test_repeated_rows_that_disagree_leave_the_value_missing(root):
    text = "file,hair,age\nimages/a.jpg,red,30\nimages/b.jpg,red,1\nimages/a.jpg,brown,30.0\n"
    found = read(root, text, attributes=[HAIR, AGE])
    assert found.index["table_row"].tolist() == [1, 2]
    assert found.index["hair"].isna().tolist() == [True, False]
    assert found.index["age"].tolist() == [30, 1]
    assert reasons(found) == {3: "repeated_row"}
    note = found.notes.iloc[0].tolist()
    assert note == ["images/a.jpg", "hair", "red | brown", "set missing: rows 1, 3 disagree"]


def test_repeated_rows_complete_each_other(root):
    found = read(root, "file,hair\nimages/a.jpg,n/a\nimages/a.jpg,Red\n")
    assert found.index["hair"].tolist() == ["red"]


def test_repeated_rows_keep_the_first_group(root):
    text = "file,hair,who\nimages/a.jpg,red,p1\nimages/a.jpg,red,p2\n"
    found = read(root, text, group_column="who")
    assert found.index["group"].tolist() == ["p1"]
    assert found.notes["note"].tolist() == ["kept the first: rows 1, 2 disagree"]


def test_files_without_row_are_listed(root):
    (root / "images" / "sub").mkdir()
    (root / "elsewhere").mkdir()
    for name in ["images/x.JPG", "images/sub/y.Png", "images/notes.txt", "elsewhere/z.jpg"]:
        (root / name).touch()
    (root / "truth.csv").touch()
    rows = "".join(f"images/{name}.jpg,red\n" for name in "abcde")
    found = read(root, "file,hair\n" + rows)
    strays = found.rejected
    assert strays["image_id"].tolist() == ["images/f.jpg", "images/sub/y.Png", "images/x.JPG"]
    assert strays["table_row"].isna().all()
    assert set(strays["reason"]) == {"file_without_row"}


def test_file_of_a_ragged_row_has_a_row(root):
    rows = "".join(f"images/{name}.jpg,red\n" for name in "abcde")
    found = read(root, f"file,hair\n{rows}images/f.jpg\n")
    assert found.rejected["reason"].tolist() == ["ragged_row"]


def test_images_beside_the_table(root):
    for name in ("a.jpg", "b.jpg"):
        (root / name).touch()
    found = read(root, "file,hair\na.jpg,red\n")
    assert found.index["path"].tolist() == ["a.jpg"]
    strays = found.rejected["image_id"].tolist()
    assert strays == ["b.jpg", *(f"images/{name}.jpg" for name in "abcdef")]


def test_stray_file_with_a_name_of_odd_bytes_can_be_written(root):
    try:
        (root / "images" / os.fsdecode(b"\xff.jpg")).touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    found = read(root, "file,hair\nimages/a.jpg,red\n")
    tables.write(found.rejected, root / "rejected.csv")
    assert "\\udcff.jpg" in (root / "rejected.csv").read_text()


def test_links_that_lead_nowhere_are_no_files(root):
    (root / "images/gone.jpg").symlink_to("nowhere.jpg")
    (root / "images/circle.jpg").symlink_to("circle.jpg")
    rows = "".join(f"images/{name}.jpg,red\n" for name in [*"abcdef", "gone", "circle"])
    found = read(root, f"file,hair\n{rows}")
    assert len(found.index) == 6
    assert found.rejected["reason"].tolist() == ["missing_file"] * 2


def test_images_may_lie_in_an_archive(root):
    with zipfile.ZipFile(root / "more.zip", "w") as file:
        for name in ("x/1.jpg", "x/2.jpg", "y/3.jpg"):
            file.writestr(name, b"")
    rows = "more.zip/x/1.jpg,red\nmore.zip/x/9.jpg,red\nmore.zip/x,red\n"
    found = read(root, f"file,hair\n{rows}", max_left_out=1)
    assert found.index["path"].tolist() == ["more.zip/x/1.jpg"]
    assert reasons(found) == {2: "missing_file", 3: "not_a_file"}
    assert found.rejected["image_id"].tolist()[2:] == ["more.zip/x/2.jpg"]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_any_usual_csv_is_read(root, separator, encoding, newline):
    lines = [["file ", '"hair"', "name"], ["images/a.jpg", "red", "Zoë"], [], ["images/b.jpg"]]
    lines[3] += ["brown", ""]
    text = newline.join(separator.join(line) for line in lines)
    found = read(root, text.encode(encoding))
    assert found.index["hair"].tolist() == ["red", "brown"]
    assert found.index["table_row"].tolist() == [1, 2]


def test_quoted_cells_keep_separators(root):
    (root / "images" / "a, b.jpg").touch()
    found = read(root, 'file,hair\n"images/a, b.jpg",red\n')
    assert found.index["path"].tolist() == ["images/a, b.jpg"]


def test_the_separator_may_be_told_above_the_heading(root):
    for first in ("sep=;", '"sep=;"', "SEP=|"):
        separator = first.strip('"')[-1]
        text = f"{first}\r\nfile,hair\r\nimages/a.jpg,red\r\n".replace(",", separator)
        assert read(root, text).index["hair"].tolist() == ["red"]
    with pytest.raises(DataError, match="line 3: a quote that is not closed"):
        read(root, 'sep=;\nfile;hair\n"images/a.jpg;red\n')


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_known_without_its_mark(root, encoding):
    found = read(root, "file,hair,name\nimages/a.jpg,red,Zoë\n".encode(encoding))
    assert found.index["hair"].tolist() == ["red"]


def test_another_encoding_is_told_with_its_line(root):
    lines = ["file,hair", *(f"images/{name}.jpg,red" for name in "abc"), "images/d.jpg,ch\xe2tain"]
    with pytest.raises(
        DataError, match=r"labels.csv, line 5: not UTF-8 \(byte 0xe2, 'â' in .*; sa"
    ):
        read(root, "\n".join(lines).encode("cp1252"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            b"PK\3\4\x14\0\6\0" + bytes(99),
            "an Excel workbook, or another ZIP archive; save it as CSV",
        ),
        (b"PK\3\4....xl/workbook.xml", r"an Excel workbook \(.xlsx\); save it as CSV UTF-8"),
        (bytes.fromhex("d0cf11e0a1b11ae1"), r"an Excel workbook \(.xls\); save it as CSV UTF-8"),
        (b"\x1f\x8b\x08", "a gzip file, expected CSV"),
        (b"\xef\xbb\xbf <!DOCTYPE HTML>", "a web page: the download failed, expected CSV"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "a pointer of Git LFS; fetch the file by",
        ),
        (b"\x89PNG\r\n\x1a\n", "a PNG picture, expected CSV"),
    ],
)
def test_other_files_under_the_name_of_a_table_are_called_what_they_are(root, data, message):
    with pytest.raises(DataError, match=f"labels.csv: {message}"):
        read(root, data)


def test_a_long_cell_that_nobody_asks_for_does_not_matter(root):
    found = read(root, f'file,hair,note\nimages/a.jpg,red,"{"x" * 200_000}"\n')
    assert found.index["hair"].tolist() == ["red"]


def test_a_parquet_table_may_have_any_name_bytes_and_an_index(root):
    table = pd.DataFrame({"hair": [b"red", b"brown"], "age": [1.5, None], "raw": [b"\xff", b""]})
    table.index = pd.Index(["images/a.jpg", "images/b.jpg"], name="file")
    table.to_parquet(root / "labels.csv")
    found = ingest("table", root, settings(attributes=[HAIR, AGE]), seed=0)
    assert found.index["hair"].tolist() == ["red", "brown"]
    assert found.index["age"].isna().tolist() == [False, True]
    raw = HAIR | {"name": "raw", "column": "raw"}
    with pytest.raises(DataError, match="column raw: bytes that are no UTF-8 text"):
        ingest("table", root, settings(attributes=[raw]), seed=0)


def test_parquet_is_read_with_its_types(root):
    table = pd.DataFrame(
        {
            "file": ["images/a.jpg", "images/b.jpg", None],
            "smile": [1.0, np.nan, 0.0],
            "age": [31, 59, 60],
            "hair": pd.Categorical(["red", None, "brown"]),
        }
    )
    table.to_parquet(root / "labels.parquet")
    smile = {"name": "smile", "column": "smile", "kind": "categorical", "classes": ["0", "1"]}
    found = ingest(
        "table", root, settings(file="labels.parquet", attributes=[smile, HAIR, AGE]), seed=0
    )
    assert found.index["smile"].tolist()[0] == "1"
    assert found.index["hair"].tolist()[0] == "red"
    assert found.index[["smile", "hair"]].iloc[1].isna().all()
    assert found.index["age"].tolist() == [31, 59]
    assert reasons(found) == {3: "no_file_name"}


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        ("File,hair\na,red\n", {}, r"no column 'file', found \['File', 'hair'\]; did you mean"),
        ("file,hiar\nimages/a.jpg,red\n", {}, "no column 'hair'.*did you mean 'hiar'"),
        ("file,hair,hair\nimages/a.jpg,red,red\n", {}, "column 'hair' is there twice"),
        ("", {}, "empty"),
        ("\n\n", {}, "empty"),
        ("file,hair\n", {}, "no rows below the heading"),
        ("file,hair\nx.jpg,red\n", {}, r"none of 1 rows .*row 1: missing_file 'x.jpg'"),
        (b"file,hair\nimages/a.jpg,\xe9\n", {}, "not UTF-8"),
        ('file,hair\n"images/a.jpg,red\n', {}, "line 2: a quote that is not closed"),
        ("file,hair\nimages/a.jpg,red\n", {"file": "nowhere.csv"}, "nowhere.csv: cannot be read"),
        ("file,hair\nimages/a.jpg,red\n", {"file": "images"}, "images: cannot be read"),
        ("file,hair,s\nimages/a.jpg,red,late\n", {"split_column": "s"}, "'late' is none of train"),
    ],
)
def test_unusable_tables_say_why(root, text, changes, message):
    with pytest.raises(DataError, match=message):
        read(root, text, **changes)


def test_broken_parquet_says_why(root):
    (root / "labels.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match="not a readable table"):
        ingest("table", root, settings(file="labels.parquet"), seed=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"attributes": [HAIR | {"name": "hair/color"}]},
            "attributes\\[0\\].name: 'hair/color' is not text like",
        ),
        ({"attributes": [HAIR, HAIR]}, "named twice"),
        ({"attributes": [HAIR | {"kind": "text"}]}, "kind: 'text' is not one of"),
        ({"attributes": [HAIR | {"classes": ["red", "Red "]}]}, "do not differ"),
        ({"attributes": [HAIR | {"classes": []}]}, "is not .*list of 2 or more"),
        ({"attributes": [HAIR | {"classes": [True, False]}]}, 'write ."no", "yes"'),
        ({"attributes": [{"name": "hair"}]}, "attributes\\[0\\].column: missing"),
        ({"attributes": [AGE], "derived": [GROUPS | {"source": "hair"}]}, "no numeric attribute"),
        ({"attributes": [AGE], "derived": [GROUPS | {"bins": [60, 30]}]}, "do not rise"),
        (
            {"attributes": [AGE], "derived": [GROUPS | {"bins": [30]}]},
            "classes: 3 for 1 edges, expected 2",
        ),
    ],
)
def test_settings_that_make_no_sense_say_why(changes, message):
    with pytest.raises(DataError, match=message):
        adapters.read("table", settings(**changes)).class_lists()


@pytest.mark.parametrize("name", [*sorted(RESERVED), "class", "seed"])
def test_columns_of_other_tables_are_no_attributes(root, name):
    with pytest.raises(DataError, match=f"attribute '{name}': the name is taken"):
        read(root, "file,hair\nimages/a.jpg,red\n", attributes=[HAIR | {"name": name}])


def test_declared_attributes_need_no_slow_import():
    slow = "{'pandas', 'numpy', 'PIL', 'torch'}"
    code = f"import sys\nfrom facedata import cli\nassert not {slow} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_table_without_attributes_is_none():
    with pytest.raises(DataError, match="attributes: empty; name the columns to read"):
        adapters.read("table", {})


def test_attributes_are_known_before_anything_is_read():
    given = settings(attributes=[HAIR, AGE], derived=[GROUPS])
    assert list(adapters.read("table", given).class_lists()) == ["hair", "age", "age_group"]
    expected = {"hair": ["red", "brown"], "age": None, "age_group": ["y", "m", "o"]}
    assert adapters.read("table", given).class_lists() == expected
    with pytest.raises(DataError, match="none of avatars, celeba"):
        adapters.read("celebs", given).class_lists()


def run_ingest(root, out, **changes):
    arguments = ["ingest", "--adapter", "table", "--root", root, "--seed", "0"]
    arguments += ["--settings", json.dumps(settings(**changes)), "--index", out / "index.parquet"]
    arguments += ["--rejected", out / "rejected.csv", "--notes", out / "notes.csv"]
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_command_writes_the_three_tables(root, tmp_path):
    (root / "labels.csv").write_text("file,hair\nimages/a.jpg,RED\nnowhere.jpg,red\n")
    for out in (tmp_path / "one", tmp_path / "two"):
        done = run_ingest(root, out)
        assert done.exit_code == 0, done.output
    assert tables.read(out / "index.parquet")["hair"].tolist() == ["red"]
    assert (out / "rejected.csv").read_text().splitlines()[:2] == [
        "image_id,table_row,reason,detail",
        "nowhere.jpg,2,missing_file,no such file below the data set's folder",
    ]
    assert "images/a.jpg,hair,RED," in (out / "notes.csv").read_text()
    assert (out / "index.run.json").exists()
    for name in ("index.parquet", "rejected.csv", "notes.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_command_reports_bad_input_in_one_line(root, tmp_path):
    (root / "labels.csv").write_text("datei,hair\nimages/a.jpg,RED\n")
    done = run_ingest(root, tmp_path / "out")
    assert done.exit_code == 1
    assert "error: " in done.output
    assert "no column 'file', found ['datei', 'hair']" in done.output
    assert not (tmp_path / "out" / "index.parquet").exists()


@pytest.mark.skipif(not (SHARED / "data/aaf_dirty").is_dir(), reason="data set is not here")
def test_planted_faults_of_a_table_are_all_found():
    root = SHARED / "data/aaf_dirty"
    gender = {"name": "gender", "column": "gender", "kind": "categorical"}
    gender["classes"] = ["female", "male"]
    found = ingest("table", root, settings(attributes=[gender, AGE], derived=[GROUPS]), seed=0)
    truth = pd.read_csv(root / "truth.csv", dtype=str).set_index("kind")
    for kind, reason in {
        "row_without_file": "missing_file",
        "file_without_row": "file_without_row",
        "repeated_row": "repeated_row",
    }.items():
        listed = found.rejected.loc[found.rejected["reason"] == reason, "image_id"]
        assert sorted(listed) == sorted(truth.loc[kind, "file"])
    assert len(found.rejected) == 6
    assert len(found.index) + found.rejected["table_row"].notna().sum() == 3282
    noted = set(found.notes["image_id"])
    assert noted == {*truth.loc["label_spelling", "file"], *truth.loc["label_missing", "file"]} | {
        "images/388649.jpg"
    }
    # Repaired labels are the true ones.
    spelling = truth.loc["label_spelling"].set_index("file")["true_gender"]
    assert found.index.set_index("image_id")["gender"][spelling.index].tolist() == spelling.tolist()


def test_an_excel_workbook_is_a_table(root):
    book = openpyxl.Workbook()
    for row in (["file", "hair", "age"], ["images/a.jpg", "Red", 41], ["images/b.jpg", None, 7.5]):
        book.active.append(row)
    book.save(root / "labels.xlsx")
    found = ingest("table", root, settings(file="labels.xlsx", attributes=[HAIR, AGE]), seed=0)
    assert found.index["hair"].tolist() == ["red", np.nan]
    assert found.index["age"].tolist() == [41, 7.5]


def test_cells_are_brought_to_paths_by_a_pattern(root):
    found = read(root, "file,hair\na,red\nb.jpg,red\n", file_pattern="images/{}.jpg")
    assert found.index[["image_id", "path"]].to_numpy().tolist() == [["a", "images/a.jpg"]]
    assert reasons(found) == {2: "missing_file"}


def test_a_name_is_found_in_any_folder_unless_two_have_it(root):
    (root / "other").mkdir()
    (root / "other/a.jpg").touch()
    text = "file,hair\na.jpg,red\n/home/me/old/b.jpg,red\nC:\\pictures\\c.jpg,brown\nz.jpg,red\n"
    found = read(root, text, file_pattern="**/{}")
    assert found.index["path"].tolist() == ["images/b.jpg", "images/c.jpg"]
    assert reasons(found) == {1: "ambiguous_file", 4: "missing_file"}


def test_a_pattern_without_a_cell_is_refused(root):
    with pytest.raises(DataError, match=r"file_pattern: 'images/x.jpg', expected \{\} in it once"):
        read(root, "file,hair\na,red\n", file_pattern="images/x.jpg")
