"""Ingest: read a data set in its published layout into the tables that all stages share."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from facedata import adapters, tables
from facedata.adapters import Ingested
from facekit.errors import DataError

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
    found = _reader(adapter)(Path(root), settings, seed)
    assert found.index["image_id"].is_unique
    assert found.index["path"].is_unique
    log.info("%d images in the index", len(found.index))
    for reason, count in found.rejected["reason"].value_counts().sort_index().items():
        log.info("%d rejected: %s", count, reason)
    for name, count in found.notes["attribute"].value_counts().sort_index().items():
        log.info("%d values of %s repaired or missing", count, name)
    return found


def _reader(adapter: str) -> Callable[[Path, Mapping[str, Any], int], Ingested]:
    """Return an adapter's `ingest`; the others are not imported."""
    if adapter == "avatars":
        from facedata.adapters.avatars import ingest
    elif adapter == "table":
        from facedata.adapters.table import ingest
    elif adapter == "celeba":
        from facedata.adapters.celeba import ingest
    elif adapter == "tinyportraits":
        from facedata.adapters.tinyportraits import ingest
    elif adapter == "maskbase":
        from facedata.adapters.maskbase import ingest
    elif adapter == "imagefolder":
        from facedata.adapters.imagefolder import ingest
    else:
        from facedata.adapters.stylegan_zip import ingest
    return ingest
