"""One training run, the same loop for both sides: equal data order, batches, updates, schedule."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from spacy.language import Language
from spacy.scorer import get_ner_prf
from spacy.tokens import Doc
from spacy.training import Example
from spacy.ty import TrainableComponent
from spacy.util import fix_random_seed
from thinc.api import Optimizer

from ..corpora.reader import bare_copy
from .sets import BenchSet

BATCH_DOCS = 32
DROPOUT = 0.1
Progress = Callable[[int, int, float], None]  # update, updates, loss of the heads in that update


@dataclass
class Outcome:
    """What one run gave.

    scores (dict[str, float]): Scores in 0..1 by name.
    seconds (dict[str, float]): Wall and process-CPU seconds of training and of evaluation.
    """

    scores: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def batches(n_docs: int, *, size: int, updates: int, seed: int) -> Iterator[list[int]]:
    """Shuffle anew for every epoch and cut into batches; the last batch of an epoch may be short.

    n_docs (int): The number of documents.
    size (int): Documents in a batch.
    updates (int): The number of batches to make.
    seed (int): Decides the order, together with nothing else.
    YIELDS (list[int]): Document numbers.
    """
    rng = random.Random(seed)
    made = 0
    while made < updates:
        order = list(range(n_docs))
        rng.shuffle(order)
        for start in range(0, n_docs, size):
            if made == updates:
                return
            made += 1
            yield order[start : start + size]


def run(
    nlp: Language,
    optimizer: Optimizer,
    train: list[Doc],
    dev: list[Doc],
    *,
    bench_set: BenchSet,
    seed: int,
    progress: Progress | None = None,
) -> Outcome:
    """Initialise a pipeline, train it for the set's number of updates, score its last state.

    nlp (Language): A fresh pipeline.
    optimizer (Optimizer): A fresh optimiser with its schedule.
    train (list[Doc]): Reference docs to train on, in the pipeline's vocabulary.
    dev (list[Doc]): Reference docs to score on.
    bench_set (BenchSet): The number of updates and what is scored.
    seed (int): Seeds Python, numpy, torch and the order of documents.
    progress (Progress | None): Called after every update.
    RETURNS (Outcome): Scores and seconds.
    """
    fix_random_seed(seed)
    wall, cpu = time.perf_counter(), time.process_time()
    # Both sides get the gold tokens: the comparison is of models, not of tokenizers.
    examples = [Example(bare_copy(doc, doc.vocab), doc) for doc in train]
    nlp.initialize(lambda: examples, sgd=optimizer)
    order = batches(len(examples), size=BATCH_DOCS, updates=bench_set.updates, seed=seed)
    for step, batch in enumerate(order, start=1):
        losses: dict[str, float] = {}
        # As in `spacy train`: all components answer before any is stepped. With `sgd=optimizer`
        # the shared encoder would be stepped before its heads have sent their gradients.
        nlp.update(
            [examples[i] for i in batch],
            drop=DROPOUT,
            sgd=False,  # type: ignore[arg-type]
            losses=losses,
        )
        for _, component in nlp.pipeline:
            if isinstance(component, TrainableComponent):
                component.finish_update(optimizer)
        optimizer.step_schedules()
        if progress is not None:
            progress(step, bench_set.updates, losses.get(nlp.pipe_names[-1], 0.0))
    outcome = Outcome()
    outcome.seconds["train_wall"] = round(time.perf_counter() - wall, 2)
    outcome.seconds["train_cpu"] = round(time.process_time() - cpu, 2)
    wall, cpu = time.perf_counter(), time.process_time()
    predicted = list(nlp.pipe(bare_copy(doc, doc.vocab) for doc in dev))
    outcome.seconds["eval_wall"] = round(time.perf_counter() - wall, 2)
    outcome.seconds["eval_cpu"] = round(time.process_time() - cpu, 2)
    pairs = [Example(doc, gold) for doc, gold in zip(predicted, dev, strict=True)]
    outcome.scores.update(score(pairs, bench_set))
    return outcome


def score(examples: list[Example], bench_set: BenchSet) -> dict[str, float]:
    """Score predictions: exact spans with types, micro-averaged, or the share of right classes.

    examples (list[Example]): Predicted and reference docs.
    bench_set (BenchSet): The task, and how many first documents are scored apart.
    RETURNS (dict[str, float]): Scores in 0..1.
    """
    if bench_set.task == "textcat":
        right = sum(_best(eg.predicted.cats) == _best(eg.reference.cats) for eg in examples)
        return {"accuracy": right / len(examples)}
    scores = _entities(examples)
    if bench_set.first is not None:
        part = _entities(examples[: bench_set.first])
        scores[f"ents_f_first_{bench_set.first}"] = part["ents_f"]
    return scores


def _entities(examples: list[Example]) -> dict[str, float]:
    found: dict[str, Any] = get_ner_prf(examples)
    return {key: float(found[key] or 0.0) for key in ("ents_p", "ents_r", "ents_f")}


def _best(cats: dict[str, float]) -> str:
    return max(sorted(cats), key=lambda label: cats[label])
