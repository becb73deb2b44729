"""Work for worker processes; in a file of its own so that they need not import much."""

import os


def make_counter(start):
    if start < 0:
        raise ValueError("below zero")

    def count(n):
        if n == 13:
            raise KeyError("thirteen")
        if n == 99:
            os._exit(7)
        return {"sum": start + n, "process": os.getpid()}

    return count
