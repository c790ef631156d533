"""CSV as people and their programs leave it: any separator, its line `sep=`, UTF-8, UTF-16 or 32.

Zero bytes that fill cells up to one length are no part of them.

What cannot be read is told with its line and with what to do.
"""

import codecs
import csv
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from facekit.errors import DataError
from facekit.spelling import plain
from facekit.storage import kinds

SEPARATORS = ",;\t|"
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # Excel's, above the heading
WIDE = {  # by their marks, of which the longer ones begin with a shorter one
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
MOSTLY = 0.4  # share of zero bytes at odd (even) places from which on text is UTF-16

Row = tuple[int, list[str]]  # number of the line that it ends in, cells


def read(path: Path, wanted: Sequence[str]) -> tuple[list[str], Iterator[Row]]:
    """Return heading and rows of a CSV file; blank lines are no rows.

    Names in the heading come without spaces around them and without invisible characters.

    Args:
        path: the file.
        wanted: columns that it should have: the separator is the one that shows most of them.

    Raises:
        DataError: it cannot be read, is something else than CSV, has no heading; and while rows are
            read, a quote that is not closed, or bytes of another encoding.
    """
    encoding = _encoding(path)
    first = SEPARATOR_LINE.fullmatch(next(read_lines(path, encoding), ""))
    separators = [first[1]] if first else list(SEPARATORS)
    skipped = 1 if first else 0

    def parse(separator: str, strict: bool) -> Iterator[Row]:
        csv.field_size_limit(sys.maxsize)  # a long cell of a column that nobody asks for is no harm
        lines = read_lines(path, encoding)
        for _ in range(skipped):
            next(lines)
        reader = csv.reader(lines, delimiter=separator, strict=strict)
        begun = 1 + skipped
        try:
            for cells in reader:
                if len(cells) > 1 or "".join(cells).strip():
                    yield reader.line_num + skipped, [cell.rstrip("\0") for cell in cells]
                begun = reader.line_num + skipped + 1
        except csv.Error as error:
            why = "a quote that is not closed" if "end of data" in str(error) else str(error)
            raise DataError(f"{path}, line {begun}: {why}") from None

    headings = {}
    for separator in separators:
        _, names = next(parse(separator, strict=False), (0, []))
        headings[separator] = [plain(name).strip() for name in names]
    separator = max(
        separators, key=lambda one: (len(set(wanted) & set(headings[one])), len(headings[one]))
    )
    heading = headings[separator]
    while heading and not heading[-1]:
        heading.pop()  # separators at the end of the line
    if not heading:
        raise DataError(f"{path}: empty, expected a heading and rows")
    rows = parse(separator, strict=True)
    next(rows)
    return heading, rows


def read_lines(path: Path, encoding: str = "utf-8-sig") -> Iterator[str]:
    """Yield the lines of a text, their ends included.

    Raises:
        DataError: it cannot be read, or is of another encoding; with the line.
    """
    try:
        with Path(path).open(encoding=encoding, newline="") as file:
            yield from file
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}{_where(path, encoding)}: {_what(error)}") from None


def _encoding(path: Path) -> str:
    """Return the encoding of a text by its first bytes.

    Raises:
        DataError: it cannot be read, or is no text.
    """
    try:
        with Path(path).open("rb") as file:
            head = file.read(kinds.HEAD)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    kind = kinds.describe(head) if head else None
    if kind == kinds.ZIP:
        kind = f"{kinds.WORKBOOK}, or another ZIP archive"
    if kind is not None:
        todo = "; save it as CSV UTF-8" if kinds.WORKBOOK in kind else ", expected CSV"
        raise DataError(f"{path}: {kind}{todo}")
    for mark, encoding in WIDE.items():
        if head.startswith(mark):
            return encoding
    for start, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        half = head[start::2]
        if half.count(0) > MOSTLY * len(half) and b"\0" not in head[1 - start :: 2]:
            return encoding
    return "utf-8-sig"


def _where(path: Path, encoding: str) -> str:
    """Return which line is of another encoding than UTF-8, in words; nothing for others."""
    if encoding != "utf-8-sig":
        return ""
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return f", line {number}"
    return ""


def _what(error: UnicodeDecodeError) -> str:
    if not error.encoding.lower().startswith("utf-8"):
        return f"not {error.encoding.upper()} ({error.reason}); save it as CSV UTF-8"
    byte = error.object[error.start]
    try:
        likely = f", {bytes([byte]).decode('cp1252')!r} in the encoding of Windows"
    except UnicodeDecodeError:
        likely = ""
    return f"not UTF-8 (byte 0x{byte:02x}{likely}); save it as CSV UTF-8"
