"""Memory that is freed in one step and wanted again in the next."""

from __future__ import annotations

import ctypes
import platform
from contextlib import suppress

# mallopt's names for them, from <malloc.h>.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Tell the C library to keep freed memory for this process instead of giving it back to the system.

    Every training step allocates and frees the same memory. Where that is tens of megabytes, glibc gives it back, and
    it returns as fresh pages that the system must find and zero, one fault per 4 kB. Kept, a step with 512 units was
    1.17 times as fast (median; `benchmarks/results/allocator.json` has the spread); small models gain nothing. Does
    nothing where the C library is not glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(_MMAP_THRESHOLD, 2**30)
