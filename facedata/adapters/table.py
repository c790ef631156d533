"""Adapter `table`: a CSV or Parquet table with one row an image, beside folders of images.

Strict about what is there (every row and every stray image file is accounted for), kind about how
it is written (separator, byte order mark, case and spaces of labels).
"""

import csv
import io
import itertools
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from facedata import tables
from facedata.adapters import Ingested, declared
from facedata.adapters.declared import normal
from facedata.derived import derive
from facedata.errors import DataError

MISSING = frozenset({"", "n/a", "na", "nan", "none", "null", "unknown", "?", "-"})
SEPARATORS = ",;\t|"
SPLITS = {"train": "train", "val": "val", "test": "test", "0": "train", "1": "val", "2": "test"}
IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"}
    | {".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
# Columns that other tables (packs, samples, deficits, predictions) have beside the attributes.
RESERVED = frozenset(tables.FIXED_COLUMNS) | {
    *("class", "name", "count", "deficit", "arm", "seed", "psi", "accepted", "reason"),
    *("teacher_probability", "nearest_distance"),
}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


Parsed = tuple[Any, str]  # value (None: missing), and a note on what was changed ('': nothing)
Parser = Callable[[str], Parsed]


@dataclass
class _Row:
    """A row of the table as text."""

    number: int  # from 1, the heading not counted
    cells: list[str]
    file: str  # cell of the file column, stripped
    path: str | None  # relative to the root, posix; None if it could lead out of the root


@dataclass
class _Log:
    """What was rejected and what was noted so far."""

    rejected: list[tuple[str, int | None, str, str]] = field(default_factory=list)
    notes: list[tuple[str, str, str, str]] = field(default_factory=list)

    def reject(self, row: _Row, reason: str, detail: str = "") -> None:
        self.rejected.append((row.file, row.number, reason, detail))


def ingest(root: Path, settings: Mapping[str, Any], seed: int) -> Ingested:
    """Read the table and check it against the folders.

    Of rows of the same file the first is kept; where the others disagree with it, the value is
    missing. Files are looked for, never opened.

    Args:
        root: folder of the data set; paths in the table are relative to it.
        settings: file, file_column, group_column, split_column, attributes, derived.
        seed: not used, a table is read as it is.

    Raises:
        DataError: the table cannot be read, a column is missing or named twice, no row is usable,
            or an official split has a value that is none.
    """
    class_lists = declared.table_classes(settings)
    taken = sorted(RESERVED & class_lists.keys())
    if taken:
        raise DataError(f"attribute {taken[0]!r}: the name is taken; all of {sorted(RESERVED)} are")
    table_path = root / settings["file"]
    log = _Log()
    wanted = [settings["file_column"], settings["group_column"], settings["split_column"]]
    wanted += [item["column"] for item in settings["attributes"]]
    wanted = list(dict.fromkeys(name for name in wanted if name is not None))
    heading, rows = _read_rows(table_path, wanted, settings["file_column"])

    usable = [row for row in rows if _is_usable(row, len(heading), root, log)]
    if not usable:
        raise DataError(_nothing_usable(table_path, root, log))
    groups = _group_by_path(usable, log)
    index = _read_columns(groups, heading, settings, table_path, log)
    index = derive(index, settings["derived"])
    index = index[["image_id", "table_row", "path", "group", "official_split", *class_lists]]

    log.rejected.sort(key=lambda entry: entry[1])
    named = {row.path for row in rows}
    for path in _image_files(root, [row.path for row in usable]):
        if path not in named:
            # A name of bytes that are no UTF-8 cannot be written into a table as it is.
            image_id = path.encode("utf-8", "backslashreplace").decode()
            log.rejected.append((image_id, None, "file_without_row", "no row names it"))
    notes = notes_table(log.notes)
    return Ingested(index=index, rejected=rejected_table(log.rejected), notes=notes)


def rejected_table(entries: Sequence[tuple[str, int | None, str, str]]) -> pd.DataFrame:
    """Return the table of (image_id, table_row, reason, detail)."""
    table = pd.DataFrame(entries, columns=["image_id", "table_row", "reason", "detail"])
    return table.astype({"image_id": "str", "table_row": "Int64", "reason": "str", "detail": "str"})


def notes_table(entries: Sequence[tuple[str, str, str, str]]) -> pd.DataFrame:
    """Return the table of (image_id, attribute, given, note)."""
    return pd.DataFrame(entries, columns=["image_id", "attribute", "given", "note"], dtype="str")


def _read_rows(path: Path, wanted: Sequence[str], file_column: str) -> tuple[list[str], list[_Row]]:
    """Return the heading of the table and its rows as text."""
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

    rows = []
    place = heading.index(file_column)
    for number, record in enumerate(records, start=1):
        while len(record) > len(heading) and not record[-1].strip():
            record.pop()  # separators at the end of the line
        file = record[place].strip() if place < len(record) else ""
        rows.append(_Row(number, record, file, _relative_path(file)))
    return heading, rows


def _read_csv(path: Path, wanted: Sequence[str]) -> tuple[list[str], Iterator[list[str]]]:
    """Return heading and records of a CSV file: UTF-8 (or UTF-16 with its mark), any separator.

    Blank lines are no records.
    """
    try:
        data = path.read_bytes()
        is_utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        text = data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason}, byte {error.start})") from None

    def parse(separator: str, strict: bool) -> Iterator[list[str]]:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=strict)
        try:
            yield from (record for record in reader if "".join(record).strip() or len(record) > 1)
        except csv.Error as error:
            raise DataError(f"{path}: line {reader.line_num}: {error}") from None

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


def _is_usable(row: _Row, num_columns: int, root: Path, log: _Log) -> bool:
    """Return whether a row is whole and its file is there; reject it if not."""
    if len(row.cells) != num_columns:
        log.reject(row, "ragged_row", f"{len(row.cells)} cells, the heading has {num_columns}")
    elif not row.file:
        log.reject(row, "no_file_name")
    elif row.path is None:
        log.reject(row, "path_outside_root", "expected a path below the data set's folder")
    elif os.path.isdir(root / row.path):  # noqa: PTH112  as below
        log.reject(row, "not_a_file", "a folder")
    elif not os.path.isfile(root / row.path):  # noqa: PTH113  False for names no system allows
        log.reject(row, "missing_file", "no such file below the data set's folder")
    else:
        return True
    return False


def _relative_path(file: str) -> str | None:
    """Return a file's path in one spelling; None if it could lead out of the root."""
    file = file.replace("\\", "/")
    is_outside = (
        "\0" in file
        or file.startswith(("/", "~"))
        or re.match(r"[A-Za-z]:", file)
        or ".." in file.split("/")
    )
    return None if is_outside else str(PurePosixPath(file))


def _nothing_usable(path: Path, root: Path, log: _Log) -> str:
    if not log.rejected:
        return f"{path}: no rows below the heading"
    file, number, reason, _ = min(log.rejected, key=lambda entry: entry[1])
    return (
        f"{path}: none of {len(log.rejected)} rows names a usable file below {root}"
        f" (row {number}: {reason} {file!r}); check root and file_column"
    )


def _group_by_path(rows: Sequence[_Row], log: _Log) -> list[list[_Row]]:
    """Return the rows of each file, in the order of their first; reject all but the first."""
    groups: dict[str, list[_Row]] = {}
    for row in rows:
        groups.setdefault(row.path, []).append(row)
    for first, *others in groups.values():
        for row in others:
            log.reject(row, "repeated_row", f"the file of row {first.number}")
    return list(groups.values())


def _read_columns(
    groups: Sequence[Sequence[_Row]],
    heading: Sequence[str],
    settings: Mapping[str, Any],
    path: Path,
    log: _Log,
) -> pd.DataFrame:
    """Return the index but for derived attributes: one row a file, values repaired and checked."""
    firsts = [rows[0] for rows in groups]
    index = pd.DataFrame(
        {
            "image_id": pd.Series([row.file for row in firsts], dtype="str"),
            "table_row": pd.Series([row.number for row in firsts], dtype="Int64"),
            "path": pd.Series([row.path for row in firsts], dtype="str"),
        }
    )

    def read(name: str, column: str | None, parse: Parser) -> list[Any]:
        if column is None:
            return [None] * len(groups)
        place = heading.index(column)
        return [_agreed(name, place, rows, parse, log) for rows in groups]

    def parse_split(text: str) -> Parsed:
        if normal(text) in MISSING:
            return None, "missing"
        if normal(text) not in SPLITS:
            known = ", ".join(SPLITS)
            raise DataError(f"{path}: {settings['split_column']}: {text!r} is none of {known}")
        return SPLITS[normal(text)], ""

    groups_read = read("group", settings["group_column"], _parse_group)
    index["group"] = pd.Series(groups_read, dtype="str")
    splits_read = read("official_split", settings["split_column"], parse_split)
    index["official_split"] = pd.Series(splits_read, dtype="str")
    for item in settings["attributes"]:
        if item["kind"] == "numeric":
            low, high = item.get("min"), item.get("max")
            low = -sys.float_info.max if low is None else low
            high = sys.float_info.max if high is None else high
            parse = _number_parser(low, high)
            values = read(item["name"], item["column"], parse)
            index[item["name"]] = pd.Series(values, dtype="float64")
        else:
            values = read(item["name"], item["column"], _class_parser(item["classes"]))
            index[item["name"]] = pd.Categorical(values, categories=item["classes"])
    return index


def _agreed(name: str, place: int, rows: Sequence[_Row], parse: Parser, log: _Log) -> Any:
    """Return the value that a file's rows agree on, None if missing; note what was not as given."""
    image_id = rows[0].file
    values = []
    for row in rows:
        value, note = parse(row.cells[place])
        values.append(value)
        if note:
            log.notes.append((image_id, name, row.cells[place], note))
    known = [value for value in values if value is not None]
    if len(set(known)) <= 1:
        return known[0] if known else None
    given = " | ".join(row.cells[place] for row in rows)
    numbers = ", ".join(str(row.number) for row in rows)
    # Images without a group may be parted: better one group of two than none.
    value = known[0] if name == "group" else None
    action = "kept the first" if name == "group" else "set missing"
    log.notes.append((image_id, name, given, f"{action}: rows {numbers} disagree"))
    return value


def _parse_group(text: str) -> Parsed:
    return (None, "missing") if normal(text) in MISSING else (text.strip(), "")


def _class_parser(class_list: Sequence[str]) -> Parser:
    """Return a parser of labels: a class may be `none` or `unknown`; aliases are not guessed."""
    known = {normal(name): name for name in class_list}

    def parse(text: str) -> Parsed:
        value = known.get(normal(text))
        if value is not None:
            return value, "" if text == value else "repaired: case or spaces"
        if normal(text) in MISSING:
            return None, "missing"
        near = get_close_matches(normal(text), known, n=1)
        hint = f"; did you mean {known[near[0]]}?" if near else ""
        return None, f"set missing: not a class{hint}"

    return parse


def _number_parser(low: float, high: float) -> Parser:
    """Return a parser of plain numbers in [low, high]."""

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


def _image_files(root: Path, named: Iterable[str]) -> list[str]:
    """Return the image files below the folders of the files named, sorted, relative to root."""
    folders = {PurePosixPath(path).parent for path in named}
    tops = [folder for folder in folders if not any(it in folders for it in folder.parents)]
    found = []
    for top in tops:
        for folder, _, names in os.walk(root / top):
            inside = Path(folder).relative_to(root).as_posix()
            found += [
                str(PurePosixPath(inside) / name)
                for name in names
                if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES
            ]
    return sorted(found)
