"""Ranges of numeric attributes, which go with the index to those who set labels later.

pandas keeps them in a Parquet file, beside the columns.
"""

from collections.abc import Mapping

import pandas as pd

Range = tuple[float | None, float | None]  # least and largest value; None: no limit
KEY = "ranges"


def keep(index: pd.DataFrame, ranges: Mapping[str, Range]) -> None:
    """Let an index carry the ranges of its numeric attributes."""
    if ranges:
        index.attrs[KEY] = {name: list(ends) for name, ends in ranges.items()}


def read(index: pd.DataFrame, name: str) -> Range:
    """Return the range of a numeric attribute as an index carries it."""
    low, high = index.attrs.get(KEY, {}).get(name, (None, None))
    return low, high


def outside(value: float, ends: Range) -> str | None:
    """Return in words that a number is not in a range; None if it is."""
    low, high = ends
    if (low is None or value >= low) and (high is None or value <= high):
        return None
    if low is None or high is None:
        return f"not {'at most' if low is None else 'at least'} {high if low is None else low:g}"
    return f"not in {low:g} to {high:g}"
