"""Locks: no two processes write one folder; a lock ends with its process, however that ends."""

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from facekit.errors import DataError
from facekit.storage.files import HOST, writing

NAME = ".lock"
WAIT = 20.0  # seconds for a process that was told to stop and writes its state
PAUSE = 0.1  # seconds between two looks

log = logging.getLogger(__name__)


@contextmanager
def alone(folder: Path, wait: float = WAIT) -> Iterator[None]:
    """Hold a folder for this process, and for no other one meanwhile.

    Of the processes of one training (`torchrun`, or those that it starts itself) the first holds
    it for all. Where the file system knows no locks, it is not held.

    Args:
        folder: made if it is missing.
        wait: seconds for a process that holds it to end.

    Raises:
        DataError: another one holds it; which.
    """
    if os.environ.get("RANK", "0") != "0":
        yield
        return
    file = take(folder, wait)
    if file is None:
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            Path(folder, NAME).unlink()  # before others can take it
        file.close()


def take(folder: Path, wait: float = 0.0) -> BinaryIO | None:
    """Return the open lock of a folder, which is held until it is closed; None without locks.

    Raises:
        DataError: another process holds it.
    """
    path, end, told = Path(folder, NAME), time.monotonic() + wait, False
    while True:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(file)
            file.close()
            if time.monotonic() >= end:
                raise DataError(f"{folder}: {holder} writes there; wait for its end") from None
            if not told:
                log.info("%s: %s still writes there; waiting for its end", folder, holder)
                told = True
            time.sleep(PAUSE)
            continue
        except OSError as error:
            log.info("%s: cannot be locked (%s)", folder, error.strerror)
            file.close()
            return None
        # Its last holder may have removed the file between opening and locking it.
        with contextlib.suppress(OSError):
            if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                file.truncate(0)
                file.write(f"process {os.getpid()} on {HOST}".encode())
                file.flush()
                return file
        file.close()


def _holder(file: BinaryIO) -> str:
    """Return what a lock says of the process that holds it."""
    file.seek(0)
    return file.read(200).decode(errors="replace") or "another process"
