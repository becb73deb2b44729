"""One training run, the same loop for both sides: equal data order, batches, updates, schedule."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import fix_random_seed
from thinc.api import Optimizer

from .sets import BenchSet
from .update import take_step

DROPOUT = 0.1
Progress = Callable[[int, int, float], None]  # update, updates, loss of the heads in that update


@dataclass
class Outcome:
    """What one run gave.

    scores (dict[str, float]): Scores by name.
    seconds (dict[str, float]): Wall and process-CPU seconds of training and of evaluation.
    """

    scores: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


class Stopwatch:
    """Wall and process-CPU seconds since it was made, or last read."""

    def __init__(self) -> None:
        self._start()

    def read(self, name: str) -> dict[str, float]:
        """Read the watch and start it anew.

        name (str): What was measured.
        RETURNS (dict[str, float]): `NAME_wall` and `NAME_cpu`, in seconds.
        """
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        self._start()
        return {f"{name}_wall": round(wall, 2), f"{name}_cpu": round(cpu, 2)}

    def _start(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()


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
    bench_set (BenchSet): The task, the size of a batch and the number of updates.
    seed (int): Seeds Python, numpy, torch and the order of documents.
    progress (Progress | None): Called after every update.
    RETURNS (Outcome): Scores and seconds; evaluation is predicting and scoring.
    """
    fix_random_seed(seed)
    outcome, watch, task = Outcome(), Stopwatch(), bench_set.kind
    examples = task.examples(train)
    nlp.initialize(lambda: examples, sgd=optimizer)
    order = batches(len(examples), size=bench_set.batch_docs, updates=bench_set.updates, seed=seed)
    for step, batch in enumerate(order, start=1):
        losses = take_step(nlp, optimizer, [examples[i] for i in batch], dropout=DROPOUT)
        if progress is not None:
            progress(step, bench_set.updates, losses.get(nlp.pipe_names[-1], 0.0))
    outcome.seconds.update(watch.read("train"))
    with nlp.use_params(optimizer.averages):  # type: ignore[arg-type]  # as spaCy's own loop
        outcome.scores.update(score(nlp, task.predictions(nlp, dev), bench_set))
    outcome.seconds.update(watch.read("eval"))
    return outcome


def score(nlp: Language, examples: list[Example], bench_set: BenchSet) -> dict[str, float]:
    """Score predictions as the task does.

    nlp (Language): The pipeline that made them.
    examples (list[Example]): Predicted and reference docs.
    bench_set (BenchSet): The task, and how many first documents are scored apart.
    RETURNS (dict[str, float]): Scores by name.
    """
    scores = bench_set.kind.scores(nlp, examples)
    if bench_set.first is not None:
        part = bench_set.kind.scores(nlp, examples[: bench_set.first])
        scores[f"{bench_set.score}_first_{bench_set.first}"] = part[bench_set.score]
    return scores
