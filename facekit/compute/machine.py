"""The machine that tensors are worked on: device, threads, and glibc's allocator."""

import logging
import re

import torch

from facekit.compute import memory
from facekit.errors import DataError

# By default glibc returns every large tensor to the kernel and faults its pages in again: half of
# the time of a 128 px network.
MALLOC = {
    "M_MMAP_MAX": 0,  # large blocks come from the heap too
    "M_TRIM_THRESHOLD": -1,  # freed memory at the top of the heap is never given back
    "M_TOP_PAD": 256 << 20,  # the heap grows by so many bytes more than asked for
}

log = logging.getLogger(__name__)


def ready(threads: int, device: str) -> torch.device:
    """Make this process ready to compute, and return the device; see `tune`, `find_device`."""
    tune(threads)
    return find_device(device)


def tune(threads: int) -> None:
    """Set the number of threads of this process's tensor operations and keep freed memory.

    To be called once, before the first large tensor. The memory of the process then stays at its
    peak. Off glibc only the threads are set.

    Args:
        threads: of one operation, >= 1; results on a CPU may depend on it in the last bits.
    """
    torch.set_num_threads(threads)
    kept = keep_memory()
    log.info("threads: %d; freed memory is %s", threads, "kept" if kept else "given back")


def keep_memory() -> bool:
    """Have glibc keep freed memory; return whether it does (False off glibc)."""
    return memory.set_malloc(MALLOC)


def find_device(name: str) -> torch.device:
    """Return the device to work on.

    Args:
        name: cpu, cuda (or cuda:1 ...), or auto for a CUDA device if there is one.

    Raises:
        DataError: no such device, or this machine has none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise DataError(
            f"--device {name}: expected auto, cpu, cuda, or one of several as in cuda:1"
        )
    if name != "cpu" and not torch.cuda.is_available():
        raise DataError(f"--device {name}: no CUDA device found; use auto or cpu")
    number, count = name.removeprefix("cuda:"), torch.cuda.device_count()
    if number.isdigit() and int(number) >= count:
        raise DataError(f"--device {name}: this machine has {count}, the first is cuda:0")
    return torch.device(name)
