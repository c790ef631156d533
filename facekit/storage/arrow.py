"""Tables without pandas, which takes longer to load than a stage may need: Arrow tables."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from facekit.errors import DataError, reason_of
from facekit.storage.columns import NOTHING, Table

ARROW_TYPES = {"str": "large_string", "Int64": "int64", "UInt64": "uint64", "float64": "float64"}


def read(path: Path, declared: Table, wanted: Iterable[str] | None = None) -> pa.Table:
    """Read columns of a parquet table and check them against their declaration.

    Args:
        path: the file.
        declared: what the table holds.
        wanted: columns to read; None for all.

    Raises:
        DataError: no such file, not a table, a column is missing, or it holds something else.
    """
    wanted = None if wanted is None else list(wanted)
    check_file(path, declared, wanted)
    with readable(path), pq.ParquetFile(path) as file:
        table = file.read(columns=wanted, use_threads=False)
    for name in table.column_names:
        declared.check_complete(path, name, table[name].null_count)
        if (one := declared.find(name)) is not None and one.choices:
            found = table[name].unique().drop_null().to_pylist()
            declared.check_values(path, name, found)
    return table


def check_file(path: Path, declared: Table, wanted: Iterable[str] | None = None) -> None:
    """Check the columns of a parquet file by its heading.

    Args:
        path: the file.
        declared: what the table holds.
        wanted: as in `Table.check_names`.

    Raises:
        DataError: no such file, not a table, a column is missing, or it holds something else.
    """
    with readable(path), pq.ParquetFile(path) as file:
        schema, num_rows = file.schema_arrow, file.metadata.num_rows
    declared.check_names(path, schema.names, wanted)
    if num_rows:  # whoever writes no row may not know what would be in it
        declared.check_kinds(path, {one.name: kind_of(one.type) for one in schema})


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a table is read into one line.

    Raises:
        DataError: no such file, or not a table.
    """
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except Exception as error:  # pyarrow and pandas raise many kinds for a broken file
        raise DataError(f"{path}: not a readable table ({reason_of(error)})") from None


def kind_of(arrow_type: pa.DataType) -> str:
    """Return what a column holds: str, bool, int64, float64, NOTHING, or Arrow's name for it."""
    if pa.types.is_dictionary(arrow_type):
        return kind_of(arrow_type.value_type)
    kinds = {
        "str": (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
        "bool": (pa.types.is_boolean,),
        "int64": (pa.types.is_integer,),
        "float64": (pa.types.is_floating,),
        NOTHING: (pa.types.is_null,),
    }
    for kind, tests in kinds.items():
        if any(test(arrow_type) for test in tests):
            return kind
    return str(arrow_type)


def schema(declared: Table, names: Iterable[str]) -> pa.Schema:
    """Return the schema of a table that pandas shall read with the dtypes that are declared.

    Args:
        declared: what the table holds: columns of str, Int64, UInt64 or float64.
        names: its columns, in order.
    """
    dtypes = declared.dtypes(names)
    fields = [(name, pa.type_for_alias(ARROW_TYPES[dtype])) for name, dtype in dtypes.items()]
    columns = [
        {
            "name": name,
            "field_name": name,
            "pandas_type": {"str": "unicode"}.get(dtype, dtype.lower()),
            "numpy_type": dtype,
            "metadata": None,
        }
        for name, dtype in dtypes.items()
    ]
    about = {"index_columns": [], "column_indexes": [], "columns": columns, "pandas_version": "3"}
    return pa.schema(fields, metadata={"pandas": json.dumps(about)})
