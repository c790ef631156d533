"""Tables of labels: which column names the photographs, and what the others hold."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from facedata.ingest import table_rows
from facedata.ingest.adapters.table import CELL
from facedata.ingest.finding import ANYWHERE
from facedata.recognition import boxes
from facedata.recognition.columns import Column, understand
from facedata.recognition.folder import Folder
from facekit.errors import DataError
from facekit.spelling import plain
from facekit.storage.walking import respelled

NUM_ROWS = 500  # of which it is told what names photographs
SOME = 0.01  # the least share, below which it is chance
ENOUGH = 0.5  # share of them that have to, where nobody says how many may not


@dataclass(frozen=True)
class Read:
    """A table that names photographs.

    Attributes:
        path: of the table.
        file_column: column that names the photographs.
        pattern: how its cells become paths.
        num_rows: below the heading.
        columns: the others, as they were understood.
        box: those of them that may be a box around a face, which are not among `columns`.
    """

    path: Path
    file_column: str
    pattern: str
    num_rows: int
    columns: list[Column]
    box: boxes.Candidate | None = None


def read(
    path: Path, folder: Folder, roles: Mapping[str, str], enough: float = ENOUGH
) -> Read | None:
    """Read a table; None where no column of it names photographs of the folder.

    Args:
        path: of the table.
        folder: of the photographs.
        roles: what the user says of columns, as of `understand`.
        enough: share of a column's first cells that have to name one.

    Raises:
        DataError: it cannot be read as a table.
    """
    heading, _ = table_rows.read_cells(path, [])
    names = [name for name in heading if name]
    _, records = table_rows.read_cells(path, names)
    first = itertools.islice(records, NUM_ROWS)
    rows = [dict(zip(heading, cells, strict=False)) for cells in first]
    column, pattern = _file_column(names, rows, folder, enough)
    if not column:
        return None
    num_rows, counts = _counts(path, names)
    names.remove(column)
    box = boxes.find([name for name in names if name not in roles], rows)
    taken = () if box is None else box.columns
    others = [
        understand(name, counts[name], roles.get(name, "")) for name in names if name not in taken
    ]
    return Read(path, column, pattern, num_rows, others, box)


def _counts(path: Path, names: Sequence[str]) -> tuple[int, dict[str, Counter[str]]]:
    """Return the number of rows, and how often each text is in each column."""
    heading, records = table_rows.read_cells(path, names)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    num_rows = 0
    for cells in records:
        num_rows += 1
        for name, cell in zip(heading, cells, strict=False):
            counts[name][plain(cell)] += 1
    return num_rows, counts


def _file_column(
    names: Iterable[str], rows: Sequence[dict[str, str]], folder: Folder, enough: float
) -> tuple[str, str]:
    """Return the column that names most photographs and its pattern; empty texts for none."""
    by_name, by_stem = _lookups(folder)
    best = (0.0, "", "")
    for name in names:
        cells = [plain(row.get(name, "")).strip() for row in rows]
        cells = [cell for cell in cells if cell]
        if not cells:
            continue
        for pattern, num_found in _patterns(cells, folder, by_name, by_stem):
            share = num_found / len(cells)
            if share > best[0]:  # the first, which is the plainest, where several find as many
                best = (share, name, pattern)
    return best[1:] if best[0] >= enough else ("", "")


Lookup = dict[str, list[str]]


def _lookups(folder: Folder) -> tuple[Lookup, Lookup]:
    """Return the paths of all photographs by their names, and by these without suffix."""
    by_name: Lookup = defaultdict(list)
    by_stem: Lookup = defaultdict(list)
    for path in folder.images:
        name = plain(path.rpartition("/")[2])
        by_name[name].append(path)
        by_stem[name.rpartition(".")[0]].append(path)
    return by_name, by_stem


def _patterns(
    cells: Sequence[str], folder: Folder, by_name: Lookup, by_stem: Lookup
) -> Iterator[tuple[str, int]]:
    """Yield patterns by which cells become paths, and how many cells do so; the plainest first."""
    yield CELL, sum(folder.files.find(respelled(cell)) is not None for cell in cells)
    names = [respelled(cell).rpartition("/")[2] for cell in cells]
    for lookup, is_stem in ((by_name, False), (by_stem, True)):
        found = [paths[0] for name in names if len(paths := lookup.get(name, [])) == 1]
        if not found:
            continue
        tails = {path[path.rindex(".") :] for path in found} if is_stem else {""}
        if len(tails) > 1:
            continue
        tail = tails.pop()
        tops = {path.rpartition("/")[0] for path in found}
        if len(tops) == 1 and names == [respelled(cell) for cell in cells]:
            top = tops.pop()
            yield (f"{top}/{CELL}{tail}" if top else f"{CELL}{tail}"), len(found)
        else:
            yield f"{ANYWHERE}{CELL}{tail}", len(found)


def candidates(
    folder: Folder, roles: Mapping[str, str], enough: float = ENOUGH
) -> tuple[list[Read], list[str]]:
    """Return the tables in a folder that name its photographs, and why others do not; as `read`."""
    found, others = [], []
    for name in folder.tables:
        try:
            table = read(folder.root / name, folder, roles, enough)
        except DataError as error:
            others.append(str(error))
            continue
        if table is None:
            others.append(f"{name}: no column names photographs")
        else:
            found.append(table)
    return found, others
