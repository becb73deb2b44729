"""What pretraining buys: the same heads on encoders that know more or less.

    random-scratch      the shape and tokenizer of `scratch`, weights drawn anew for each seed
    scratch             an encoder that `pretrain` has made of raw text
    random-published    the shape and tokenizer of `published`, weights drawn anew for each seed
    continued           `published` after `pretrain` went on with it
    published           a checkpoint as it was published

All are trained with the recipes of the accuracy benchmark (`recipes`): the same data, order,
batches, updates, schedule and seeds; random weights have no share in the end (`recipe_of`). Each
start has the learning rate that is best for it on each set, by the one rule of `plan`, since random
weights want another one than good ones. Finished runs are result files (`records`), which are used
again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from . import plan, recipes, records
from .plan import Announce, Job
from .records import Record, RunKey
from .sets import BenchSet
from .starts import Start, twin_of
from .table import Cell, cells, chosen_rates, markdown, verdict

NAMES = ("scratch", "continued", "published")
SETS = ("wnut17", "sst2", "stsb")


def execute(job: Job, starts: Mapping[str, Start], announce: Announce) -> Iterator[Record]:
    """Do the runs that have no result yet.

    job (Job): What was asked for; its sides are the names of the starts.
    starts (Mapping[str, Start]): From `with_twins`.
    announce (Announce): Takes one line of progress.
    YIELDS (Record): Every result, old and new, as it becomes known.
    """
    job.use_device()
    digests = {name: start.digest() for name, start in starts.items()}

    def get(item: BenchSet, key: RunKey) -> Record:
        start = starts[key.side]
        recipe = recipe_of(item, key, start)
        decided = plan.settings(item, key, recipe, digests[key.side])
        found = find(job, key, decided)
        if found is not None:
            return found
        with start.weights(key.seed) as weights:
            return plan.keep(
                job, item, key, recipe, weights=weights, settings=decided, announce=announce
            )

    yield from plan.walk(job, get)


def collect(job: Job, starts: Mapping[str, Start]) -> list[Record]:
    """Read the results that a job would reuse, and train nothing.

    job (Job): What was asked for.
    starts (Mapping[str, Start]): From `with_twins`.
    RETURNS (list[Record]): The results there are.
    """
    digests = {name: start.digest() for name, start in starts.items()}

    def get(item: BenchSet, key: RunKey) -> Record | None:
        recipe = recipe_of(item, key, starts[key.side])
        return find(job, key, plan.settings(item, key, recipe, digests[key.side]))

    return list(plan.walk(job, get))


def recipe_of(item: BenchSet, key: RunKey, start: Start) -> recipes.Recipe:
    """Look up how a start is trained on a set.

    item (BenchSet): The set.
    key (RunKey): The run.
    start (Start): Its start.
    RETURNS (Recipe): That of the accuracy benchmark. No share of random weights stays in those
        that are scored: they know nothing that would be worth keeping.
    """
    recipe = plan.recipe_of(item, replace(key, side="ours"))
    if start.is_random:
        recipe.optimizer.pop("start_share", None)
    return recipe


def find(job: Job, key: RunKey, wanted: dict[str, object]) -> Record | None:
    """RETURNS (Record | None): A result that a job would reuse."""
    return records.find(job.results, key, wanted, read=recipes.with_new_arguments)


def render(
    found: Sequence[Record],
    sets: Sequence[BenchSet],
    starts: Mapping[str, Start],
    *,
    seeds: Sequence[int],
    rates: Sequence[float],
) -> str:
    """Write the scores of all starts and what each has over another, as Markdown.

    found (Sequence[Record]): All results.
    sets (Sequence[BenchSet]): The sets to show, in order.
    starts (Mapping[str, Start]): The starts, in order.
    seeds (Sequence[int]): The seeds; the rates are chosen at the first.
    rates (Sequence[float]): The grid of learning rates that was begun with.
    RETURNS (str): Markdown; a run that is not done yet shows as a dash.
    """
    chosen = chosen_rates(record for record in found if record.key.seed == seeds[0])
    by_set = {item.name: cells(found, item, chosen, seeds=seeds, score=item.score) for item in sets}
    head = [f"{item.name} {item.score}" for item in sets]
    scores = [[name, *(_shown(by_set[item.name].get(name)) for item in sets)] for name in starts]
    gains = [
        [f"{more} over {less}", *(_gain(by_set[item.name], more, less) for item in sets)]
        for more, less in comparisons(starts)
    ]
    parts = [markdown(["start", *head], scores)]
    if gains:
        parts.append(markdown(["what it has", *head], gains))
    parts.append(_notes(sets, seeds, rates))
    return "\n\n".join(parts)


def comparisons(starts: Mapping[str, Start]) -> list[tuple[str, str]]:
    """RETURNS (list[tuple[str, str]]): Names of what is compared with what: each encoder with its
    twin, and one that went on being pretrained with the one that it came from."""
    pairs = []
    for name, start in starts.items():
        if (twin := twin_of(start, starts)) is not None:
            pairs.append((name, twin.name))
    if {"continued", "published"} <= starts.keys():
        pairs.append(("continued", "published"))
    return pairs


def _shown(cell: Cell | None) -> str:
    return "-" if cell is None else f"{cell} at {cell.learn_rate:g}"


def _gain(row: Mapping[str, Cell], more: str, less: str) -> str:
    if more not in row or less not in row:
        return "-"
    points = 100 * (row[more].mean - row[less].mean)
    return f"{points:+.1f} points, {verdict(row[more], row[less])}"


def _notes(sets: Sequence[BenchSet], seeds: Sequence[int], rates: Sequence[float]) -> str:
    updates = ", ".join(f"{item.name} {item.updates}" for item in sets)
    n_seeds = ", ".join(f"{item.name} {len(seeds[: item.n_seeds])}" for item in sets)
    how = f"The learning rate is {rates[0]:g} for all, not tuned"
    if len(rates) > 1:
        tried = ", ".join(f"{rate:g}" for rate in rates)
        own = [
            f"{item.name} ({', '.join(f'{rate:g}' for rate in item.rates)})"
            for item in sets
            if item.rates
        ]
        how = (
            f"Learning rates: {tried}{' (but ' + ', '.join(own) + ')' if own else ''} were tried "
            f"for each start alike at seed {seeds[0]}, and twice the best as long as the highest "
            "one tried was the best; the best one stands beside the score"
        )
    return (
        f"Scores on dev of the last weights. Updates: {updates}. Seeds: {n_seeds}. {how}. On one "
        "seed, a difference below one point is a tie; on several, one below its standard error."
    )
