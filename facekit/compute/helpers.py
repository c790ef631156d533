"""Helpers of a command: the same command once more, in processes that share its work.

They are told of each other as `torchrun` tells it, and end with the process that started them.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from facekit.errors import DataError

MEETING = "EVENFACE_MEETING"  # variable of a helper: the folder where the processes meet
STORE = "store"  # file of that folder, by which they find each other
SECONDS = 60.0  # that a helper may take to end after its work is done
PAUSE = 0.02  # seconds from one look at the helpers to the next


class Helpers:
    """The helpers of this process.

    Attributes:
        folder: where all meet.
    """

    def __init__(self, folder: Path, command: Sequence[str], num: int) -> None:
        """Start them.

        Args:
            folder: empty.
            command: of each; what it prints goes to a file of the folder.
            num: of all processes, this one counted.
        """
        self.folder = folder
        self._processes: dict[int, subprocess.Popen] = {}  # by rank
        # What this process can import, they can.
        shared = {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "WORLD_SIZE": str(num),
            MEETING: str(folder),
        }
        for rank in range(1, num):
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            with self._output(rank).open("wb") as output:
                self._processes[rank] = subprocess.Popen(
                    command,
                    env={**os.environ, **shared, **own},
                    stdin=subprocess.PIPE,  # closed by the end of this process, whatever ends it
                    stdout=output,
                    stderr=output,
                )

    def wait_until_ready(self) -> None:
        """Wait until all have come to `meet`.

        Raises:
            DataError: one ended before.
        """
        while not all(_ready(self.folder, rank).exists() for rank in self._processes):
            self.check()
            time.sleep(PAUSE)

    def check(self, seconds: float = 0) -> None:
        """Look for helpers that ended by an error, for some seconds.

        Raises:
            DataError: one did; how, and what it said last.
        """
        end = time.monotonic() + seconds
        while True:
            for rank, process in self._processes.items():
                if process.poll():
                    raise DataError(self._epitaph(rank, process.returncode))
            if time.monotonic() >= end:
                return
            time.sleep(PAUSE)

    def wait(self) -> None:
        """Wait until all have ended."""
        end = time.monotonic() + SECONDS
        for process in self._processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(end - time.monotonic(), 0))

    def kill(self) -> None:
        """End those that have not ended."""
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            assert process.stdin is not None
            process.stdin.close()
            process.wait()

    def _output(self, rank: int) -> Path:
        return self.folder / f"output-{rank}"

    def _epitaph(self, rank: int, code: int) -> str:
        """Return what is said of a helper that ended by an error."""
        how = f"ended with exit code {code}"
        if code < 0:
            how = f"was killed by signal {-code}, perhaps for want of memory"
        lines = self._output(rank).read_text(errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "nothing")
        return (
            f"process {rank} of {len(self._processes) + 1} {how}; it said last: {last.strip()}."
            " Started again, the run goes on from its last state; --processes 1 needs no other"
            " process"
        )


@contextlib.contextmanager
def started(command: Sequence[str], num: int) -> Iterator[Helpers]:
    """Yield helpers that have come to `meet`, and see that they end.

    Args:
        command: of each, which finds `num` processes in its environment.
        num: of all processes, this one counted.

    Raises:
        DataError: one ended by an error, and what is done within could not go on.
    """
    with tempfile.TemporaryDirectory(prefix="evenface-") as folder:
        helpers = Helpers(Path(folder), command, num)
        try:
            helpers.wait_until_ready()
            yield helpers
            helpers.wait()
        except RuntimeError as error:
            if "gloo" in str(error).lower():  # the connection to one of them is gone
                helpers.check(seconds=5)
            raise
        finally:
            helpers.kill()


def meet() -> Path:
    """Say in a helper that it is ready, and have it end with the process that started it.

    Returns:
        The file by which all find each other.
    """
    folder = Path(os.environ[MEETING])
    threading.Thread(target=_end_with_first, daemon=True).start()
    _ready(folder, int(os.environ["RANK"])).touch()
    return folder / STORE


def _ready(folder: Path, rank: int) -> Path:
    return folder / f"ready-{rank}"


def _end_with_first() -> None:
    """Wait for the end of the process at the other end of standard input, also by a kill."""
    while os.read(0, 1024):
        pass
    os._exit(1)
