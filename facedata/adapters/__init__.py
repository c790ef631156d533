"""Adapters: one published layout each, read into the tables that all stages share.

An adapter is a module with a function `ingest(root, settings, seed)`, where `settings` is the
config's `ingest.<adapter>`; what attributes it will make stands in `declared`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from facedata.adapters import declared
from facekit.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

ADAPTERS = tuple(declared.CLASSES)


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
    """Return the attributes that an adapter will make, each with its classes.

    None stands for a numeric attribute, an empty list for classes that are known only when the data
    set is read.

    Raises:
        DataError: no such adapter, or its settings make no sense.
    """
    if adapter not in declared.CLASSES:
        raise DataError(f"adapter {adapter!r} is none of {', '.join(ADAPTERS)}")
    return declared.CLASSES[adapter](settings)


def attribute_names(adapter: str, settings: Mapping[str, Any]) -> list[str]:
    """Return the names of the attributes that an adapter will make, in column order.

    Raises:
        DataError: as for `classes`.
    """
    return list(classes(adapter, settings))


def given_attributes(adapter: str, settings: Mapping[str, Any]) -> list[str]:
    """Return the names of the attributes that do not follow from others, in column order.

    Raises:
        DataError: as for `classes`.
    """
    followers = {item["name"] for item in declared.derived(adapter, settings)}
    return [name for name in attribute_names(adapter, settings) if name not in followers]
