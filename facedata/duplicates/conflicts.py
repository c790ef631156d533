"""Where the labels of images that show the same picture disagree."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd


def disagreements(
    labels: pd.DataFrame,
    group: np.ndarray,
    tolerance: Mapping[str, float],
    derived: Sequence[Mapping[str, Any]],
) -> pd.DataFrame:
    """Return the attributes in which the images of a group disagree.

    Missing labels agree with all. Numbers disagree when the largest and the smallest of a group
    differ by more than the attribute's tolerance. A derived attribute disagrees only where one of
    its sources does: ages 29 and 31 of one photo are no conflict, though their age groups differ.

    Args:
        labels: attribute columns, one row an image.
        group: of each image, int [N].
        tolerance: attribute -> difference of numbers, in the attribute's own units, that is none;
            0 for those not named.
        derived: attributes made of others, `{name, source}` or `{name, sources}`, in the order in
            which they are made.

    Returns:
        bool, one row a group (the index, ascending), one column an attribute.
    """
    numbers = {}
    for name, values in labels.items():
        if isinstance(values.dtype, pd.CategoricalDtype):
            codes = values.cat.codes.to_numpy()
            numbers[name] = np.where(codes < 0, np.nan, codes)
        else:
            numbers[name] = values.to_numpy(dtype="float64", na_value=np.nan)
    by_group = pd.DataFrame(numbers, index=labels.index).groupby(group)
    limits = pd.Series({name: tolerance.get(name, 0.0) for name in labels.columns}, dtype=float)
    found = (by_group.max() - by_group.min()).gt(limits, axis="columns")
    for item in derived:
        if item["name"] in found:
            sources = item.get("sources") or [item["source"]]
            found[item["name"]] &= found[sources].any(axis="columns")
    return found
