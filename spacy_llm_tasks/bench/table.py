"""The accuracy table, made from the results alone: losses and ties are shown like gains."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import mean, variance

from .plan import choose_rate, scores_by_rate
from .records import Record
from .sets import SETS, BenchSet

TIE = 0.01  # one point: what two starts of one seed can differ by


@dataclass(frozen=True)
class Cell:
    """One side's result on one set at its learning rate.

    learn_rate (float): The rate.
    scores (tuple[float, ...]): One score a seed, in the order of the seeds.
    cpu (float | None): Mean CPU seconds of a training run; None if all of them had a GPU.
    """

    learn_rate: float
    scores: tuple[float, ...]
    cpu: float | None

    @property
    def mean(self) -> float:
        """RETURNS (float): The mean score."""
        return mean(self.scores)

    def __str__(self) -> str:
        shown = f"{self.mean:.4f}"
        if len(self.scores) > 1:
            shown += f" ({', '.join(f'{score:.3f}' for score in self.scores)})"
        return shown


def cells(
    found: Iterable[Record],
    item: BenchSet,
    rates: dict[str, dict[str, float]],
    *,
    seeds: Sequence[int],
    score: str,
) -> dict[str, Cell]:
    """Gather the results on one set, at the rate that each side has for it.

    found (Iterable[Record]): All results.
    item (BenchSet): The set.
    rates (dict[str, dict[str, float]]): The rate by side and set.
    seeds (Sequence[int]): The seeds to gather, as many from the front as the set wants.
    score (str): The name of the score.
    RETURNS (dict[str, Cell]): By side; a side without a result is missing.
    """
    gathered: dict[str, list[Record]] = {}
    for record in found:
        key = record.key
        rate = rates.get(key.side, {}).get(item.name)
        wanted = key.set == item.name and key.seed in seeds[: item.n_seeds]
        if wanted and key.learn_rate == rate and score in record.scores:
            gathered.setdefault(key.side, []).append(record)
    return {
        side: Cell(
            learn_rate=runs[0].key.learn_rate,
            scores=tuple(run.scores[score] for run in sorted(runs, key=lambda run: run.key.seed)),
            cpu=_cpu_seconds(runs),
        )
        for side, runs in gathered.items()
    }


def chosen_rates(grid: Iterable[Record]) -> dict[str, dict[str, float]]:
    """Look up the learning rates that tuning has chosen.

    grid (Iterable[Record]): All results at the seeds that the sets are tuned on.
    RETURNS (dict[str, dict[str, float]]): The rate by side and set.
    """
    chosen: dict[str, dict[str, float]] = {}
    for (side, name), tried in _by_side_and_set(grid).items():
        chosen.setdefault(side, {})[name] = choose_rate(tried)
    return chosen


def _by_side_and_set(found: Iterable[Record]) -> dict[tuple[str, str], list[Record]]:
    runs: dict[tuple[str, str], list[Record]] = {}
    for record in found:
        runs.setdefault((record.key.side, record.key.set), []).append(record)
    return runs


def standard_error(ours: Cell, peer: Cell) -> float | None:
    """Estimate how far chance moves the difference of the means: from the seeds' differences if
    both sides have the same seeds, which share their documents and their order.

    ours (Cell): Our result.
    peer (Cell): The peer's result.
    RETURNS (float | None): The standard error; None where a side has one seed only.
    """
    n_ours, n_peer = len(ours.scores), len(peer.scores)
    if min(n_ours, n_peer) < 2:
        return None
    if n_ours == n_peer:
        pairs = zip(ours.scores, peer.scores, strict=True)
        return sqrt(variance([one - other for one, other in pairs]) / n_ours)
    return sqrt(sum(variance(cell.scores) / len(cell.scores) for cell in (ours, peer)))


def verdict(ours: Cell, peer: Cell) -> str:
    """Say who is ahead. On one seed a difference below one point is a tie; on several, one below
    its standard error.

    ours (Cell): Our result.
    peer (Cell): The peer's result.
    RETURNS (str): "ahead", "behind" or "tie", seen from our side.
    """
    difference, error = ours.mean - peer.mean, standard_error(ours, peer)
    if abs(difference) < (TIE if error is None else error) or difference == 0:
        return "tie"
    return "ahead" if difference > 0 else "behind"


def render(
    found: Sequence[Record],
    sets: Sequence[BenchSet],
    *,
    seeds: Sequence[int],
    rates: Sequence[float],
) -> str:
    """Write the table and how its learning rates were chosen, as Markdown.

    found (Sequence[Record]): All results.
    sets (Sequence[BenchSet]): The sets to show, in order.
    seeds (Sequence[int]): The seeds, see `BenchSet.tuned_on`.
    rates (Sequence[float]): The grid of learning rates that was begun with.
    RETURNS (str): Markdown; a run that is not done yet shows as a dash.
    """
    grid = [run for run in found if run.key.seed in SETS[run.key.set].tuned_on(seeds)]
    chosen = chosen_rates(grid)
    head = ["set", "score on dev", "updates", "seeds", "ours", "peer", "difference", "CPU s a run"]
    rows = []
    for item in sets:
        for score in _scores(item):
            got = cells(found, item, chosen, seeds=seeds, score=score)
            rows.append(_row(item, score, got.get("ours"), got.get("peer"), seeds))
    parts = [
        markdown(head, rows),
        _grid_markdown(grid, chosen),
        _notes(sets, seeds, rates),
        _devices(found),
    ]
    return "\n\n".join(part for part in parts if part)


def _scores(item: BenchSet) -> list[str]:
    names = [item.score]
    if item.first is not None:
        names.append(f"{item.score}_first_{item.first}")
    return [*names, *item.kind.shown]


def _row(
    item: BenchSet, score: str, ours: Cell | None, peer: Cell | None, seeds: Sequence[int]
) -> list[str]:
    difference = "-"
    if ours is not None and peer is not None:
        points, error = 100 * (ours.mean - peer.mean), standard_error(ours, peer)
        shown = f"{points:+.1f}" if error is None else f"{points:+.2f} ± {100 * error:.2f}"
        difference = f"{shown} points, {verdict(ours, peer)}"
    wanted = len(seeds[: item.n_seeds])
    done = [len(cell.scores) if cell else 0 for cell in (ours, peer)]
    n_seeds = str(wanted) if set(done) <= {0, wanted} else f"{done[0]} and {done[1]} of {wanted}"
    return [
        item.name,
        score,
        str(item.updates),
        n_seeds,
        str(ours) if ours else "-",
        str(peer) if peer else "-",
        difference,
        " / ".join(f"{c.cpu:.0f}" if c and c.cpu is not None else "-" for c in (ours, peer)),
    ]


def _cpu_seconds(runs: Iterable[Record]) -> float | None:
    seconds = [run.seconds["train_cpu"] for run in runs if _gpu_of(run) is None]
    return mean(seconds) if seconds else None


def _gpu_of(record: Record) -> str | None:
    return record.about.get("machine", {}).get("gpu")


def _grid_markdown(grid: list[Record], chosen: dict[str, dict[str, float]]) -> str:
    grid = [record for record in grid if len(SETS[record.key.set].rates) != 1]
    rates = sorted({record.key.learn_rate for record in grid})
    if len(rates) < 2:
        return ""
    runs = _by_side_and_set(grid)
    rows = []
    for item in SETS.values():
        for side in sorted(chosen):
            if tried := runs.get((side, item.name)):
                scores = scores_by_rate(tried)
                shown = [f"{scores[rate]:.4f}" if rate in scores else "-" for rate in rates]
                rows.append([item.name, side, *shown, f"{chosen[side][item.name]:g}"])
    head = ["set", "side", *(f"{rate:g}" for rate in rates), "chosen"]
    return markdown(head, rows) if rows else ""


def _notes(sets: Sequence[BenchSet], seeds: Sequence[int], rates: Sequence[float]) -> str:
    how = f"The learning rate is {rates[0]:g} for both sides, not tuned."
    if len(rates) > 1:
        how = (
            f"Learning rates: {_listed(rates)} were tried for each side alike, on each set at seed "
            f"{seeds[0]}, and twice the best rate as long as the highest one tried was the best; "
            "the rate with the best dev score is used."
        )
        fixed = [f"{item.name} ({item.rates[0]:g})" for item in sets if len(item.rates) == 1]
        if fixed:
            how += f" Not tuned, one rate for both sides: {', '.join(fixed)}."
        own = [f"{item.name} ({_listed(item.rates)})" for item in sets if len(item.rates) > 1]
        if own:
            how += f" Begun with other rates, for both sides: {'; '.join(own)}."
    return (
        f"{how} Scores are of the last weights, never of the best on dev. On one seed, a "
        "difference below one point is a tie; on several, one below its standard error, which is "
        "shown."
        + "".join(
            f" On {item.name}, each seed holds out another part of {item.hold_out}, and rates are "
            f"compared by their means over the first {len(item.tuned_on(seeds))}."
            for item in sets
            if item.rotates
        )
    )


def _devices(found: Iterable[Record]) -> str:
    """Which runs had a GPU: their scores count like the others, their seconds do not."""
    had: dict[str, dict[str, int]] = {}
    for record in found:
        gpu = _gpu_of(record)
        if gpu is not None:
            runs = had.setdefault(gpu, {})
            name = f"{record.key.set} ({record.key.side})"
            runs[name] = runs.get(name, 0) + 1
    lines = [
        f"Trained on a GPU ({gpu}), with no CPU seconds to show: "
        + ", ".join(f"{name} {n}" for name, n in sorted(runs.items()))
        + " runs."
        for gpu, runs in sorted(had.items())
    ]
    return "\n".join(lines)


def _listed(rates: Iterable[float]) -> str:
    return ", ".join(f"{rate:g}" for rate in rates)


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """RETURNS (str): A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
