"""Give memory that is free back to the system, but not too soon.

Batches differ in size from step to step, and glibc keeps what one of them has freed in pieces that
the next cannot use: a training run of an hour grows by gigabytes of which nothing is in use. Its
`malloc_trim` gives the free pages back; what is needed again is faulted in again, which costs
little if it is not done too often.

glibc itself does it too often: it takes blocks of 128 kB and more from the system and gives them
back, until a larger one has been freed, whose size (up to 32 MB) it takes for the new border. The
zeroed pages that every layer then gets anew cost up to a seventh of the time of predictions in 8 or
16 bits. One block of the largest size, never written to, sets the border from the start.
"""

import ctypes
import sys
from functools import cache
from typing import Any

import torch

# The largest block in bytes that moves glibc's border, less some room for its own notes.
LARGEST_BLOCK = 31 * 2**20
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


@cache
def keep_blocks() -> None:
    """Let glibc keep blocks of up to 31 MB for the next use; once in a process."""
    if _libc() is not None:
        torch.empty(LARGEST_BLOCK, dtype=torch.uint8)  # freed at once
