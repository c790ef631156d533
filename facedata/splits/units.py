"""Units: images that stay together wherever images are dealt out or drawn."""

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from facedata.columns import UNIT_COLUMNS


def units(table: pd.DataFrame) -> np.ndarray:
    """Return the unit of each image: what shares a group, cluster or pixel hash, int64 [N].

    They are united where they overlap; any of the columns may be missing. Units are numbered by
    first image.
    """
    num_images = len(table)
    links = [np.empty((2, 0), dtype=np.int64)]
    for name in table.columns.intersection(UNIT_COLUMNS):
        codes = pd.factorize(table[name])[0]  # -1 where missing
        known = np.flatnonzero(codes >= 0)
        first = pd.Series(known).groupby(codes[known]).transform("first").to_numpy()
        links.append(np.stack([known, first]))
    rows, columns = np.concatenate(links, axis=1)
    graph = sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=(num_images,) * 2)
    _, component = connected_components(graph, directed=False)
    return pd.factorize(component)[0]
