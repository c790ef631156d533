"""Copies across a split: pictures of one part that show a photograph of another part."""

import numpy as np
import pandas as pd

from facedata.duplicates.neighbours import near_pairs
from facekit.errors import DataError

# Of the distance up to which dedup unites pictures: what it took for two is not refused here.
SURE = 0.75
NUM_NAMED = 3  # pairs in the message


def check_copies(
    images: pd.DataFrame,
    split: pd.Series,
    thumbs: np.ndarray,
    max_distance: float,
    num_threads: int,
) -> int:
    """Check that no part of a split holds a copy of another part's picture; return 0.

    A search of its own: it knows no hashes, clusters or persons, and finds pictures that were
    cropped, turned, captioned, recoloured or mirrored.

    Args:
        images: image_id and row (in thumbs), one row an image.
        split: of each image, in the same order.
        thumbs: uint8 [M, 32, 32], gray thumbnails; may be a memory map.
        max_distance: up to which `facedata dedup` took pictures for altered copies.
        num_threads: the result does not depend on it.

    Raises:
        DataError: there are such copies.
    """
    ids = images["image_id"].to_numpy()
    rows = images["row"].to_numpy(dtype=np.int64)
    # All at once: how alike pictures that are no copies look is then what it was for dedup.
    pairs = near_pairs(thumbs[rows], None, max_distance, num_threads, SURE)
    part = split.to_numpy()
    across = np.flatnonzero(part[pairs.a] != part[pairs.b])
    found = list(
        zip(pairs.distance[across].tolist(), pairs.a[across], pairs.b[across], strict=True)
    )
    if not found:
        return 0
    named = "; ".join(
        f"{ids[i]} ({split.iloc[i]}) and {ids[j]} ({split.iloc[j]})"
        for _, i, j in sorted(found)[:NUM_NAMED]
    )
    raise DataError(
        f"split: {len(found)} pairs of images in different parts show one photograph, expected"
        f" none: {named}; drop one of each in the reviewer's list (action drop), or run `facedata"
        " dedup` again with a max_altered_difference that unites them"
    )
