import sys

import pytest
import torch

from spacy_llm_tasks.layers import memory

# Larger than what glibc keeps by itself, smaller than what it can be told to keep.
SIZE = 20 * 2**20
IN_A_NEW_PROCESS = f"""
import resource
import torch
from spacy_llm_tasks.layers import memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.zeros({SIZE}, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

memory.keep_blocks()
faults()
print(faults())
"""


def test_large_blocks_are_kept(tmp_path):
    import subprocess

    if memory._libc() is None:
        pytest.skip("not glibc")
    script = tmp_path / "faults.py"
    script.write_text(IN_A_NEW_PROCESS)
    found = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert int(found.stdout) < SIZE // 4096  # once at most, not ten times


def test_elsewhere_nothing_is_done(monkeypatch):
    monkeypatch.setattr(memory, "_libc", lambda: None)
    monkeypatch.setattr(torch, "empty", None)  # would fail
    memory.keep_blocks.cache_clear()
    memory.keep_blocks()
    memory.keep_blocks.cache_clear()
    assert memory.give_back() is False
