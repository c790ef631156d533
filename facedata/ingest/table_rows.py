"""Reading a table with one row an image, CSV or Parquet, for the adapter `table`.

Strict about what is there (every row and every stray image file is accounted for), kind about how
it is written (separator, byte order mark, case and spaces of labels).
"""

import codecs
import csv
import itertools
import re
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from facedata.ingest.adapters import Ingested
from facedata.ingest.adapters.declared import normal
from facedata.ingest.adapters.reading import MISSING, Files, Log, make_index
from facedata.ingest.adapters.table import Table
from facedata.ingest.derived import derive
from facekit.errors import DataError
from facekit.storage import tables

SEPARATORS = ",;\t|"
SPLITS = {"train": "train", "val": "val", "test": "test", "0": "train", "1": "val", "2": "test"}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
# What makes a path need a closer look: separators of Windows, `.` and `..`, empty parts, homes.
UNUSUAL = re.compile(r"\\|\0|:|^[/~.]|/[/.]|/$")
CHUNK = 4096  # rows sorted into columns at a time

Parsed = tuple[Any, str]  # value (None: missing), and a note on what was changed ('': nothing)
Parser = Callable[[str], Parsed]


@dataclass
class _Column:
    """The cells of a column as text: each text is held once."""

    texts: dict[str, int] = field(default_factory=dict)  # text -> code, in the order of the codes
    codes: array = field(default_factory=lambda: array("i"))  # one a row

    def extend(self, cells: Sequence[str]) -> None:
        for text in set(cells).difference(self.texts):
            self.texts[text] = len(self.texts)
        self.codes.extend(map(self.texts.__getitem__, cells))


@dataclass
class _Rows:
    """The usable rows of the table."""

    numbers: list[int] = field(default_factory=list)  # from 1, the heading not counted
    files: list[str] = field(default_factory=list)  # cells of the file column, stripped
    paths: list[str] = field(default_factory=list)  # relative to the root, posix
    columns: dict[str, _Column] = field(default_factory=dict)
    by_path: dict[str, list[int]] = field(default_factory=dict)  # positions of each file's rows

    @cached_property
    def firsts(self) -> np.ndarray:
        """Position of the first row of each file, int64 [num_files]."""
        return np.array([positions[0] for positions in self.by_path.values()], dtype=np.int64)

    @cached_property
    def repeated(self) -> dict[int, list[int]]:
        """Positions of the rows of each file that has several, by the file's place."""
        return {
            place: positions
            for place, positions in enumerate(self.by_path.values())
            if len(positions) > 1
        }


def read_table(adapter: Table, root: Path) -> Ingested:
    """Read the table and check it against the folders.

    Of rows of the same file the first is kept; where the others disagree with it, the value is
    missing. Files are looked for, never opened.

    Args:
        adapter: the table, and which of its columns are attributes.
        root: folder of the data set; paths in the table are relative to it.

    Raises:
        DataError: the table cannot be read, a column is missing or named twice, no row is usable,
            or an official split has a value that is none.
    """
    table_path = root / adapter.file
    named_columns = [adapter.file_column, adapter.group_column, adapter.split_column]
    named_columns += [item.column for item in adapter.attributes]
    wanted = list(dict.fromkeys(name for name in named_columns if name is not None))
    heading, records = _read_cells(table_path, wanted)

    log, files = Log(), Files(root)
    named: set[str | None] = set()
    rows = _usable_rows(heading, records, adapter.file_column, wanted, files, named, log)
    if not rows.numbers:
        raise DataError(_nothing_usable(table_path, root, log))
    index = _read_columns(rows, adapter, table_path, log)
    index = derive(index, adapter.derivations())
    index = index[
        ["image_id", "table_row", "path", "group", "official_split", *adapter.class_lists()]
    ]

    log.rejected.sort(key=_row_number)
    for path in _image_files(files, rows.paths):
        if path not in named:
            log.reject(path, None, "file_without_row", "no row names it")
    return Ingested(index, log.rejected_table(), log.notes_table())


def _read_cells(path: Path, wanted: Sequence[str]) -> tuple[list[str], Iterator[list[str]]]:
    """Return the heading of the table and its rows as text; all columns wanted are there."""
    if path.suffix.lower() == ".parquet":
        heading, records = _read_parquet(path)
    else:
        heading, records = _read_csv(path, wanted)
    twice = sorted({name for name in heading if name and heading.count(name) > 1})
    if twice:
        raise DataError(f"{path}: column {twice[0]!r} is there twice, found {heading}")
    for name in wanted:
        if name not in heading:
            near = get_close_matches(name, heading, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise DataError(f"{path}: no column {name!r}, found {heading}{hint}")
    return heading, records


def _read_csv(path: Path, wanted: Sequence[str]) -> tuple[list[str], Iterator[list[str]]]:
    """Return heading and records of a CSV file: UTF-8 (or UTF-16 with its mark), any separator.

    Blank lines are no records.
    """
    try:
        with path.open("rb") as file:
            is_utf16 = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    encoding = "utf-16" if is_utf16 else "utf-8-sig"

    def parse(separator: str, strict: bool) -> Iterator[list[str]]:
        with path.open(encoding=encoding, newline="") as file:
            reader = csv.reader(file, delimiter=separator, strict=strict)
            try:
                yield from (cells for cells in reader if len(cells) > 1 or "".join(cells).strip())
            except csv.Error as error:
                raise DataError(f"{path}: line {reader.line_num}: {error}") from None
            except UnicodeDecodeError as error:
                where = f"after line {reader.line_num}"
                raise DataError(f"{path}: not UTF-8 ({error.reason} {where})") from None

    # The separator is the one under which the heading shows most of the columns wanted.
    headings = {
        separator: [name.strip() for name in next(parse(separator, strict=False), [])]
        for separator in SEPARATORS
    }
    separator = max(
        SEPARATORS, key=lambda it: (len(set(wanted) & set(headings[it])), len(headings[it]))
    )
    heading = headings[separator]
    while heading and not heading[-1]:
        heading.pop()  # separators at the end of the line
    if not heading:
        raise DataError(f"{path}: empty, expected a heading and rows")
    return heading, itertools.islice(parse(separator, strict=True), 1, None)


def _read_parquet(path: Path) -> tuple[list[str], Iterator[list[str]]]:
    table = tables.read(path)
    heading = [str(name).strip() for name in table.columns]
    columns = [[_text(value) for value in table.iloc[:, i]] for i in range(len(heading))]
    return heading, (list(record) for record in zip(*columns, strict=True))


def _text(value: Any) -> str:
    """Return a cell of a typed table as text: missing is empty, 1.0 is 1."""
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _usable_rows(
    heading: Sequence[str],
    records: Iterator[list[str]],
    file_column: str,
    wanted: Sequence[str],
    files: Files,
    named: set[str | None],
    log: Log,
) -> _Rows:
    """Return the rows that are whole and whose file is there; reject the others.

    Args:
        heading: names of all columns.
        records: cells of all rows.
        file_column: column of the files.
        wanted: columns to keep.
        files: of the data set.
        named: gets the paths of all rows, those rejected too; None for one out of the root.
        log: gets what is rejected.
    """
    rows = _Rows(columns={name: _Column() for name in wanted})
    places = [heading.index(name) for name in wanted]
    place, width = heading.index(file_column), len(heading)
    chunk: list[list[str]] = []

    def sort_into_columns() -> None:
        cells = list(zip(*chunk, strict=True))
        for column, of_column in zip(rows.columns.values(), places, strict=True):
            column.extend(cells[of_column])
        chunk.clear()

    for number, record in enumerate(records, start=1):
        while len(record) > width and not record[-1].strip():
            record.pop()  # separators at the end of the line
        file = record[place].strip() if place < len(record) else ""
        path = _relative_path(file)
        named.add(path)
        if len(record) != width:
            detail = f"{len(record)} cells, the heading has {width}"
            log.reject(file, number, "ragged_row", detail)
        elif not file:
            log.reject(file, number, "no_file_name")
        elif path is None:
            detail = "expected a path below the data set's folder"
            log.reject(file, number, "path_outside_root", detail)
        elif not files.is_file(path):
            if files.is_folder(path):
                log.reject(file, number, "not_a_file", "a folder")
            else:
                detail = "no such file below the data set's folder"
                log.reject(file, number, "missing_file", detail)
        else:
            positions = rows.by_path.setdefault(path, [])
            positions.append(len(rows.numbers))
            if len(positions) > 1:
                first = rows.numbers[positions[0]]
                log.reject(file, number, "repeated_row", f"the file of row {first}")
            rows.numbers.append(number)
            rows.files.append(file)
            rows.paths.append(path)
            chunk.append(record)
            if len(chunk) == CHUNK:
                sort_into_columns()
    if chunk:
        sort_into_columns()
    return rows


def _relative_path(file: str) -> str | None:
    """Return a file's path in one spelling; None if it could lead out of the root."""
    if not UNUSUAL.search(file):
        return file
    file = file.replace("\\", "/")
    is_outside = (
        "\0" in file
        or file.startswith(("/", "~"))
        or re.match(r"[A-Za-z]:", file)
        or ".." in file.split("/")
    )
    return None if is_outside else str(PurePosixPath(file))


def _row_number(rejected: tuple[str, int | None, str, str]) -> int:
    """Return the number of a row that was rejected."""
    number = rejected[1]
    assert number is not None  # files without a row are rejected later
    return number


def _nothing_usable(path: Path, root: Path, log: Log) -> str:
    if not log.rejected:
        return f"{path}: no rows below the heading"
    file, number, reason, _ = min(log.rejected, key=_row_number)
    return (
        f"{path}: none of {len(log.rejected)} rows names a usable file below {root}"
        f" (row {number}: {reason} {file!r}); check root and file_column"
    )


def _read_columns(rows: _Rows, adapter: Table, path: Path, log: Log) -> pd.DataFrame:
    """Return the index but for derived attributes: one row a file, values repaired and checked."""

    def parse_split(text: str) -> Parsed:
        if normal(text) in MISSING:
            return None, "missing"
        if normal(text) not in SPLITS:
            known = ", ".join(SPLITS)
            raise DataError(f"{path}: {adapter.split_column}: {text!r} is none of {known}")
        return SPLITS[normal(text)], ""

    def read(name: str, column: str | None, parse: Parser, missing: Any) -> np.ndarray | None:
        return None if column is None else _agreed(name, rows, column, parse, missing, log)

    groups = read("group", adapter.group_column, _parse_group, None)
    splits = read("official_split", adapter.split_column, parse_split, None)
    attributes = {}
    for item in adapter.attributes:
        if item.classes is None:
            parse = _number_parser(item.min, item.max)
            attributes[item.name] = read(item.name, item.column, parse, np.nan)
        else:
            codes = read(item.name, item.column, _class_parser(item.classes), -1)
            attributes[item.name] = pd.Categorical.from_codes(codes, list(item.classes))
    return make_index(
        [rows.files[position] for position in rows.firsts],
        [rows.numbers[position] for position in rows.firsts],
        list(rows.by_path),
        groups,
        splits,
        attributes,
    )


def _agreed(
    name: str, rows: _Rows, column: str, parse: Parser, missing: Any, log: Log
) -> np.ndarray:
    """Return the value that each file's rows agree on; note what is not as given.

    Args:
        name: of what the column holds, for the notes.
        rows: of the table.
        column: column to read.
        parse: gives a text's value.
        missing: stands for no value: NaN, -1 for the place of a class, or None for texts.
        log: gets the notes.

    Returns:
        One value a file, in the order of `rows.by_path`; of the kind of `missing`.
    """
    texts = list(rows.columns[column].texts)
    codes = np.frombuffer(rows.columns[column].codes, dtype=np.intc)
    parsed = [parse(text) for text in texts]
    values = np.empty(len(texts), dtype=object if missing is None else type(missing))
    values[:] = [missing if value is None else value for value, _ in parsed]
    result = values[codes[rows.firsts]]

    # What needs a word: values that were changed, and files whose rows may disagree.
    is_noted = np.array([bool(note) for _, note in parsed])[codes]
    changed = np.flatnonzero(is_noted[rows.firsts]).tolist()
    for place in sorted({*changed, *rows.repeated}):
        positions = rows.repeated.get(place, [rows.firsts[place]])
        image_id = rows.files[positions[0]]
        given = [texts[codes[position]] for position in positions]
        found = [parsed[codes[position]] for position in positions]
        for text, (_, note) in zip(given, found, strict=True):
            if note:
                log.note(image_id, name, text, note)
        known = [value for value, _ in found if value is not None]
        if len(set(known)) <= 1:
            result[place] = known[0] if known else missing
            continue
        numbers = ", ".join(str(rows.numbers[position]) for position in positions)
        # Images without a group may be parted: better one group of two than none.
        result[place] = known[0] if name == "group" else missing
        action = "kept the first" if name == "group" else "set missing"
        note = f"{action}: rows {numbers} disagree"
        log.note(image_id, name, " | ".join(given), note)
    return result


def _parse_group(text: str) -> Parsed:
    return (None, "missing") if normal(text) in MISSING else (text.strip(), "")


def _class_parser(class_list: Sequence[str]) -> Parser:
    """Return a parser of labels, whose values are places in the list of classes.

    A class may be `none` or `unknown`; aliases are not guessed.
    """
    known = {normal(name): place for place, name in enumerate(class_list)}

    def parse(text: str) -> Parsed:
        place = known.get(normal(text))
        if place is not None:
            return place, "" if text == class_list[place] else "repaired: case or spaces"
        if normal(text) in MISSING:
            return None, "missing"
        near = get_close_matches(normal(text), known, n=1)
        hint = f"; did you mean {class_list[known[near[0]]]}?" if near else ""
        return None, f"set missing: not a class{hint}"

    return parse


def _number_parser(low: float | None, high: float | None) -> Parser:
    """Return a parser of plain numbers in [low, high]; None: any that a float can hold."""
    low = -sys.float_info.max if low is None else low
    high = sys.float_info.max if high is None else high

    def parse(text: str) -> Parsed:
        if normal(text) in MISSING:
            return None, "missing"
        if not NUMBER.fullmatch(text.strip()):
            return None, "set missing: not a number"
        value = float(text)
        if not low <= value <= high:
            return None, f"set missing: not in {low:g} to {high:g}"
        return value, "" if text == text.strip() else "repaired: case or spaces"

    return parse


def _image_files(files: Files, named: Sequence[str]) -> list[str]:
    """Return the image files below the folders of the files named, sorted."""
    folders = {path.rpartition("/")[0] for path in named}
    tops = [folder for folder in folders if not any(it in folders for it in _parents(folder))]
    return sorted(path for top in tops for path in files.images(top))


def _parents(folder: str) -> Iterator[str]:
    while folder:
        folder = folder.rpartition("/")[0]
        yield folder
