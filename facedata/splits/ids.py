"""Digests of the images of a split, by which files tell which split they belong to."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from facedata import columns
from facekit.splits import SPLITS
from facekit.storage import tables

NUM_DIGITS = 16


def digest_of_ids(ids: Iterable[str]) -> str:
    """Return the digest of a set of images, whatever their order: 16 hex digits of SHA-256."""
    text = "\n".join(sorted(ids))
    return hashlib.sha256(text.encode()).hexdigest()[:NUM_DIGITS]


def digests_of(splits: pd.DataFrame) -> dict[str, str]:
    """Return the digest of train, val and test by name, of a table with image_id and split."""
    return {name: digest_of_ids(splits.loc[splits["split"] == name, "image_id"]) for name in SPLITS}


def read_digests(splits: Path) -> dict[str, str]:
    """Return `digests_of` a file of `facedata split`.

    Raises:
        DataError: not such a file.
    """
    return digests_of(tables.read(splits, columns.SPLITS, ["image_id", "split"]))
