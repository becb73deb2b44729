"""Let the C library keep the memory that is freed, for the next step to use.

By default glibc gives blocks of over 128 KiB back to the system as soon as they are freed, and the
system hands them out again page by page, zeroed. A training step frees and takes gigabytes.
"""

from __future__ import annotations

import ctypes
import sys

# Parameters of mallopt, from glibc's malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
# mallopt takes a C int.
LARGEST = 2**31 - 1


def keep_memory() -> bool:
    """Tell the allocator of this process to keep what is freed. Meant for processes that train and
    do nothing else: their resident memory stays at its highest.

    RETURNS (bool): Whether this is glibc, which can do it.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL("libc.so.6")
        kept = libc.mallopt(M_MMAP_THRESHOLD, 2**30)
        return bool(kept and libc.mallopt(M_TRIM_THRESHOLD, LARGEST))
    except (OSError, AttributeError):
        return False
