"""glibc's allocator: how much freed memory a process keeps for itself."""

import ctypes
import platform
from collections.abc import Mapping

# Parameters of mallopt(3), from malloc.h.
PARAMETERS = {"M_TRIM_THRESHOLD": -1, "M_TOP_PAD": -2, "M_MMAP_THRESHOLD": -3, "M_MMAP_MAX": -4}


def set_malloc(values: Mapping[str, int]) -> bool:
    """Set parameters of glibc's allocator; return whether that worked (False off glibc)."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    done = [mallopt(PARAMETERS[name], value) for name, value in values.items()]
    return all(done)
