"""The order of the training runs, and the choice of learning rates.

The rate of a side on a set is chosen at the first seed: every rate of the grid is trained once, and
as long as the highest rate tried is the best one, twice that rate is tried as well. The best dev
score wins, the lower rate wins a tie. The other seeds use that rate. Where each seed holds out a
part of its own, a rate is tried at several of them and its mean counts, since one part is small.
Both sides follow this rule, and so do the peers that a script trains: their results are looked up
here, and made there.
"""

import gc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean

import spacy
from spacy.tokens import Doc

from . import loop, recipes, records
from .device import use_device
from .machine import circumstances, now
from .recipes import Recipe
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
    rates (tuple[float, ...]): The grid. A single rate is used as it is, on every set.
    threads (int): torch threads.
    gpu_id (int): The CUDA device to train on; -1: none.
    """

    data: Path
    weights: Path
    results: Path
    sides: tuple[str, ...]
    sets: tuple[BenchSet, ...]
    seeds: tuple[int, ...]
    rates: tuple[float, ...]
    threads: int = 1
    gpu_id: int = -1

    def use_device(self) -> None:
        """Set torch's threads, and have spaCy and thinc use the GPU, if one was asked for."""
        use_device(self.threads, self.gpu_id)

    def grid(self, item: BenchSet) -> tuple[float, ...]:
        """RETURNS (tuple[float, ...]): The rates to try on a set, its own ones if it has any."""
        return item.rates if item.rates and len(self.rates) > 1 else self.rates


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
    rates, seeds = job.grid(item), item.tuned_on(job.seeds)
    for rate in rates:
        for seed in seeds:
            record = get(RunKey(side, item.name, seed, rate))
            if record is not None:
                found.append(record)
                yield record
    if len(found) < len(rates) * len(seeds) or len(rates) == 1:
        return  # an open grid says nothing about where its best is
    while (best := choose_rate(found)) == max(record.key.learn_rate for record in found):
        for seed in seeds:
            record = get(RunKey(side, item.name, seed, 2 * best))
            if record is None:
                return
            found.append(record)
            yield record


def choose_rate(found: Iterable[Record]) -> float:
    """Choose the rate with the best mean score; the lower rate wins a tie.

    found (Iterable[Record]): Results of one side on one set, at least one.
    RETURNS (float): The rate.
    """
    scores = scores_by_rate(found)
    return max(scores, key=lambda rate: (scores[rate], -rate))


def scores_by_rate(found: Iterable[Record]) -> dict[float, float]:
    """Average the scores of each rate.

    found (Iterable[Record]): Results of one side on one set.
    RETURNS (dict[float, float]): Mean score by rate. Rates that have fewer results than another
        are not done yet, and are missing.
    """
    tried: dict[float, list[float]] = {}
    for record in found:
        tried.setdefault(record.key.learn_rate, []).append(record.score)
    most = max(map(len, tried.values()), default=0)
    return {rate: mean(scores) for rate, scores in tried.items() if len(scores) == most}


def walk(job: Job, get: Callable[[BenchSet, RunKey], Record | None]) -> Iterator[Record]:
    """Go through all runs of a job: by side and set, first those that decide the rate, then the
    other seeds that the set wants.

    job (Job): What was asked for.
    get (Callable): Gives the result of a run, or `None` if it is not there.
    YIELDS (Record): The results there are, each once.
    """
    for side in job.sides:
        for item in job.sets:
            if side == "peer" and item.options:
                continue  # options are ours alone
            tuned = []
            for record in tune(job, side, item, partial(get, item)):
                tuned.append(record)
                yield record
            if tuned:
                rate, known = choose_rate(tuned), item.tuned_on(job.seeds)
                for seed in job.seeds[len(known) : item.n_seeds]:
                    found = get(item, RunKey(side, item.name, seed, rate))
                    if found is not None:
                        yield found


def execute(job: Job, announce: Announce) -> Iterator[Record]:
    """Do the runs that have no result yet.

    job (Job): What was asked for.
    announce (Announce): Takes one line of progress.
    YIELDS (Record): Every result, old and new, as it becomes known.
    """
    job.use_device()
    digest = records.fingerprint(job.weights)
    yield from walk(job, lambda item, key: _get(job, item, key, digest, announce))


def collect(job: Job) -> list[Record]:
    """Read the results that a job would reuse, and train nothing.

    job (Job): What was asked for.
    RETURNS (list[Record]): The results there are.
    """
    digest = records.fingerprint(job.weights)
    return list(walk(job, lambda item, key: find(job, item, key, digest)))


def settings(item: BenchSet, key: RunKey, recipe: Recipe, digest: str) -> dict[str, object]:
    """Collect what decides the result of a run besides the code and the seed.

    item (BenchSet): The data set.
    key (RunKey): The run.
    recipe (Recipe): Its recipe.
    digest (str): sha256 of the weights.
    RETURNS (dict[str, object]): Fit for JSON.
    """
    held_out = {"held_out": part} if (part := item.part(key.seed)) else {}
    return {
        **recipe.to_dict(),
        **held_out,
        "batch_docs": item.batch_docs,
        "dropout": loop.DROPOUT,
        "weights_sha256": digest,
    }


def budget(item: BenchSet, digest: str) -> dict[str, object]:
    """Collect what a run that a script makes has in common with all runs on its set; the rest of
    its settings is the script's business.

    item (BenchSet): The data set.
    digest (str): sha256 of the weights.
    RETURNS (dict[str, object]): Fit for JSON.
    """
    return {"batch_docs": item.batch_docs, "updates": item.updates, "weights_sha256": digest}


def find(job: Job, item: BenchSet, key: RunKey, digest: str) -> Record | None:
    """Look for a result that a job would reuse.

    job (Job): What was asked for.
    item (BenchSet): The data set.
    key (RunKey): The run.
    digest (str): sha256 of the weights.
    RETURNS (Record | None): The result, or `None`.
    """
    if recipes.is_scripted(key.side, item.task):
        wanted = budget(item, digest)
        return records.find(
            job.results,
            key,
            wanted,
            read=lambda held: {name: held[name] for name in wanted if name in held},
        )
    wanted = settings(item, key, recipe_of(item, key), digest)
    return records.find(job.results, key, wanted, read=recipes.with_new_arguments)


def about(job: Job, train: list[Doc], dev: list[Doc]) -> dict[str, object]:
    """RETURNS (dict[str, object]): The circumstances of a run, for its result file."""
    return {
        "train_docs": len(train),
        "dev_docs": len(dev),
        "threads": job.threads,
        **circumstances(gpu_id=job.gpu_id),
    }


def progress_of(key: RunKey, announce: Announce) -> loop.Progress:
    """RETURNS (Progress): Tells every fiftieth update of a run, and the last."""

    def progress(step: int, updates: int, loss: float) -> None:
        if step % 50 == 0 or step == updates:
            announce(f"{now()} {key.file_name}: {step}/{updates} loss {loss:.3f}")

    return progress


def run_recipe(
    recipe: Recipe,
    item: BenchSet,
    key: RunKey,
    *,
    data: Path,
    weights: Path,
    progress: loop.Progress,
) -> tuple[loop.Outcome, list[Doc], list[Doc]]:
    """Train a pipeline on a set.

    recipe (Recipe): The pipeline and its optimiser.
    item (BenchSet): The set.
    key (RunKey): Gives the seed.
    data (Path): Folder of the benchmark data.
    weights (Path): Folder of the pretrained weights.
    progress (Progress): Called after every update.
    RETURNS (tuple[Outcome, list[Doc], list[Doc]]): The outcome, and the docs of training and dev.
    """
    # Reading needs a vocabulary, and building draws random numbers: seeded as the training is.
    spacy.util.fix_random_seed(key.seed)
    nlp = recipe.pipeline(weights)
    train, dev = item.read(data, nlp, seed=key.seed)
    optimizer = recipe.build_optimizer()
    outcome = loop.run(nlp, optimizer, train, dev, bench_set=item, seed=key.seed, progress=progress)
    return outcome, train, dev


def keep(
    job: Job,
    item: BenchSet,
    key: RunKey,
    recipe: Recipe,
    *,
    weights: Path,
    settings: dict[str, object],
    announce: Announce,
) -> Record:
    """Do a run and save its result.

    job (Job): What was asked for.
    item (BenchSet): The set.
    key (RunKey): The run.
    recipe (Recipe): The pipeline and its optimiser.
    weights (Path): Folder of the pretrained weights.
    settings (dict[str, object]): What decides the result, for its file.
    announce (Announce): Takes one line of progress.
    RETURNS (Record): The result.
    """
    announce(f"{now()} {key.file_name}: {item.updates} updates")
    progress = progress_of(key, announce)
    outcome, train, dev = run_recipe(
        recipe, item, key, data=job.data, weights=weights, progress=progress
    )
    record = Record(
        key=key,
        score=outcome.scores[item.score],
        scores=outcome.scores,
        updates=item.updates,
        seconds=outcome.seconds,
        settings=settings,
        about=about(job, train, dev),
    )
    records.save(job.results, record)
    announce(f"{now()} {key.file_name}: {item.score} {record.score:.4f}")
    del train, dev
    gc.collect()  # Doc and pipeline refer to each other; a second model would not fit beside many
    return record


def recipe_of(item: BenchSet, key: RunKey) -> Recipe:
    """RETURNS (Recipe): What a run trains."""
    return recipes.build(
        key.side,
        item.task,
        learn_rate=key.learn_rate,
        updates=item.updates,
        options=item.options,
    )


def _get(job: Job, item: BenchSet, key: RunKey, digest: str, announce: Announce) -> Record | None:
    old = find(job, item, key, digest)
    if old is not None:
        return old
    if recipes.is_scripted(key.side, item.task):
        announce(f"{now()} {key.file_name}: not there; benchmarks/peers.py makes it")
        return None
    recipe = recipe_of(item, key)
    decided = settings(item, key, recipe, digest)
    return keep(job, item, key, recipe, weights=job.weights, settings=decided, announce=announce)
