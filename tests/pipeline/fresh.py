"""Runs in a process of its own: loads saved pipelines and predicts with one process and with two.

Arguments: a folder of pipelines, the file to write the snapshots to.
"""

import json
import sys
from pathlib import Path

import spacy
import torch

from pipeline import toys


def main(folder: str, output: str) -> None:
    torch.set_num_threads(2)  # with more than one, a fork after a prediction used to hang
    results = {}
    for path in sorted(Path(folder).iterdir()):
        nlp = spacy.load(path)
        cold = None
        if not results:  # torch has not computed anything in this process yet
            cold = list(nlp.pipe(toys.ODD_TEXTS, n_process=2, batch_size=3))
        alone = list(nlp.pipe(toys.ODD_TEXTS))
        warm = list(nlp.pipe(toys.ODD_TEXTS, n_process=2, batch_size=3))
        results[path.name] = {
            "alone": [toys.snapshot(doc) for doc in alone],
            "warm": [toys.snapshot(doc) for doc in warm],
            "cold": [toys.snapshot(doc) for doc in cold or alone],
        }
    Path(output).write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
