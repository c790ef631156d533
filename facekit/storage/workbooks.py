"""Excel workbooks (.xlsx) as tables: the first sheet that holds anything, below its heading."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openpyxl

from facekit.errors import DataError, reason_of
from facekit.spelling import plain

SUFFIXES = (".xlsx", ".xlsm")
ERRORS = frozenset({"#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!", "#DIV/0!"})


def read(path: Path) -> tuple[list[str], Iterator[list[Any]]]:
    """Return heading and rows of a workbook; blank rows are no rows.

    Args:
        path: the file.

    Returns:
        Names without spaces around them; then rows as wide as the heading, with cells as Excel
        holds them: texts, numbers, dates, truths, and None for empty ones and errors.

    Raises:
        DataError: no such file, no workbook, or nothing in it.
    """
    rows = _rows(path)
    heading = [_name(cell) for cell in next(rows, [])]
    while heading and not heading[-1]:
        heading.pop()
    if not heading:
        raise DataError(f"{path}: empty, expected a heading and rows")
    width = len(heading)
    return heading, ([*row, *[None] * (width - len(row))][:width] for row in rows)


def _rows(path: Path) -> Iterator[list[Any]]:
    """Yield the rows of the first sheet that has any."""
    with _readable(path):
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            for sheet in book.worksheets:
                is_there = False
                for cells in sheet.iter_rows(values_only=True):
                    row = [None if cell in ERRORS else cell for cell in cells]
                    if any(cell is not None and str(cell).strip() for cell in row):
                        is_there = True
                        yield row
                if is_there:
                    return
        finally:
            book.close()


def _name(cell: Any) -> str:
    return "" if cell is None else plain(str(cell)).strip()


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a workbook is read into one line."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except Exception as error:  # openpyxl and zipfile raise many kinds for a broken file
        raise DataError(f"{path}: not a readable Excel workbook ({reason_of(error)})") from None
