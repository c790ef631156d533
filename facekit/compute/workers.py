"""A pool of processes that keeps order and a small backlog."""

import itertools
import multiprocessing
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from threadpoolctl import threadpool_limits

from facekit.compute.memory import set_malloc
from facekit.errors import DataError

# Pictures are neither fetched from the kernel one by one nor given back: a tenth of the time.
MALLOC = {"M_MMAP_THRESHOLD": 32 << 20, "M_TRIM_THRESHOLD": 64 << 20}

Item = TypeVar("Item")
Result = TypeVar("Result")


def num_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], num_workers: int, chunk: int
) -> Iterator[Result]:
    """Yield `function(item)` of every item in order, computed by worker processes.

    Items are taken as workers come free, so that memory does not grow with their number. Each
    worker uses one core, and ends when the process that it works for is killed.

    Args:
        function: of a module's top level, or a partial of one.
        items: what to compute.
        num_workers: processes; 1 computes in this one.
        chunk: items handed to a worker at a time.

    Raises:
        DataError: a worker died, mostly for want of memory.
    """
    if num_workers == 1:
        with threadpool_limits(1):
            yield from map(function, items)
        return
    items = iter(items)
    pool = ProcessPoolExecutor(num_workers, initializer=_prepare)
    pending: deque[Future[list[Result]]] = deque()
    try:
        while batch := list(itertools.islice(items, chunk)):
            pending.append(pool.submit(_compute, function, batch))
            if len(pending) == 2 * num_workers:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    except BrokenProcessPool:
        raise DataError(
            f"one of {num_workers} worker processes died, perhaps for want of memory;"
            " use fewer workers"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare() -> None:
    """Have a worker use one core, keep its memory, and end with the process that it works for.

    It shows no progress: bars of several processes would overwrite each other.
    """
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  for as long as the process lives
    threadpool_limits(1)
    set_malloc(MALLOC)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the parent's end, also by a kill: a worker would wait for its next item forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # this runs in a worker
    parent.join()
    os._exit(1)


def _compute(function: Callable[[Item], Result], batch: Sequence[Item]) -> list[Result]:
    return [function(item) for item in batch]


def threaded_map(
    function: Callable[[Item], Result], items: Iterable[Item], num_threads: int
) -> Iterator[Result]:
    """Yield `function(item)` of every item in order, computed by threads, a few items ahead.

    For functions that spend their time in numpy, which lets other threads run meanwhile.

    Args:
        function: what to compute.
        items: taken as threads come free, so that memory does not grow with their number.
        num_threads: 1 computes in this one.
    """
    if num_threads == 1:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(num_threads)
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) == 2 * num_threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
