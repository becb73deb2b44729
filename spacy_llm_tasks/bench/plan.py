"""The order of the training runs, and the choice of learning rates.

The rate of a side on a set is chosen at the first seed: every rate of the grid is trained once, the
best dev score wins, the lower rate wins a tie. The other seeds use that rate. Both sides go through
the same grid.
"""

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import spacy

from . import loop, recipes, records
from .machine import machine, now, versions
from .records import Record, RunKey
from .sets import SETS, BenchSet

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


def grid(job: Job, side: str) -> list[tuple[BenchSet, RunKey]]:
    """List the runs that decide a side's learning rates.

    job (Job): What was asked for.
    side (str): The side.
    RETURNS (list[tuple[BenchSet, RunKey]]): The runs in order; none if there is a single rate.
    """
    if len(job.rates) == 1:
        return []
    return [
        (item, RunKey(side, item.name, job.seeds[0], rate))
        for item in job.sets
        for rate in job.rates
    ]


def rest(job: Job, side: str, rates: dict[str, float]) -> list[tuple[BenchSet, RunKey]]:
    """List the runs at the chosen rates, for every seed that a set wants.

    job (Job): What was asked for.
    side (str): The side.
    rates (dict[str, float]): The chosen rate by set.
    RETURNS (list[tuple[BenchSet, RunKey]]): The runs in order.
    """
    return [
        (item, RunKey(side, item.name, seed, rates[item.name]))
        for item in job.sets
        for seed in job.seeds[: item.n_seeds]
    ]


def choose_rates(found: Iterable[Record], rates: Sequence[float]) -> dict[str, float]:
    """Choose the rate of each set by the best score in the grid; the lower rate wins a tie.

    found (Iterable[Record]): One side's results at the first seed; those of other rates are passed
        over.
    rates (Sequence[float]): The grid. A single rate is every set's.
    RETURNS (dict[str, float]): The rate by set; a set without a result is missing.
    """
    if len(rates) == 1:
        return dict.fromkeys(SETS, rates[0])
    best: dict[str, Record] = {}
    for record in sorted(found, key=lambda item: item.key.learn_rate):
        name = record.key.set
        if record.key.learn_rate in rates:
            if name not in best or record.score > best[name].score:
                best[name] = record
    return {name: record.key.learn_rate for name, record in best.items()}


def execute(job: Job, announce: Announce) -> Iterator[Record]:
    """Do the runs that have no result yet.

    job (Job): What was asked for.
    announce (Announce): Takes one line of progress.
    YIELDS (Record): Every result, old and new, as it becomes known.
    """
    import torch

    torch.set_num_threads(job.threads)
    digest = records.fingerprint(job.weights)
    for side in job.sides:
        tuned = []
        for item, key in grid(job, side):
            tuned.append(_get(job, item, key, digest, announce))
            yield tuned[-1]
        rates = choose_rates(tuned, job.rates)
        done = {record.key for record in tuned}
        for item, key in rest(job, side, rates):
            if key not in done:
                yield _get(job, item, key, digest, announce)


def collect(job: Job) -> list[Record]:
    """Read the results that a job would reuse, and train nothing.

    job (Job): What was asked for.
    RETURNS (list[Record]): The results there are.
    """
    digest = records.fingerprint(job.weights)
    found: list[Record] = []
    for side in job.sides:
        tuned = [_find(job, item, key, digest) for item, key in grid(job, side)]
        done = [record for record in tuned if record is not None]
        found += done
        rates = choose_rates(done, job.rates)
        ready = replace(job, sets=tuple(item for item in job.sets if item.name in rates))
        keys = {record.key for record in done}
        for item, key in rest(ready, side, rates):
            record = _find(job, item, key, digest)
            if record is not None and key not in keys:
                found.append(record)
    return found


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
