"""Tables as parquet or CSV: read with the columns checked, written atomically."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pandas as pd

from facekit.errors import DataError
from facekit.paths import TABLES
from facekit.storage import arrow
from facekit.storage.columns import COMPLETE, NOTHING, Table
from facekit.storage.files import replacing

CSV = ".csv"
TRUTHS = {"True": True, "False": False}
UNFIT = (TypeError, ValueError, OverflowError)  # of cells that are no value of a dtype
FOR_PEOPLE = 5  # significant digits of figures that are looked at
TEXTS = ("str", "category")  # dtypes of columns that a CSV file holds as they are
# Spreadsheets run cells that begin so. Source: owasp.org/www-community/attacks/CSV_Injection
FORMULA = r"'*[=+\-@\t\r]"
ARMED = f"'{FORMULA}"  # as they are written: a quote before, which is taken off on reading


def read(
    path: Path, declared: Table | None = None, wanted: Iterable[str] | None = None
) -> pd.DataFrame:
    """Read a parquet or CSV table (by suffix) and check it against its declaration.

    Args:
        path: `.parquet` or `.csv`. Empty cells of CSV are NA; other cells are text, or of the dtype
            that is declared.
        declared: what the table holds; None for a table of somebody else.
        wanted: columns that must be there; None for all that are declared and not optional.
            Whatever is there and declared is read and checked.

    Raises:
        DataError: no such file, not a table, a column is missing, or it holds something else.
    """
    path = Path(path)
    if path.suffix.lower() == CSV:
        table = _read_csv(path)
        if declared is not None:
            declared.check_names(path, list(table.columns), wanted)
            table = _typed(table, declared, path)
    else:
        if declared is not None:
            arrow.check_file(path, declared, wanted)
        with arrow.readable(path):
            table = pd.read_parquet(path)
        if declared is not None and not len(table):
            table = table.astype(declared.dtypes(table.columns))
    return table if declared is None else _checked(table, declared, path)


def _checked(table: pd.DataFrame, declared: Table, path: Path) -> pd.DataFrame:
    """Return a table whose columns hold what is declared.

    Raises:
        DataError: they do not.
    """
    classes = {}
    for name in table.columns:
        one = declared.find(name)
        if one is None:
            declared.check_more(path, name, _dtype_of(table[name]))
            continue
        if one.dtype in COMPLETE:
            declared.check_complete(path, name, int(table[name].isna().sum()))
        if one.choices:
            declared.check_values(path, name, table[name].dropna().unique())
            is_text = path.suffix.lower() != CSV and _dtype_of(table[name]) in ("str", NOTHING)
            if one.dtype == "category" and is_text:  # as other programs write it again
                classes[name] = pd.Categorical(table[name], one.choices)
    return table.assign(**classes)


def _dtype_of(values: pd.Series) -> str:
    """Return the dtype of a column in words of `Column.dtype`; NOTHING where it has no value."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return "category"
    if values.isna().all():
        return NOTHING
    if pd.api.types.is_bool_dtype(values):
        return "bool"
    return "float64" if pd.api.types.is_numeric_dtype(values) else "str"


def _read_csv(path: Path) -> pd.DataFrame:
    with arrow.readable(path):
        table = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
    return _respelled(table, ARMED, lambda text: text[1:])


def _typed(table: pd.DataFrame, declared: Table, path: Path) -> pd.DataFrame:
    """Return a table of text with its columns in the dtypes that are declared."""
    dtypes = declared.dtypes(table.columns)
    columns = {
        name: _column(table[name], dtype, declared, path)
        for name, dtype in dtypes.items()
        if dtype not in TEXTS
    }
    return table.assign(**columns)


def _column(cells: pd.Series, dtype: str, declared: Table, path: Path) -> pd.Series:
    """Return cells of text as values.

    Raises:
        DataError: one is none; it is named with its row, counted from 1 below the heading.
    """
    try:
        return _cast(cells, dtype)
    except UNFIT:
        row = next(i for i in range(len(cells)) if not _is_value(cells.iloc[[i]], dtype))
        cell = "nothing" if pd.isna(cells.iloc[row]) else repr(cells.iloc[row])
        raise DataError(
            f"{path}: column {cells.name}, row {row + 1}: found {cell}, expected {dtype};"
            f" {declared.again}"
        ) from None


def _is_value(cells: pd.Series, dtype: str) -> bool:
    try:
        _cast(cells, dtype)
    except UNFIT:
        return False
    return True


def _cast(cells: pd.Series, dtype: str) -> pd.Series:
    if dtype == "bool":
        cells = cells.map(TRUTHS)
        if cells.isna().any():
            raise ValueError
    return cells.astype(dtype)


def write(table: pd.DataFrame, path: Path, digits: int | None = None) -> None:
    """Write a table as parquet or CSV (by suffix), atomically, without its index.

    Args:
        table: the table.
        path: of the file.
        digits: significant ones of fractions in CSV, such as FOR_PEOPLE; None for all. Parquet
            always has all.
    """
    path = Path(path)
    if path.suffix.lower() not in TABLES:
        raise DataError(f"{path}: expected a name that ends in {' or '.join(TABLES)}")
    with replacing(path) as part:
        if path.suffix.lower() == CSV:
            part.write_text(csv_text(table, digits), encoding="utf-8", newline="")
        else:
            table.to_parquet(part, index=False)


def csv_text(table: pd.DataFrame, digits: int | None = None) -> str:
    """Return a table as CSV, without its index; a spreadsheet runs none of its cells."""
    armed = _respelled(table, FORMULA, lambda text: text if _is_number(text) else f"'{text}")
    spelled = None if digits is None else lambda value: _rounded(value, digits)
    return str(armed.to_csv(index=False, lineterminator="\n", float_format=spelled))


def _rounded(value: float, digits: int) -> str:
    """Return a number of so many significant digits; whole ones keep all that they have."""
    return str(float(value)) if abs(value) >= 10**digits else f"{value:.{digits}g}"


def _respelled(table: pd.DataFrame, pattern: str, change: Callable[[str], str]) -> pd.DataFrame:
    """Return a table in which texts that match a pattern are changed."""
    columns = {}
    for name, column in table.items():
        texts = column.astype("str") if isinstance(column.dtype, pd.CategoricalDtype) else column
        if not (pd.api.types.is_string_dtype(texts) or pd.api.types.is_object_dtype(texts)):
            continue
        found = texts.astype("str").str.match(pattern, na=False) & texts.notna()
        if found.any():
            changed = texts.astype(object).mask(found, texts[found].map(str).map(change))
            columns[name] = changed.astype(texts.dtype)
    return table.assign(**columns) if columns else table


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


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
