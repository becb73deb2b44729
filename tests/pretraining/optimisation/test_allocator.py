"""Memory that was used once is there for the next step."""

import subprocess
import sys

import pytest

from spacy_llm_tasks.pretraining.optimisation import allocator

FAULTS = """
import resource, sys
from spacy_llm_tasks.pretraining.optimisation.allocator import keep_memory

if sys.argv[1] == "keep":
    assert keep_memory()

def work():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        blocks = [bytearray(n) for n in (2**20, 2**22, 2**24)]
        for block in blocks:
            block[::4096] = b"x" * len(block[::4096])
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

work()
print(work())
"""


def is_glibc():
    return sys.platform.startswith("linux") and allocator.keep_memory()


def test_pages_are_not_asked_for_again():
    if not is_glibc():
        pytest.skip("this is not glibc")
    faults = {
        how: int(subprocess.check_output([sys.executable, "-c", FAULTS, how], text=True))
        for how in ("keep", "plain")
    }
    assert faults["keep"] < 0.2 * faults["plain"]


def test_elsewhere_nothing_is_done(monkeypatch):
    monkeypatch.setattr(allocator.sys, "platform", "darwin")
    assert not allocator.keep_memory()
    monkeypatch.setattr(allocator.sys, "platform", "linux")

    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(allocator.ctypes, "CDLL", missing)
    assert not allocator.keep_memory()
