"""What adapters share: the problems found, and the tables made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facedata.columns import NOTES, REJECTED
from facekit.errors import DataError
from facekit.spelling import plain
from facekit.storage import delimited

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MISSING = frozenset({"", "n/a", "na", "nan", "none", "null", "unknown", "?", "-"})


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


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and stripped cells of each row of a CSV file; blank lines are no rows.

    Args:
        path: the file.
        columns: its heading, in this order.

    Raises:
        DataError: another heading, a row with more or fewer cells, or as in `delimited.read`.
    """
    expected = ",".join(columns)
    heading, rows = delimited.read(path, columns)
    if heading != list(columns):
        raise DataError(f"{path}, line 1: found {','.join(heading)!r}, expected {expected}")
    for line, cells in rows:
        cells = [plain(cell).strip() for cell in cells]
        if not any(cells):
            continue
        if len(cells) != len(columns):
            raise DataError(f"{path}, line {line}: {len(cells)} cells, expected {expected}")
        yield line, cells


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
