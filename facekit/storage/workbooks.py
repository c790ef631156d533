"""Excel workbooks (.xlsx) as tables: the sheet that has the columns, below its heading."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openpyxl

from facekit.errors import DataError, reason_of
from facekit.spelling import plain
from facekit.storage import kinds

SUFFIXES = (".xlsx", ".xlsm")
ERRORS = frozenset({"#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!", "#DIV/0!"})
MAX_SHOWN = 60  # characters of a formula in a message


def is_one(path: Path) -> bool:
    """Tell whether a file is called a workbook, and no text under that name.

    Raises:
        OSError: it cannot be read.
    """
    return path.suffix.lower() in SUFFIXES and kinds.of_file(path) is not None


def read(path: Path, wanted: Sequence[str] = ()) -> tuple[list[str], Iterator[list[Any]]]:
    """Return heading and rows of the sheet that has most of the columns wanted.

    Of several such sheets it is the first; where none has any, the first that is wider than a line
    of text, else the first that holds anything. Blank rows are no rows.

    Args:
        path: the file.
        wanted: columns that the sheet should have.

    Returns:
        Names without spaces around them; then rows as wide as the heading, with cells as Excel
        holds them: texts, numbers, dates, truths, and None for empty ones and errors.

    Raises:
        DataError: no such file, no workbook, or nothing in it; and while rows are read, a column
            wanted that holds nothing but formulas that were never computed.
    """
    headings = _headings(path)
    if not headings:
        raise DataError(f"{path}: empty, expected a heading and rows")
    sheet = _chosen(headings, wanted)
    return headings[sheet], _rows(path, sheet, headings[sheet], wanted)


def other_sheets(path: Path, wanted: Sequence[str] = ()) -> list[str]:
    """Return the names of the sheets that hold something and that `read` does not take.

    Raises:
        DataError: as `read`.
    """
    headings = _headings(path)
    return [name for name in headings if name != _chosen(headings, wanted)]


def _headings(path: Path) -> dict[str, list[str]]:
    """Return the headings of the sheets that hold anything, by name, in their order."""
    found = {}
    with _opened(path) as book:
        for sheet in book.worksheets:
            heading = [_name(cell) for cell in next(_filled(sheet), [])]
            while heading and not heading[-1]:
                heading.pop()
            if heading:
                found[sheet.title] = heading
    return found


def _chosen(headings: Mapping[str, list[str]], wanted: Sequence[str]) -> str:
    return max(
        headings, key=lambda one: (len(set(wanted) & set(headings[one])), len(headings[one]) > 1)
    )


def _rows(
    path: Path, sheet: str, heading: Sequence[str], wanted: Sequence[str]
) -> Iterator[list[Any]]:
    """Yield the rows of a sheet below its heading."""
    width = len(heading)
    empty = {heading.index(name) for name in wanted if name in heading}
    with _opened(path) as book:
        for row in itertools.islice(_filled(book[sheet]), 1, None):
            cells = [*row, *[None] * (width - len(row))][:width]
            empty = {place for place in empty if cells[place] is None}
            yield cells
    if empty:
        _check_computed(path, sheet, {place: heading[place] for place in sorted(empty)})


def _check_computed(path: Path, sheet: str, columns: Mapping[int, str]) -> None:
    """Check that columns without a value have no formulas: programs write them uncomputed.

    Raises:
        DataError: one has.
    """
    with _opened(path, values=False) as book:
        for row in book[sheet].iter_rows():
            for place, name in columns.items():
                if place < len(row) and row[place].data_type == "f":
                    raise DataError(
                        f"{path}: column {name!r} holds formulas that were never computed, such as"
                        f" {str(row[place].value)[:MAX_SHOWN]} in {row[place].coordinate}; open the"
                        " workbook in Excel or LibreOffice, and save it"
                    )


def _filled(sheet: Any) -> Iterator[list[Any]]:
    """Yield the rows of a sheet that hold anything."""
    for cells in sheet.iter_rows(values_only=True):
        row = [None if cell in ERRORS else cell for cell in cells]
        if any(cell is not None and str(cell).strip() for cell in row):
            yield row


@contextmanager
def _opened(path: Path, values: bool = True) -> Iterator[openpyxl.Workbook]:
    """Yield a workbook with values, or with formulas; what goes wrong with it is one line."""
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=values)
        try:
            yield book
        finally:
            book.close()
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except Exception as error:  # openpyxl and zipfile raise many kinds for a broken file
        reason = reason_of(error)
        raise DataError(f"{path}: not a readable Excel workbook ({reason})") from None


def _name(cell: Any) -> str:
    return "" if cell is None else plain(str(cell)).strip()
