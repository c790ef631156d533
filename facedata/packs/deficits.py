"""Deficits: how many images each minority class lacks."""

import numpy as np
import pandas as pd

from facedata.columns import DEFICITS
from facedata.options import DeficitsOptions
from facedata.packs.storage import Pack
from facekit.errors import DataError


def find_deficits(pack: Pack, options: DeficitsOptions) -> pd.DataFrame:
    """Return what each class of a pack lacks to be as large as the largest.

    Args:
        pack: images of train.
        options: which classes are minorities; only those lack images.

    Returns:
        One row a class, in the order of ids: class (int), name, the attributes, count, deficit.
        No row when the pack is unconditional.

    Raises:
        DataError: an attribute has the name of another column.
    """
    taken = sorted(set(pack.attributes) & set(DEFICITS.names))
    if taken:
        raise DataError(f"attribute {taken[0]!r} has the name of a column of deficits; rename it")
    count = np.bincount(pack.labels, minlength=len(pack.classes))[: len(pack.classes)]
    largest = count.max(initial=0)
    columns = {"class": range(len(count)), "name": pack.class_names}
    for place, name in enumerate(pack.attributes):
        columns[name] = [values[place] for values in pack.classes]
    deficit = np.where(count < options.minority_below * largest, largest - count, 0)
    return pd.DataFrame({**columns, "count": count, "deficit": deficit})
