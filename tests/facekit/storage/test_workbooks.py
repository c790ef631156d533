"""Excel workbooks as tables."""

import datetime

import openpyxl
import pytest

from facekit.errors import DataError
from facekit.storage import workbooks


def save(path, *sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for rows in sheets or ([],):
        sheet = book.create_sheet()
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_rows_are_as_wide_as_the_heading_and_blank_ones_are_none(tmp_path):
    day = datetime.datetime(2026, 1, 2)
    rows = [[" file ", "age", None], ["a.jpg", 41, None, "stray"], [None, None], ["b.jpg"]]
    path = save(tmp_path / "t.xlsx", [], [*rows, ["c.jpg", "#N/A"], ["d.jpg", day]])
    heading, found = workbooks.read(path)
    assert heading == ["file", "age"]
    assert list(found) == [["a.jpg", 41], ["b.jpg", None], ["c.jpg", None], ["d.jpg", day]]


def test_what_is_no_workbook_or_empty_is_one_line(tmp_path):
    path = tmp_path / "t.xlsx"
    with pytest.raises(DataError, match=r"t\.xlsx: no such file"):
        workbooks.read(path)
    path.write_bytes(b"PK\3\4 broken")
    with pytest.raises(DataError, match="not a readable Excel workbook"):
        workbooks.read(path)
    with pytest.raises(DataError, match="empty, expected a heading and rows"):
        workbooks.read(save(path))
