"""What adapters share: the files of a data set, the problems found, the tables made of them."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facedata.columns import NOTES, REJECTED
from facekit.errors import DataError
from facekit.storage import archives

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MISSING = frozenset({"", "n/a", "na", "nan", "none", "null", "unknown", "?", "-"})
IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"}
    | {".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)


@dataclass
class Log:
    """What was rejected and what was noted so far.

    Attributes:
        rejected: (image_id, table_row or None, reason, detail).
        notes: (image_id, attribute, given, note).
    """

    rejected: list[tuple[str, int | None, str, str]] = field(default_factory=list)
    notes: list[tuple[str, str, str, str]] = field(default_factory=list)

    def reject(self, image_id: str, row: int | None, reason: str, detail: str = "") -> None:
        """List a row or a file that is not in the index; `row` is None for a file without one."""
        # A name of bytes that are no UTF-8 cannot be written into a table as it is.
        image_id = image_id.encode("utf-8", "backslashreplace").decode()
        self.rejected.append((image_id, row, reason, detail))

    def note(self, image_id: str, attribute: str, given: str, note: str) -> None:
        """List a value that was repaired or set missing."""
        self.notes.append((image_id, attribute, given, note))

    def rejected_table(self) -> pd.DataFrame:
        """Return what was rejected: image_id, table_row (Int64), reason, detail."""
        import pandas as pd

        table = pd.DataFrame(self.rejected, columns=REJECTED.names)
        return table.astype(REJECTED.dtypes(REJECTED.names))

    def notes_table(self) -> pd.DataFrame:
        """Return what was noted: image_id, attribute, given, note."""
        import pandas as pd

        return pd.DataFrame(self.notes, columns=NOTES.names, dtype="str")


class Files:
    """The files of a data set, by paths relative to its root (posix); ZIP archives are folders too.

    A folder is listed once, when it is first asked for: a look at each of 200,000 files by itself
    would take longer than all else.
    """

    def __init__(self, root: Path) -> None:
        """Remember the root; nothing is listed yet."""
        self.root = os.fspath(root)
        self._listed: dict[str, tuple[set[str], set[str]]] = {}

    def path(self, path: str) -> str:
        """Return the path of a file or folder as the system knows it."""
        return f"{self.root}/{path}" if path else self.root

    def is_file(self, path: str) -> bool:
        """Return whether there is such a file."""
        folder, _, name = path.rpartition("/")
        # The system may take another spelling too. False for names that no system allows.
        return name in self._list(folder)[0] or os.path.isfile(self.path(path))  # noqa: PTH113

    def is_folder(self, path: str) -> bool:
        """Return whether there is such a folder."""
        return os.path.isdir(self.path(path)) or any(self._list(path))  # noqa: PTH112

    def names(self, folder: str) -> set[str]:
        """Return the names of the files in a folder; none where there is no such folder."""
        return self._list(folder)[0]

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder, sorted."""
        return sorted(self._list(folder)[1])

    def archives(self, folder: str) -> list[str]:
        """Return the names of the ZIP archives in a folder, sorted."""
        return sorted(name for name in self.names(folder) if name.lower().endswith(".zip"))

    def images(self, folder: str) -> list[str]:
        """Return the paths of the image files in a folder and all folders below it, sorted."""
        found, todo = [], [folder]
        while todo:
            folder = todo.pop()
            files, folders = self._list(folder)
            found += [join(folder, name) for name in files if is_image(name)]
            below = [join(folder, name) for name in folders]
            todo += [path for path in below if not os.path.islink(self.path(path))]  # noqa: PTH114
        return sorted(found)

    def _list(self, folder: str) -> tuple[set[str], set[str]]:
        """Return the names of the files and of the folders in a folder."""
        if folder in self._listed:
            return self._listed[folder]
        for match in archives.SUFFIX.finditer(f"{folder}/"):
            archive = folder[: match.end() - 1]
            if archive not in self._listed and os.path.isfile(self.path(archive)):  # noqa: PTH113
                self._list_archive(archive)
        if folder not in self._listed:
            self._list_folder(folder)
        return self._listed[folder]

    def _list_folder(self, folder: str) -> None:
        files, folders = self._listed[folder] = set(), set()
        try:
            entries = os.scandir(self.path(folder))
        except (OSError, ValueError):
            return  # no such folder, or a name that no system allows
        with entries:
            for entry in entries:
                try:
                    if entry.is_dir():
                        folders.add(entry.name)
                    elif entry.is_file():
                        files.add(entry.name)
                except OSError:
                    continue  # a link in circles

    def _list_archive(self, archive: str) -> None:
        self._listed[archive] = (set(), set())
        for member in archives.names(self.path(archive)):
            folder, _, name = join(archive, member).rpartition("/")
            if folder in self._listed:
                self._listed[folder][0].add(name)
                continue
            self._listed[folder] = ({name}, set())
            while folder != archive:
                folder, _, name = folder.rpartition("/")
                self._listed.setdefault(folder, (set(), set()))[1].add(name)


def join(folder: str, name: str) -> str:
    """Return the path of a name in a folder; the root is the empty text."""
    return f"{folder}/{name}" if folder else name


def is_image(name: str) -> bool:
    """Return whether a file is called as images are."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 text, their ends included.

    Raises:
        DataError: it cannot be read, or is no UTF-8.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            yield from file
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason})") from None


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and stripped cells of each row of a CSV file; blank lines are no rows.

    Args:
        path: the file.
        columns: its heading, in this order.

    Raises:
        DataError: another heading, a row with more or fewer cells, or as in `read_lines`.
    """
    reader = csv.reader(read_lines(path), strict=True)
    expected = ",".join(columns)
    try:
        heading = [cell.strip() for cell in next(reader, [])]
        if heading != list(columns):
            raise DataError(f"{path}, line 1: found {','.join(heading)!r}, expected {expected}")
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if len(cells) != len(columns):
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells, expected {expected}"
                )
            yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from None


def make_index(
    image_ids: Sequence[str],
    table_rows: Sequence[int] | np.ndarray,
    paths: Sequence[str],
    groups: Sequence[str | None] | np.ndarray | None,
    official_splits: Sequence[str | None] | np.ndarray | None,
    attributes: Mapping[str, Any],
) -> pd.DataFrame:
    """Return an index as in `adapters.Ingested`.

    Args:
        image_ids: names of the images, each once.
        table_rows: row of the table that each is from, from 1.
        paths: where they lie, relative to the root.
        groups: images of one group never straddle splits; None: there are none.
        official_splits: train, val or test; None: there are none.
        attributes: columns by name: categories, or float64.
    """
    import pandas as pd

    missing = [None] * len(image_ids)
    columns = {
        "image_id": pd.Series(image_ids, dtype="str"),
        "table_row": pd.Series(table_rows, dtype="Int64"),
        "path": pd.Series(paths, dtype="str"),
        "group": pd.Series(missing if groups is None else groups, dtype="str"),
        "official_split": pd.Series(
            missing if official_splits is None else official_splits, dtype="str"
        ),
    }
    return pd.DataFrame(columns | dict(attributes))
