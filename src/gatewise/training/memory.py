"""Memory: how much is free, and how the C library reuses it."""

from __future__ import annotations

import ctypes
import os
import platform
from contextlib import suppress

# Parameters of mallopt, from <malloc.h>.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Tell the C library to keep freed memory for this process instead of giving it back to the system.

    Every training step allocates and frees the same memory. Tens of megabytes go back to the system, and return as new
    pages that it must find and zero, one fault per 4 kB. Keeping them made a step with 512 units 1.17 times as fast
    (median; `benchmarks/results/allocator.json` has the spread); small models gain nothing. Does nothing where the C
    library is not glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(_MMAP_THRESHOLD, 2**30)


def free_memory() -> int | None:
    """Bytes that are available without swapping, or None if the system does not report them."""
    with suppress(OSError, ValueError, StopIteration):
        with open("/proc/meminfo", encoding="ascii") as lines:
            line = next(line for line in lines if line.startswith("MemAvailable:"))
        return int(line.split()[1]) * 1024
    with suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None
