"""Ingest: read a data set in its published layout into the tables that all stages share."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facedata.ingest import adapters
from facedata.ingest.adapters import Ingested

log = logging.getLogger(__name__)


def ingest(adapter: str, root: Path, settings: Mapping[str, Any], seed: int) -> Ingested:
    """Read a data set, or draw it, into index, rejected and notes.

    Args:
        adapter: one of `adapters.ADAPTERS`.
        root: folder of the data set.
        settings: the config's `ingest.<adapter>`; what lacks gets its default.
        seed: of what an adapter draws; one that reads ignores it.

    Raises:
        DataError: no such adapter, a data set or settings that cannot be used, or an attribute with
            the name of another column.
    """
    found = adapters.read(adapter, settings).ingest(Path(root), seed)
    assert found.index["image_id"].is_unique
    assert found.index["path"].is_unique
    log.info("%d images in the index", len(found.index))
    for reason, count in found.rejected["reason"].value_counts().sort_index().items():
        log.info("%d rejected: %s", count, reason)
    for name, count in found.notes["attribute"].value_counts().sort_index().items():
        log.info("%d values of %s repaired or missing", count, name)
    return found
