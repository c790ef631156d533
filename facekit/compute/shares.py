"""What a process gets of the processor: how long it ran, and how long it was kept waiting."""

import time
from pathlib import Path

TASKS = Path("/proc/self/task")  # the threads of this process, on Linux


class Share:
    """The share of the cores that this process has had since it was asked last."""

    def __init__(self) -> None:
        """Begin now."""
        self._last = _now()

    def take(self) -> tuple[float, float]:
        """Return how many cores it ran on, and how many more it was ready for but not given.

        Means over the time since the last call. The second is 0 where the system does not tell.
        """
        now = _now()
        wall, ran, waited = (x - y for x, y in zip(now, self._last, strict=True))
        self._last = now
        wall = max(wall, 1e-9)
        return ran / wall, max(waited, 0.0) / wall  # a thread that ended takes its waits along


def _now() -> tuple[float, float, float]:
    """Return seconds of the clock, of computing, and of waiting for a core."""
    return time.monotonic(), time.process_time(), _waited()


def _waited() -> float:
    """Return how long the threads of this process were ready to run while others did, seconds.

    Source: Documentation/scheduler/sched-stats.rst of Linux, /proc/PID/schedstat, second number.
    """
    nanoseconds = 0
    try:
        for task in TASKS.iterdir():
            nanoseconds += int((task / "schedstat").read_text().split()[1])
    except (OSError, IndexError, ValueError):  # another system, or a thread that ended meanwhile
        return 0.0
    return nanoseconds / 1e9
