"""Which images are learned from, for what is known of their labels."""

import pandas as pd

from facekit.splits import SPLITS

MEASURED_ON = SPLITS[1:]  # val and test: cleaned labels there would flatter what learned from them


def is_trusted(table: pd.DataFrame, split: pd.Series) -> pd.Series:
    """Return which images are used, bool [N].

    Those of val and test are, all of them. Of the others those are left out whose labels weigh
    nothing.

    Args:
        table: curated images; `weight` (0..1) may lack: all weigh 1.
        split: of each.
    """
    weight = table.get("weight", pd.Series(1.0, index=table.index))
    return split.isin(MEASURED_ON) | (weight > 0)
