"""Give memory that is free back to the system.

Batches differ in size from step to step, and glibc keeps what one of them has freed in pieces that
the next cannot use: a training run of an hour grows by gigabytes of which nothing is in use. Its
`malloc_trim` gives the free pages back; what is needed again is faulted in again, which costs
little if it is not done too often.
"""

import ctypes
import sys
from functools import cache
from typing import Any

# Rows that an encoder reads from one time to the next: some steps of training, whatever the texts.
ROWS = 32_768


@cache
def _libc() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    try:
        libc = ctypes.CDLL("libc.so.6")
        return libc if hasattr(libc, "malloc_trim") else None
    except OSError:
        return None  # another libc, which keeps house in its own way


def give_back() -> bool:
    """RETURNS (bool): Whether the system got anything back; never on other systems than glibc's."""
    libc = _libc()
    return bool(libc is not None and libc.malloc_trim(0))
