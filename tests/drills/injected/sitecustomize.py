"""Loaded by Python itself where a drill puts this folder on PYTHONPATH.

Before the change of the file system with the number `DRILL_KILL` (from 1) the command's whole group
of processes is killed; without a number the changes are counted and written to `DRILL_COUNT`. A
change is what is opened for writing, made, renamed, shortened or removed below `DRILL_FOLDER`.
"""

import atexit
import os
import signal
import sys
from pathlib import Path

FOLDER = os.environ.get("DRILL_FOLDER")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink")


def main():
    owner, kill = os.getpid(), int(os.environ.get("DRILL_KILL", "0"))
    count = 0

    def is_change(event, arguments):
        if event == "open":
            path, mode, flags = arguments
            if not (flags or 0) & WRITES and not set(mode or "") & set("wax+"):
                return False
        elif event in CHANGES:
            path = arguments[0]
        else:
            return False
        if not isinstance(path, (str, bytes, os.PathLike)):
            return False
        return str(Path.cwd() / os.fsdecode(path)).startswith(FOLDER + os.sep)

    def hook(event, arguments):
        nonlocal count
        if os.getpid() != owner or not is_change(event, arguments):
            return
        count += 1
        if count == kill:
            os.killpg(0, signal.SIGKILL)

    def tell():
        if os.getpid() == owner:
            Path(os.environ["DRILL_COUNT"]).write_text(str(count))

    sys.addaudithook(hook)
    if "DRILL_COUNT" in os.environ:
        atexit.register(tell)


# Those that the command starts are killed with it; they count nothing.
if FOLDER and os.environ.setdefault("DRILL_OWNER", str(os.getpid())) == str(os.getpid()):
    main()
