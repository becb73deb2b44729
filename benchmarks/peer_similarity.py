"""The peer of sentence similarity: sentence-transformers with its `CoSENTLoss`."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import spacy
import torch
from torch_loop import OPTIMIZER, fit
from trained import Trained, device, need, version_of

from spacy_llm_tasks.annotations import get_pair
from spacy_llm_tasks.bench.loop import Outcome, Progress, Stopwatch
from spacy_llm_tasks.bench.records import RunKey
from spacy_llm_tasks.bench.sets import BenchSet
from spacy_llm_tasks.bench.tasks import numbers
from spacy_llm_tasks.scoring.similarity import score_similarity

PACKAGE = "sentence-transformers"
SCALE = 20.0  # the loss's own default


def run(item: BenchSet, key: RunKey, *, data: Path, weights: Path, progress: Progress) -> Trained:
    """Train on graded pairs and score the last weights.

    item (BenchSet): The set.
    key (RunKey): Seed and learning rate.
    data (Path): Folder of the benchmark data.
    weights (Path): Folder of a checkpoint in the library's layout, with its pooling.
    progress (Progress): Called after every update.
    RETURNS (Trained): The result.
    """
    library = need(PACKAGE)
    losses = import_module(f"{library.__name__}.losses")
    spacy.util.fix_random_seed(key.seed)
    train, dev = item.read(data, spacy.blank("en"), seed=key.seed)
    outcome, watch = Outcome(), Stopwatch()
    model = library.SentenceTransformer(str(weights), device=str(device()))
    loss = losses.CoSENTLoss(model, scale=SCALE)
    prepare = getattr(model, "preprocess", None) or model.tokenize  # as older versions call it
    pairs = [get_pair(doc) for doc in train]

    def loss_of(batch: list[int]) -> torch.Tensor:
        sides = [[train[i].text for i in batch], [pairs[i].text for i in batch]]
        grades = torch.tensor([pairs[i].score for i in batch]).to(device())
        return loss([_moved(prepare(texts)) for texts in sides], grades)

    fit(
        model,
        loss_of,
        n_docs=len(train),
        item=item,
        learn_rate=key.learn_rate,
        seed=key.seed,
        progress=progress,
    )
    outcome.seconds.update(watch.read("train"))
    gold = [get_pair(doc) for doc in dev]
    first, second = (
        model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
        for texts in ([doc.text for doc in dev], [pair.text for pair in gold])
    )
    cosine = (first * second).sum(axis=1).astype(np.float64)
    found = score_similarity([pair.score for pair in gold], cosine)
    outcome.scores.update(numbers(found, needed=item.score))
    outcome.seconds.update(watch.read("eval"))
    settings = {
        "library": PACKAGE,
        "loss": "CoSENTLoss",
        "scale": SCALE,
        "max_length": model.max_seq_length,
        "dropout": "of the checkpoint",
        "optimizer": OPTIMIZER,
    }
    return Trained(outcome, settings, train, dev, version_of(PACKAGE))


def _moved(features: dict[str, Any]) -> dict[str, Any]:
    return {k: v.to(device()) if isinstance(v, torch.Tensor) else v for k, v in features.items()}
