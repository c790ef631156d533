"""Tables as parquet or CSV: read with the columns checked, written atomically."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from facedata.ingest.reserved import FIXED_COLUMNS
from facekit.errors import DataError
from facekit.files import replacing


def read(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Read a parquet or CSV table (by suffix) and check that it has `columns`.

    Args:
        path: `.parquet` or `.csv`; CSV cells are read as text, empty cells as NA.
        columns: names that must be there; more may follow.

    Raises:
        DataError: no such file, not a table, or a column is missing.
    """
    path = Path(path)
    try:
        if path.suffix == ".csv":
            table = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
        else:
            table = pd.read_parquet(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except Exception as error:  # pyarrow and pandas raise many kinds for a broken file
        raise DataError(f"{path}: not a readable table ({error})".replace("\n", " ")) from None
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise DataError(
            f"{path}: no column {missing}, found {list(table.columns)}; make the file again"
        )
    return table


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table as parquet or CSV (by suffix), atomically, without its index."""
    with replacing(Path(path)) as part:
        if Path(path).suffix == ".csv":
            table.to_csv(part, index=False, lineterminator="\n")
        else:
            table.to_parquet(part, index=False)


def rows_of(table: pd.DataFrame, image_ids: Sequence[str], path: Path) -> pd.DataFrame:
    """Return the rows of the given images, in their order, numbered from 0.

    Args:
        table: one row an image, with a column image_id.
        image_ids: images that must be there; others are left out.
        path: file of the table, for the message.

    Raises:
        DataError: an image is missing or there twice: the file belongs to another run.
    """
    by_id = table.set_index("image_id")
    if not by_id.index.is_unique:
        raise DataError(f"{path}: image_id {by_id.index[by_id.index.duplicated()][0]!r} twice")
    missing = pd.Index(image_ids).difference(by_id.index, sort=False)
    if len(missing):
        raise DataError(f"{path}: no row for image {missing[0]!r}; make the file again")
    return by_id.loc[list(image_ids)].reset_index()[list(table.columns)]


def attributes(table: pd.DataFrame) -> list[str]:
    """Return the names of a table's attribute columns, in order."""
    return [name for name in table.columns if name not in FIXED_COLUMNS]
