"""The order of the training runs, and the choice of learning rates.

The rate of a side on a set is chosen at the first seed: every rate of the grid is trained once, and
as long as the highest rate tried is the best one, twice that rate is tried as well. The best dev
score wins, the lower rate wins a tie. The other seeds use that rate. Both sides follow this rule.
"""

import gc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import spacy

from . import loop, recipes, records
from .machine import machine, now, versions
from .records import Record, RunKey
from .sets import BenchSet

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """What the accuracy benchmark was asked for.

    data (Path): Folder of the benchmark data.
    weights (Path): Folder of the pretrained weights.
    results (Path): Folder of the result files.
    sides (tuple[str, ...]): "ours", "peer" or both.
    sets (tuple[BenchSet, ...]): The data sets.
    seeds (tuple[int, ...]): The seeds; a set takes as many from the front as it wants.
    rates (tuple[float, ...]): The grid. A single rate is used as it is.
    threads (int): torch threads.
    """

    data: Path
    weights: Path
    results: Path
    sides: tuple[str, ...]
    sets: tuple[BenchSet, ...]
    seeds: tuple[int, ...]
    rates: tuple[float, ...]
    threads: int = 1


def tune(
    job: Job, side: str, item: BenchSet, get: Callable[[RunKey], Record | None]
) -> Iterator[Record]:
    """Go through the runs that decide a side's learning rate on a set.

    job (Job): What was asked for.
    side (str): The side.
    item (BenchSet): The set.
    get (Callable): Gives the result of a run, or `None` if it is not there.
    YIELDS (Record): The results in order; of one run if there is a single rate.
    """
    found: list[Record] = []
    for rate in job.rates:
        record = get(RunKey(side, item.name, job.seeds[0], rate))
        if record is not None:
            found.append(record)
            yield record
    if len(found) < len(job.rates) or len(job.rates) == 1:
        return  # an open grid says nothing about where its best is
    while (best := choose_rate(found)) == max(record.key.learn_rate for record in found):
        record = get(RunKey(side, item.name, job.seeds[0], 2 * best))
        if record is None:
            return
        found.append(record)
        yield record


def choose_rate(found: Iterable[Record]) -> float:
    """Choose the rate with the best score; the lower rate wins a tie.

    found (Iterable[Record]): Results of one side on one set at one seed, at least one.
    RETURNS (float): The rate.
    """
    return max(found, key=lambda record: (record.score, -record.key.learn_rate)).key.learn_rate


def walk(job: Job, get: Callable[[BenchSet, RunKey], Record | None]) -> Iterator[Record]:
    """Go through all runs of a job: by side and set, first those that decide the rate, then the
    other seeds that the set wants.

    job (Job): What was asked for.
    get (Callable): Gives the result of a run, or `None` if it is not there.
    YIELDS (Record): The results there are, each once.
    """
    for side in job.sides:
        for item in job.sets:
            tuned = []
            for record in tune(job, side, item, partial(get, item)):
                tuned.append(record)
                yield record
            if tuned:
                rate = choose_rate(tuned)
                for seed in job.seeds[1 : item.n_seeds]:
                    found = get(item, RunKey(side, item.name, seed, rate))
                    if found is not None:
                        yield found


def execute(job: Job, announce: Announce) -> Iterator[Record]:
    """Do the runs that have no result yet.

    job (Job): What was asked for.
    announce (Announce): Takes one line of progress.
    YIELDS (Record): Every result, old and new, as it becomes known.
    """
    import torch

    torch.set_num_threads(job.threads)
    digest = records.fingerprint(job.weights)
    yield from walk(job, lambda item, key: _get(job, item, key, digest, announce))


def collect(job: Job) -> list[Record]:
    """Read the results that a job would reuse, and train nothing.

    job (Job): What was asked for.
    RETURNS (list[Record]): The results there are.
    """
    digest = records.fingerprint(job.weights)
    return list(walk(job, lambda item, key: _find(job, item, key, digest)))


def settings(item: BenchSet, key: RunKey, digest: str) -> dict[str, object]:
    """Collect what decides the result of a run besides the code and the seed.

    item (BenchSet): The data set.
    key (RunKey): The run.
    digest (str): sha256 of the weights.
    RETURNS (dict[str, object]): Fit for JSON.
    """
    recipe = recipes.build(key.side, item.task, learn_rate=key.learn_rate, updates=item.updates)
    return {
        **recipe.to_dict(),
        "batch_docs": loop.BATCH_DOCS,
        "dropout": loop.DROPOUT,
        "weights_sha256": digest,
    }


def _find(job: Job, item: BenchSet, key: RunKey, digest: str) -> Record | None:
    return records.find(job.results, key, settings(item, key, digest))


def _get(job: Job, item: BenchSet, key: RunKey, digest: str, announce: Announce) -> Record:
    old = _find(job, item, key, digest)
    if old is not None:
        return old
    announce(f"{now()} {key.file_name}: {item.updates} updates")
    recipe = recipes.build(key.side, item.task, learn_rate=key.learn_rate, updates=item.updates)
    # Reading needs a vocabulary, and building draws random numbers: seeded as the training is.
    spacy.util.fix_random_seed(key.seed)
    nlp = recipe.pipeline(job.weights)
    train, dev = item.read(job.data, nlp)

    def progress(step: int, updates: int, loss: float) -> None:
        if step % 50 == 0 or step == updates:
            announce(f"{now()} {key.file_name}: {step}/{updates} loss {loss:.3f}")

    outcome = loop.run(
        nlp,
        recipe.build_optimizer(),
        train,
        dev,
        bench_set=item,
        seed=key.seed,
        progress=progress,
    )
    record = Record(
        key=key,
        score=outcome.scores[item.score],
        scores=outcome.scores,
        updates=item.updates,
        seconds=outcome.seconds,
        settings=settings(item, key, digest),
        about={
            "train_docs": len(train),
            "dev_docs": len(dev),
            "threads": job.threads,
            "versions": versions(),
            "machine": machine(),
            "date": now(),
        },
    )
    records.save(job.results, record)
    announce(f"{now()} {key.file_name}: {item.score} {record.score:.4f}")
    del nlp, train, dev
    gc.collect()  # Doc and pipeline refer to each other; a second model would not fit beside many
    return record
