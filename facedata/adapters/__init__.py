"""Adapters: one published layout each, read into the tables that all stages share.

An adapter is a module with two functions: `classes(settings)` and
`ingest(root, settings, seed)`; `settings` is the config's `ingest.<adapter>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from facedata.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

ADAPTERS = ("avatars", "table")


@dataclass(frozen=True)
class Ingested:
    """What an adapter makes of a data set.

    Attributes:
        index: one row an image: image_id (unique), table_row (Int64, from 1), path (relative to
            the root, posix), group, official_split, then the attributes: category columns in class
            order, or float64 for numeric ones; missing = NA.
        rejected: image_id, table_row (NA for a file without a row), reason, detail: what of the
            table or the folder is not in `index`.
        notes: image_id, attribute, given, note: values repaired or set missing in `index`.
    """

    index: pd.DataFrame
    rejected: pd.DataFrame
    notes: pd.DataFrame


def classes(adapter: str, settings: Mapping[str, Any]) -> dict[str, list[str] | None]:
    """Return the attributes that an adapter will make, each with its classes (None: numeric).

    Raises:
        DataError: no such adapter, or its settings make no sense.
    """
    return module(adapter).classes(settings)


def attribute_names(adapter: str, settings: Mapping[str, Any]) -> list[str]:
    """Return the names of the attributes that an adapter will make, in column order.

    Raises:
        DataError: as for `classes`.
    """
    return list(classes(adapter, settings))


def module(adapter: str) -> Any:
    """Return an adapter's module; each is imported when asked for."""
    if adapter == "avatars":
        from facedata.adapters import avatars as found
    elif adapter == "table":
        from facedata.adapters import table as found
    else:
        raise DataError(f"adapter {adapter!r} is none of {', '.join(ADAPTERS)}")
    return found
