"""The ledger: a line for every time that a test part was read, and by which settings.

A test part that is looked at again and again, by other settings each time, is no longer a test.
The file is no output of a stage: it is only ever appended to, and outlives what is remade.
"""

import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evenface.experiment.result import Readings
from facekit.errors import DataError

log = logging.getLogger(__name__)

NUM_DIGITS = 16


def digest_of_settings(settings: Mapping[str, Any]) -> str:
    """Return the digest of plain values, whatever their order: 16 hex digits of SHA-256."""
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:NUM_DIGITS]


def record(path: Path, task: str, test_ids: Sequence[str], settings: Mapping[str, Any]) -> Readings:
    """Append a reading, and return how often any of these test parts has been read, by now.

    Args:
        path: of the ledger (JSON lines); it is made where there is none.
        task: whose arms were compared.
        test_ids: digests of the test parts of all rounds.
        settings: by which arms were compared, as plain values.

    Raises:
        DataError: the file cannot be written.
    """
    line = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "task": task,
        "test_ids": sorted(set(test_ids)),
        "settings": digest_of_settings({"task": task, **settings}),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # released when the file is closed
            file.seek(0)
            before = file.read()
            # A line that was cut off stays one line, so that it damages no other.
            start = b"" if before.endswith(b"\n") or not before else b"\n"
            file.write(start + json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from None
    found, damaged = [(frozenset(test_ids), str(line["settings"]))], []
    for number, text in enumerate(before.decode(errors="replace").splitlines(), start=1):
        try:
            one = json.loads(text)
            found.append((frozenset(map(str, one["test_ids"])), str(one["settings"])))
        except (ValueError, KeyError, TypeError):
            damaged.append(number)
    if damaged:
        log.warning("%s: lines %s are no readings; they are not counted", path, damaged)
    mine = [digest for read, digest in found if read & set(test_ids)]
    return Readings(readings=len(mine), settings=len(set(mine)), damaged=damaged)
