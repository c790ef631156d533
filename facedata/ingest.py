"""Ingest: read a data set in its published layout into the tables that all stages share."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facedata import adapters, tables
from facedata.adapters import ADAPTERS, Ingested
from facedata.errors import DataError

log = logging.getLogger(__name__)

# Columns that other tables (packs, samples, deficits, predictions) have beside the attributes.
RESERVED = frozenset(tables.FIXED_COLUMNS) | {
    *("class", "name", "count", "deficit", "arm", "seed", "psi", "accepted", "reason"),
    *("teacher_probability", "nearest_distance"),
}


def ingest(adapter: str, root: Path, settings: Mapping[str, Any], seed: int) -> Ingested:
    """Read a data set, or draw it, into index, rejected and notes.

    Args:
        adapter: one of `ADAPTERS`.
        root: folder of the data set.
        settings: the config's `ingest.<adapter>`.
        seed: of what an adapter draws; one that reads ignores it.

    Raises:
        DataError: no such adapter, a data set or settings that cannot be used, or an attribute with
            the name of another column.
    """
    taken = sorted(RESERVED & adapters.classes(adapter, settings).keys())
    if taken:
        raise DataError(f"attribute {taken[0]!r}: the name is taken; all of {sorted(RESERVED)} are")
    if adapter == "avatars":
        from facedata.adapters import avatars as reader
    elif adapter == "table":
        from facedata.adapters import table as reader
    else:
        raise DataError(f"adapter {adapter!r} is none of {', '.join(ADAPTERS)}")
    found = reader.ingest(Path(root), settings, seed)
    assert found.index["image_id"].is_unique
    assert found.index["path"].is_unique
    log.info("%d images in the index", len(found.index))
    for reason, count in found.rejected["reason"].value_counts().sort_index().items():
        log.info("%d rejected: %s", count, reason)
    for name, count in found.notes["attribute"].value_counts().sort_index().items():
        log.info("%d values of %s repaired or missing", count, name)
    return found
