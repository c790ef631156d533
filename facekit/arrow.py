"""Tables without pandas, which takes longer to load than a stage may need: Arrow tables."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from facekit.errors import DataError

ARROW_TYPES = {"str": "large_string", "Int64": "int64", "UInt64": "uint64", "float64": "float64"}


def read(path: Path, columns: Sequence[str]) -> pa.Table:
    """Read columns of a parquet table.

    Raises:
        DataError: no such file, not a table, or a column is missing.
    """
    try:
        with pq.ParquetFile(path) as file:
            found = file.schema_arrow.names
            missing = [name for name in columns if name not in found]
            if not missing:
                return file.read(columns=list(columns), use_threads=False)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a readable table ({error})".replace("\n", " ")) from None
    raise DataError(f"{path}: no column {missing}, found {found}; make the file again")


def schema(dtypes: Mapping[str, str]) -> pa.Schema:
    """Return the schema of a table that pandas shall read with these dtypes.

    Args:
        dtypes: pandas' name of each column's dtype: str, Int64, UInt64 or float64.
    """
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
