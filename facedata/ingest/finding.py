"""Which file a cell of a table names: a path below the root, or a name in any folder."""

import re
from functools import cached_property
from pathlib import PurePosixPath

from facedata.ingest.adapters.table import CELL
from facekit.spelling import plain
from facekit.storage.walking import Files

ANYWHERE = "**/"  # begins a pattern of files in any folder
# What makes a path need a closer look: separators of Windows, `.` and `..`, empty parts, homes.
UNUSUAL = re.compile(r"\\|\0|:|^[/~.]|/[/.]|/$")


class Finder:
    """Finds the file that a cell names."""

    def __init__(self, files: Files, pattern: str = CELL) -> None:
        """Take the files of a data set, and the pattern that makes a path of a cell."""
        self.files = files
        self._is_anywhere = pattern.startswith(ANYWHERE)
        self._before, _, self._after = pattern.removeprefix(ANYWHERE).partition(CELL)

    def path(self, cell: str) -> tuple[str | None, str]:
        """Return the path of a file, and why it cannot be told.

        The path is None if it could lead out of the root, or where several files have the name,
        which only then is said.
        """
        if not self._is_anywhere:
            return _relative_path(f"{self._before}{cell}{self._after}"), ""
        name = f"{self._before}{_last(cell)}{self._after}"
        paths = self._by_name.get(plain(name), [])
        if len(paths) > 1:
            return None, f"{len(paths)} files have this name: {paths[0]}, {paths[1]} ..."
        return paths[0] if paths else _last(name), ""

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for path in self.files.images(""):
            found.setdefault(plain(_last(path)), []).append(path)
        return found


def _last(path: str) -> str:
    """Return the last part of a path."""
    return path.replace("\\", "/").rpartition("/")[2]


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
