"""Attributes that follow from others: classes of a number by edges, joint classes of several.

An attribute is described by `{name, source, bins, classes}`, or by `{name, sources}` with optional
`classes`; `adapters.declared.Derived` checks such descriptions.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from facedata.ingest.adapters.declared import joint_classes
from facekit.errors import DataError


def derive(table: pd.DataFrame, derived: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the table with all derived attributes made anew, in the order given.

    Args:
        table: attributes as columns, others may be beside them; left unchanged.
        derived: descriptions; a source may be derived itself, by one before.

    Returns:
        The table; a derived attribute that it lacked is added as its last column. NA follows from
        NA of any source.

    Raises:
        DataError: a source is no column, or of the wrong kind.
    """
    table = table.copy()
    for item in derived:
        _check_sources(table, item)
        if "sources" in item:
            values = join_classes([table[name] for name in item["sources"]], item.get("classes"))
        else:
            values = bin_values(table[item["source"]], item["bins"], item["classes"])
        table[item["name"]] = values
    return table


def _check_sources(table: pd.DataFrame, item: Mapping[str, Any]) -> None:
    is_joint = "sources" in item
    for name in item["sources"] if is_joint else [item["source"]]:
        found = table[name].dtype if name in table else None
        if found is None or isinstance(found, pd.CategoricalDtype) != is_joint:
            kind = "categorical" if is_joint else "numeric"
            raise DataError(f"derived {item['name']}: {name!r} is no {kind} attribute of the table")


def bin_values(
    values: pd.Series, bins: Sequence[float], class_list: Sequence[str]
) -> pd.Categorical:
    """Return the class of each value by edges that belong to the class above them."""
    codes = np.digitize(values.to_numpy(), bins)
    codes[values.isna()] = -1
    return pd.Categorical.from_codes(codes, categories=list(class_list))


def join_classes(
    columns: Sequence[pd.Series], class_list: Sequence[str] | None = None
) -> pd.Categorical:
    """Return the joint class of each row: one of the product of the columns' classes.

    Args:
        columns: category columns of the same length, at least one.
        class_list: names of the joint classes, the last column's class changing fastest; None:
            the columns' classes joined by `/`.
    """
    codes = np.zeros(len(columns[0]), dtype=np.int64)
    missing = np.zeros(len(columns[0]), dtype=bool)
    for column in columns:
        codes = codes * len(column.cat.categories) + column.cat.codes.to_numpy()
        missing |= column.isna().to_numpy()
    codes[missing] = -1
    names = class_list or joint_classes([column.cat.categories for column in columns])
    return pd.Categorical.from_codes(codes, categories=list(names))
