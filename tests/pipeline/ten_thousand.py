"""Runs in a process of its own: sends 10,000 docs through a saved pipeline and prints its memory.

Arguments: the pipeline's folder; "kept" to keep all docs.
"""

import gc
import json
import random
import sys
from pathlib import Path

import spacy
import torch

import spacy_llm_tasks.pipeline.drop_tensors  # noqa: F401  (its import registers the component)
from pipeline import toys
from spacy_llm_tasks.layers import memory

WORDS = sorted({word for text in toys.TEXTS for word in text.split()})
PAGE = 4096


def texts():
    rng = random.Random(0)
    for _ in range(10_000):
        yield " ".join(rng.choices(WORDS, k=rng.randint(20, 200)))


def resident() -> int:
    """Bytes in use, without free ones that the allocator has not given back yet."""
    gc.collect()
    memory.give_back()
    return int(Path("/proc/self/statm").read_text(encoding="utf8").split()[1]) * PAGE


def main(folder: str, kept: str = "") -> None:
    torch.set_num_threads(1)
    nlp = spacy.load(folder)
    docs, sizes = [], []
    for number, doc in enumerate(nlp.pipe(texts()), start=1):
        if kept:
            docs.append(doc)
        if number % 1000 == 0:
            sizes.append(resident())
    print(json.dumps(sizes))


if __name__ == "__main__":
    main(*sys.argv[1:])
