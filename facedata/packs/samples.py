"""Samples of a generator as a table: candidates as drawn, and what the filter said of each."""

import pandas as pd

from facedata.columns import SAMPLES
from facedata.packs.storage import class_name


def condition(table: pd.DataFrame) -> list[str]:
    """Return the attributes that the generator was told, from a table of its samples."""
    return [name for name in table.columns if name not in SAMPLES.names]


def sample_names(samples: pd.DataFrame) -> pd.Series:
    """Return the name of each sample's class for people, such as `red/glasses`."""
    values = samples[condition(samples)].astype(str)
    names = [class_name(list(row)) for row in values.itertuples(index=False)]
    return pd.Series(names, index=samples.index, dtype="str")
