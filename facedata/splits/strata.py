"""Strata: the classes that keep their shares, and what each unit holds of them."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from facedata.columns import attributes_of
from facedata.options import Stratify
from facekit.errors import DataError

MISSING = "(missing)"  # a class of its own
JOINT = "joint class"  # column of them; no attribute has a space in its name
MAX_LONE = 0.05  # share of the images whose joint class is a single unit, to be placed by it


def strata(table: pd.DataFrame, options: Stratify) -> pd.DataFrame:
    """Return the columns whose classes keep their shares, category columns without NA, [N].

    Args:
        table: attributes, one row an image.
        options: which attributes; where their joint classes count, these are the last column.

    Raises:
        DataError: an attribute does not exist or is numeric.
    """
    names = options.stratify
    if names == "all":
        names = tuple(name for name in attributes_of(table) if is_categorical(table[name]))
    columns = {}
    for name in names:
        if name not in attributes_of(table):
            found = ", ".join(attributes_of(table))
            raise DataError(f"--stratify: no attribute {name!r}, there are {found}")
        if not is_categorical(table[name]):
            raise DataError(f"--stratify: {name} is numeric; make classes of it by bins")
        columns[name] = as_classes(table[name])
    labels = pd.DataFrame(columns, index=table.index)
    if options.balance == "joint" and len(columns) > 1:
        labels[JOINT] = _joint(labels)
    return labels


def is_categorical(values: pd.Series) -> bool:
    return isinstance(values.dtype, pd.CategoricalDtype)


def as_classes(values: pd.Series) -> pd.Series:
    """Return the class of each image, `(missing)` where there is none; classes that occur alone.

    A number's classes are its quarters, each with the upper edge: as equal as ties allow.
    """
    if not is_categorical(values):
        edges = np.unique(values.dropna().quantile([0, 0.25, 0.5, 0.75, 1]).dropna())
        text = [str(edge).removesuffix(".0") for edge in edges]
        names = [" to ".join(pair) for pair in itertools.pairwise(text)] or text
        code = np.searchsorted(edges[1:], values.to_numpy(dtype=np.float64, na_value=np.nan))
        code[values.isna()] = -1
        quarters = pd.Categorical.from_codes(code, pd.Index(names, dtype="str"))
        values = pd.Series(quarters, index=values.index)
    if values.isna().any():
        values = values.cat.add_categories([MISSING]).fillna(MISSING)
    return values.cat.remove_unused_categories()


def _joint(labels: pd.DataFrame) -> pd.Categorical:
    """Return the joint class of each image, such as `red/glasses`."""
    code = np.zeros(len(labels), dtype=np.int64)
    for name in labels:
        classes = labels[name].cat
        code = pd.factorize(code * len(classes.categories) + classes.codes)[0]
    _, first = np.unique(code, return_index=True)
    names = ["/".join(row) for row in labels.iloc[first].astype(str).itertuples(index=False)]
    return pd.Categorical.from_codes(code, names)


def holdings(
    unit: np.ndarray, labels: pd.DataFrame
) -> tuple[sparse.csr_array, list[tuple[str, str]]]:
    """Return how many images of each class a unit holds, and the classes' names.

    Returns:
        float64 [units, classes]; class 0 is all images. (column, class) of each of them.
    """
    names, codes = [("all", "images")], [np.zeros(len(unit), dtype=np.int64)]
    for name in labels:
        codes.append(labels[name].cat.codes.to_numpy(dtype=np.int64) + len(names))
        names += [(name, value) for value in labels[name].cat.categories]
    where = (np.tile(unit, len(codes)), np.concatenate(codes))
    shape = (int(unit.max()) + 1, len(names))
    holds = sparse.coo_array((np.ones(len(where[0])), where), shape=shape).tocsr()
    holds.sort_indices()
    return holds, names


def rare_classes(
    holds: sparse.csr_array, names: Sequence[tuple[str, str]]
) -> Iterator[tuple[tuple[str, str], np.ndarray]]:
    """Yield the classes whose images are all in one unit or two: name, units (larger first).

    Joint classes only if in one unit, and not where so many are that it says nothing of a class.
    """
    by_class = holds.tocsc()
    num_units = np.diff(by_class.indptr)
    size = holds[:, [0]].toarray().ravel()
    is_joint = np.array([column == JOINT for column, _ in names])
    lone = is_joint & (num_units == 1)
    wanted = ~is_joint & ((num_units == 1) | (num_units == 2))
    if by_class[:, np.flatnonzero(lone)].sum() <= MAX_LONE * size.sum():
        wanted |= lone
    wanted[0] = False  # all images
    for place in np.flatnonzero(wanted).tolist():
        held_by = by_class.indices[by_class.indptr[place] : by_class.indptr[place + 1]]
        yield names[place], held_by[np.argsort(-size[held_by], kind="stable")]
