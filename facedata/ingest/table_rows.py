"""Reading a table with one row an image (CSV, Excel, Parquet) for the adapter `table`.

Strict about what is there (every row and every stray image file is accounted for), kind about how
it is written (separator, encoding, case and spaces of labels, decimal commas).
"""

import itertools
import sys
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from facedata.ingest import boxes
from facedata.ingest.adapters import Ingested
from facedata.ingest.adapters.declared import normal
from facedata.ingest.adapters.reading import MISSING, Log, make_index
from facedata.ingest.adapters.table import Labelled, Table
from facedata.ingest.derived import derive
from facedata.ingest.finding import Finder
from facedata.ingest.numbers import has_decimal_commas, read_number
from facedata.ingest.ranges import outside
from facekit.errors import DataError
from facekit.spelling import plain
from facekit.storage import arrow, delimited, kinds, workbooks
from facekit.storage.walking import Files, also

SPLITS = {
    **{"train": "train", "training": "train", "0": "train"},
    **{"val": "val", "valid": "val", "validation": "val", "dev": "val", "1": "val"},
    **{"test": "test", "testing": "test", "2": "test"},
}
CHUNK = 4096  # rows sorted into columns at a time

Parsed = tuple[Any, str]  # value (None: missing), and a note on what was changed ('': nothing)
Parser = Callable[[str], Parsed]
Rejected = tuple[str, int | None, str, str]  # as `Log.rejected` has it


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
    # Positions of the rows of each file: by its path, and the cells that name a face, if any do.
    by_image: dict[tuple[str, ...], list[int]] = field(default_factory=dict)

    @cached_property
    def firsts(self) -> np.ndarray:
        """Position of the first row of each file, int64 [num_files]."""
        return np.array([positions[0] for positions in self.by_image.values()], dtype=np.int64)

    @cached_property
    def repeated(self) -> dict[int, list[int]]:
        """Positions of the rows of each file that has several, by the file's place."""
        return {
            place: positions
            for place, positions in enumerate(self.by_image.values())
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
    path, place = root / adapter.file, adapter.file_column
    heading, records = read_cells(path, [place, *adapter.columns()])
    find = Finder(Files(root), adapter.file_pattern)
    return read_records(adapter, path, heading, records, place, find, Log(), set())


def read_records(
    adapter: Labelled,
    source: Path,
    heading: Sequence[str],
    records: Iterator[list[str]],
    file_column: str,
    find: Finder,
    log: Log,
    named: set[str | None],
) -> Ingested:
    """Make the index of records, and check them against the files, as `read_table`.

    Args:
        adapter: which columns are attributes.
        source: what the records are from, for messages.
        heading: names of all columns.
        records: cells of all rows.
        file_column: column of the files.
        find: finds them.
        log: gets what is rejected and noted, and has what was.
        named: paths that were dealt with; gets those of all records.

    Raises:
        DataError: no record is usable, or an official split has a value that is none.
    """
    files, rejected = find.files, len(log.rejected)
    rows = _usable_rows(heading, records, file_column, adapter, find, named, log)
    if not rows.numbers:
        raise DataError(
            _nothing_usable(source, files, log.rejected[rejected:]) + also(files.passed_over)
        )
    index = _read_columns(rows, adapter, source, log)
    of_faces = _named_faces(rows, adapter, log)
    index = derive(index, adapter.derivations())
    index = index[
        ["image_id", "table_row", "path", "group", "official_split", *adapter.class_lists()]
    ]

    log.rejected[rejected:] = sorted(log.rejected[rejected:], key=_row_number)
    for path in _image_files(files, rows.paths):
        if path not in named:
            log.reject(path, None, "file_without_row", "no row names it")
    tables = log.rejected_table(), log.notes_table()
    return Ingested(index, *tables, files.passed_over, of_faces)


def read_cells(path: Path, wanted: Sequence[str]) -> tuple[list[str], Iterator[list[str]]]:
    """Return the heading of a table and its rows as text; all columns wanted are there.

    Cells of other columns of a Parquet table are empty.

    Raises:
        DataError: the table cannot be read, a column is missing or named twice.
    """
    try:
        kind = kinds.of_file(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if kind == kinds.PARQUET or path.suffix.lower() == ".parquet":
        return _read_parquet(path, wanted)
    if workbooks.is_one(path):
        heading, cells = workbooks.read(path, wanted)
        _check_heading(path, heading, wanted)
        return heading, ([_text(cell, path, "") for cell in row] for row in cells)
    heading, rows = delimited.read(path, wanted)
    _check_heading(path, heading, wanted)
    return heading, (cells for _, cells in rows)


def _check_heading(path: Path, heading: list[str], wanted: Sequence[str]) -> None:
    twice = sorted({name for name in heading if name and heading.count(name) > 1})
    if twice:
        raise DataError(f"{path}: column {twice[0]!r} is there twice, found {heading}")
    for name in wanted:
        if name not in heading:
            near = get_close_matches(name, heading, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise DataError(f"{path}: no column {name!r}, found {heading}{hint}")


def _read_parquet(path: Path, wanted: Sequence[str]) -> tuple[list[str], Iterator[list[str]]]:
    """Return heading and rows; what pandas keeps as its index is a column, too."""
    with arrow.readable(path), pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        heading = [plain(name).strip() for name in names]
    _check_heading(path, heading, wanted)
    chosen = {name: names[heading.index(name)] for name in wanted}
    with arrow.readable(path), pq.ParquetFile(path) as file:
        table = file.read(columns=list(chosen.values()), use_threads=False)
        values = {name: table[given].to_pylist() for name, given in chosen.items()}
    columns = [
        [_text(value, path, name) for value in values[name]]
        if name in values
        else itertools.repeat("", table.num_rows)
        for name in heading
    ]
    return heading, (list(record) for record in zip(*columns, strict=True))


def _text(value: Any, path: Path, column: str) -> str:
    """Return a cell of a typed table as text: missing is empty, 1.0 is 1, bytes are UTF-8."""
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise DataError(f"{path}: column {column}: bytes that are no UTF-8 text") from None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _usable_rows(
    heading: Sequence[str],
    records: Iterator[list[str]],
    file_column: str,
    adapter: Labelled,
    find: Finder,
    named: set[str | None],
    log: Log,
) -> _Rows:
    """Return the rows that are whole and whose file is there; reject the others.

    Args:
        heading: names of all columns.
        records: cells of all rows.
        file_column: column of the files.
        adapter: tells which columns to keep.
        find: finds the files.
        named: gets the paths of all rows, those rejected too; None for one out of the root.
        log: gets what is rejected.
    """
    wanted, files = adapter.columns(), find.files
    rows = _Rows(columns={name: _Column() for name in wanted})
    places = [heading.index(name) for name in wanted]
    of_face = [heading.index(name) for name in adapter.face_columns()]
    place, width = heading.index(file_column), len(heading)
    chunk: list[list[str]] = []

    def sort_into_columns() -> None:
        for column, cells in zip(rows.columns.values(), zip(*chunk, strict=True), strict=True):
            column.extend(cells)
        chunk.clear()

    for number, record in enumerate(records, start=1):
        while len(record) > width and not record[-1].strip():
            record.pop()  # separators at the end of the line
        file = plain(record[place]).strip() if place < len(record) else ""
        path, several = find.path(file) if file else ("", "")
        found = files.find(path) if path else None
        path = path if found is None else found
        named.add(path)
        if len(record) != width:
            detail = f"{len(record)} cells, the heading has {width}"
            log.reject(file, number, "ragged_row", detail)
        elif not file:
            log.reject(file, number, "no_file_name")
        elif several:
            log.reject(file, number, "ambiguous_file", several)
        elif path is None:
            detail = "expected a path below the data set's folder"
            log.reject(file, number, "path_outside_root", detail)
        elif found is None:
            if files.is_folder(path):
                log.reject(file, number, "not_a_file", "a folder")
            else:
                detail = "no such file below the data set's folder"
                log.reject(file, number, "missing_file", detail)
        elif (why := files.problem(path)) is not None:
            log.reject(file, number, "unreadable_file", why)
        else:
            face = (record[one].strip() for one in of_face)
            positions = rows.by_image.setdefault((path, *face), [])
            positions.append(len(rows.numbers))
            if len(positions) > 1:
                first = rows.numbers[positions[0]]
                log.reject(file, number, "repeated_row", f"the file of row {first}")
            rows.numbers.append(number)
            rows.files.append(file)
            rows.paths.append(path)
            chunk.append([record[place] for place in places])
            if len(chunk) == CHUNK:
                sort_into_columns()
    if chunk:
        sort_into_columns()
    return rows


def _row_number(rejected: Rejected) -> int:
    """Return the number of a row that was rejected."""
    number = rejected[1]
    assert number is not None  # files without a row are rejected later
    return number


def _nothing_usable(path: Path, files: Files, rejected: Sequence[Rejected]) -> str:
    if not rejected:
        return f"{path}: no rows below the heading"
    file, number, reason, _ = min(rejected, key=_row_number)
    there = next(iter(files.images("")), None)
    pictures = "no picture is there" if there is None else f"a picture there is {there!r}"
    return (
        f"{path}: none of {len(rejected)} rows names a usable file below {files.root}"
        f" (row {number}: {reason} {file!r}; {pictures}); check the"
        " folder, and the column that names files"
    )


def _read_columns(rows: _Rows, adapter: Labelled, path: Path, log: Log) -> pd.DataFrame:
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
            parse = _number_parser(item.min, item.max, rows.columns[item.column].texts)
            attributes[item.name] = read(item.name, item.column, parse, np.nan)
        else:
            codes = read(item.name, item.column, _class_parser(item.classes, item.map or {}), -1)
            attributes[item.name] = pd.Categorical.from_codes(codes, list(item.classes))
    return make_index(
        [rows.files[position] for position in rows.firsts],
        [rows.numbers[position] for position in rows.firsts],
        [path for path, *_ in rows.by_image],
        groups,
        splits,
        attributes,
    )


def _named_faces(rows: _Rows, adapter: Labelled, log: Log) -> pd.DataFrame | None:
    """Return what the columns that name faces say, as `Ingested.named`; None where there are none.

    A file's rows that say the same are one.
    """
    if not isinstance(adapter, Table) or not adapter.names_faces():
        return None

    def read(column: str, parse: Parser, log: Log) -> np.ndarray:
        return _agreed(column, rows, column, parse, np.nan, log)

    names = adapter.face_columns()
    if adapter.box is None:
        way = "from_left" if adapter.face_order == "left" else "by_size"
        numbers = _number_parser(None, None, rows.columns[names[0]].texts)
        return pd.DataFrame({way: read(names[0], numbers, log)})
    ways = boxes.PIXELS if adapter.box_unit == "px" else boxes.SHARES
    if len(names) == 1:  # what is no box is noted once, not for each of its numbers
        logs = [log, *(Log() for _ in ways[1:])]
        parsers = [_box_parser(place, adapter.box_form) for place in range(len(ways))]
        found = [read(names[0], *both) for both in zip(parsers, logs, strict=True)]
        return pd.DataFrame(dict(zip(ways, found, strict=True)))
    sides = [
        read(name, _number_parser(None, None, rows.columns[name].texts), log) for name in names
    ]
    return pd.DataFrame(boxes.to_size(np.stack(sides, axis=1), adapter.box_form), columns=ways)


def _box_parser(place: int, form: boxes.Form) -> Parser:
    """Return a parser of boxes in one cell, whose values are their left, top, width or height.

    Args:
        place: which of them.
        form: of a box that does not say it.
    """

    def parse(text: str) -> Parsed:
        if normal(text) in MISSING:
            return None, "missing"
        found = boxes.read(text)
        if found is None:
            return None, "set missing: not a box of four numbers"
        values, own = found
        return float(boxes.to_size(np.array([values]), own or form)[0, place]), ""

    return parse


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
        One value a file, in the order of `rows.by_image`; of the kind of `missing`.
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


def _class_parser(class_list: Sequence[str], given: Mapping[str, str]) -> Parser:
    """Return a parser of labels, whose values are places in the list of classes.

    A class may be `none` or `unknown`; aliases are not guessed.

    Args:
        class_list: the classes.
        given: what they are called otherwise -> class; wins where it is called as a class is.
    """
    known = {normal(name): place for place, name in enumerate(class_list)}
    mapped = {normal(text): known[normal(name)] for text, name in given.items()}
    by_number = _by_number(known) | _by_number(mapped)

    def parse(text: str) -> Parsed:
        place = mapped.get(normal(text))
        if place is not None:
            return place, ""
        place = known.get(normal(text))
        if place is not None:
            return place, "" if text == class_list[place] else "repaired: case or spaces"
        if normal(text) in MISSING:
            return None, "missing"
        number = read_number(text)
        place = None if number is None else by_number.get(number)
        if place is not None:
            return place, "repaired: the same number"
        near = get_close_matches(normal(text), known, n=1)
        hint = f"; did you mean {class_list[known[near[0]]]}?" if near else ""
        return None, f"set missing: not a class{hint}"

    return parse


def _by_number(places: Mapping[str, int]) -> dict[float, int | None]:
    """Return the places of names that are numbers, by number; None for one that is there twice."""
    found: dict[float, int | None] = {}
    for name, place in places.items():
        number = read_number(name)
        if number is not None:
            found[number] = None if number in found else place
    return found


def _number_parser(low: float | None, high: float | None, texts: Collection[str]) -> Parser:
    """Return a parser of plain numbers in [low, high]; None: any that a float can hold.

    Args:
        low, high: the range.
        texts: all that will be parsed: they tell what a comma is.
    """
    ends = (
        -sys.float_info.max if low is None else low,
        sys.float_info.max if high is None else high,
    )
    commas = has_decimal_commas(texts)

    def parse(text: str) -> Parsed:
        if normal(text) in MISSING:
            return None, "missing"
        has_comma = commas and "," in text
        value = read_number(text.replace(",", ".") if has_comma else text)
        if value is None:
            return None, "set missing: not a number"
        if (problem := outside(value, ends)) is not None:
            return None, f"set missing: {problem}"
        if has_comma:
            return value, "repaired: decimal comma"
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
