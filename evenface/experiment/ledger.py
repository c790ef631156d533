"""The ledger: a line for every time that a test part was read, and by which settings.

A test part that is looked at again and again, by other settings each time, is no longer a test.
What was predicted tells settings of trainings apart, which a comparison does not know.
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


def record(
    path: Path,
    task: str,
    test_ids: Sequence[str],
    settings: Mapping[str, Any],
    predicted: str | None = None,
) -> Readings:
    """Append a reading, and return how often any of these test parts has been read, by now.

    Args:
        path: of the ledger (JSON lines); it is made where there is none.
        task: whose arms were compared.
        test_ids: digests of the test parts of all rounds.
        settings: by which arms were compared, as plain values.
        predicted: digest of what was predicted: networks trained otherwise are other settings. A
            line that lacks it is taken for that of the networks of its settings.

    Raises:
        DataError: the file cannot be written.
    """
    line = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "task": task,
        "test_ids": sorted(set(test_ids)),
        "settings": digest_of_settings({"task": task, **settings}),
        "predicted": predicted,
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
    found, damaged = [(frozenset(test_ids), str(line["settings"]), predicted)], []
    for number, text in enumerate(before.decode(errors="replace").splitlines(), start=1):
        try:
            one = json.loads(text)
            read = frozenset(map(str, one["test_ids"]))
            found.append((read, str(one["settings"]), one.get("predicted")))
        except (ValueError, KeyError, TypeError, AttributeError):
            damaged.append(number)
    if damaged:
        log.warning("%s: lines %s are no readings; they are not counted", path, damaged)
    mine = [(by, networks) for read, by, networks in found if read & set(test_ids)]
    told = {by for by, networks in mine if networks is not None}
    different = {one for one in mine if one[1] is not None or one[0] not in told}
    return Readings(readings=len(mine), settings=len(different), damaged=damaged)
