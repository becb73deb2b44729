"""Speed of whole corpora: rows a second of `annotate` and of plain `nlp.pipe`, turn about.

Every run (`annotate_sides`) is a process of its own, with the processes that it starts. Imports and
loading take seconds, which count for nothing in a corpus of hours: each side also reads a tenth of
the corpus, and rates are of the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from ..errors import Errors
from . import texts
from .annotate_sides import NAMES, OURS, CorpusRun, start, write_corpus
from .inference_sides import Side, pipeline
from .machine import circumstances
from .plot import Plot
from .rounds import take_turns
from .sides import check_sides
from .workers import Reading, Worker

PART = 10  # the short corpus is this part of the long one
Key = tuple[str, bool]  # a side, and whether it reads the long corpus


PLOT = Plot(
    "Documents annotated in a CPU second",
    "rows_per_cpu_s",
    lambda row: f"{row['side']}, {row['workers']} processes",
)


@dataclass(frozen=True)
class Speed:
    """One side's speed; rates and ratios are from median runs.

    side (str): One of `annotate_sides.NAMES`.
    workers (int): Its processes.
    rows_per_s (float): Documents in a second of wall time, without what comes before the first.
    rows_per_cpu_s (float): The same in a CPU second of all its processes together.
    whole_rows_per_s (float): Documents in a second of wall time of the whole run.
    ratio (float | None): Its `rows_per_s` over the peer's; None when the peer did not run.
    ratio_cpu (float | None): Its `rows_per_cpu_s` over the peer's.
    ratio_whole (float | None): Its `whole_rows_per_s` over the peer's.
    ratio_one (float | None): Its `rows_per_s` over that of "one"; None when that did not run.
    wall_s, cpu_s (list[float]): Seconds of each run over the long corpus.
    short_wall_s, short_cpu_s (list[float]): The same over the short one.
    """

    side: str
    workers: int
    rows_per_s: float
    rows_per_cpu_s: float
    whole_rows_per_s: float
    ratio: float | None
    ratio_cpu: float | None
    ratio_whole: float | None
    ratio_one: float | None
    wall_s: list[float]
    cpu_s: list[float]
    short_wall_s: list[float]
    short_cpu_s: list[float]


def report(
    sides: Sequence[str],
    weights: Path,
    *,
    kind: str,
    n_words: int,
    workers: int,
    rounds: int,
    seed: int,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Run the whole benchmark.

    sides (Sequence[str]): Some of `annotate_sides.NAMES`.
    weights (Path): Folder of the pretrained weights.
    kind (str): The kind of texts, one of `texts.KINDS`.
    n_words (int): The least number of words of the corpus.
    workers (int): Processes of "ours" and of "peer".
    rounds (int): Measured rounds.
    seed (int): Seeds texts and heads.
    say (Callable): Takes lines about what is being done.
    RETURNS (dict[str, Any]): `results` as a list of `Speed` dicts, and how they were measured.
    RAISES (ValueError): An unknown side, or one that failed or lost rows.
    """
    check_sides(sides, NAMES)
    docs = texts.generate(kind, n_words=n_words, seed=seed)
    n_rows = {True: len(docs), False: max(1, len(docs) // PART)}
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for is_long, n in n_rows.items():
            write_corpus(folder / f"{is_long}.jsonl", docs[:n])
        for name in {"ours" if side in OURS else side for side in sides}:
            pipeline(Side(name), weights, seed=seed).to_disk(folder / name)
        readings: dict[Key, list[Reading]] = {
            (side, is_long): [] for side in sides for is_long in (True, False)
        }

        def turn(key: Key, number: int) -> None:
            side, is_long = key
            run = CorpusRun(
                side=side,
                pipeline=str(folder / ("ours" if side in OURS else side)),
                corpus=str(folder / f"{is_long}.jsonl"),
                workers=1 if side == "one" else workers,
            )
            say(f"Round {number + 1}: {side}, {n_rows[is_long]:,} rows")
            with Worker(side, start, run) as worker:
                reading = worker(1)
            if reading.found["rows"] != n_rows[is_long]:
                problem = f"{reading.found['rows']} of {n_rows[is_long]} rows came out"
                raise ValueError(Errors.E591.format(name=side, problem=problem))
            readings[key].append(reading)

        take_turns({key: partial(turn, key) for key in readings}, rounds=rounds)
    speeds = compare(readings, n_rows=n_rows, workers=workers)
    return {
        "results": [asdict(speed) for speed in speeds],
        "texts": kind,
        "n_rows": n_rows[True],
        "n_rows_short": n_rows[False],
        "n_words": sum(texts.count_words(text) for text in docs),
        "rounds": rounds,
        "seed": seed,
        **circumstances(),
    }


def compare(
    readings: Mapping[Key, Sequence[Reading]], *, n_rows: Mapping[bool, int], workers: int
) -> list[Speed]:
    """Turn readings into speeds and ratios.

    readings (Mapping[tuple[str, bool], Sequence[Reading]]): The rounds of each side on the long
        (True) and on the short corpus.
    n_rows (Mapping[bool, int]): Rows of both.
    workers (int): Processes of all sides but "one".
    RETURNS (list[Speed]): One entry a side.
    RAISES (ValueError): If the long corpus took no longer than the short one.
    """
    wall = {key: [reading.wall for reading in found] for key, found in readings.items()}
    cpu = {key: [reading.found["cpu_s"] for reading in found] for key, found in readings.items()}

    def rate(seconds: Mapping[Key, list[float]], side: str) -> float:
        more = median(seconds[side, True]) - median(seconds[side, False])
        if more <= 0:
            problem = "the long corpus took no longer than the short one; give more words"
            raise ValueError(Errors.E591.format(name=side, problem=problem))
        return (n_rows[True] - n_rows[False]) / more

    sides = list(dict.fromkeys(side for side, _ in readings))
    rates = {
        side: {
            "rows_per_s": rate(wall, side),
            "rows_per_cpu_s": rate(cpu, side),
            "whole_rows_per_s": n_rows[True] / median(wall[side, True]),
        }
        for side in sides
    }

    def ratio(side: str, base: str, name: str) -> float | None:
        return round(rates[side][name] / rates[base][name], 3) if base in rates else None

    return [
        Speed(
            side=side,
            workers=1 if side == "one" else workers,
            **{name: round(value, 1) for name, value in rates[side].items()},
            ratio=ratio(side, "peer", "rows_per_s"),
            ratio_cpu=ratio(side, "peer", "rows_per_cpu_s"),
            ratio_whole=ratio(side, "peer", "whole_rows_per_s"),
            ratio_one=ratio(side, "one", "rows_per_s"),
            wall_s=_rounded(wall[side, True]),
            cpu_s=_rounded(cpu[side, True]),
            short_wall_s=_rounded(wall[side, False]),
            short_cpu_s=_rounded(cpu[side, False]),
        )
        for side in sides
    ]


def render(found: Mapping[str, Any]) -> str:
    """RETURNS (str): A report as a Markdown table, with what it was measured on."""
    lines = [
        "| side | processes | rows/s (wall) | rows/s (CPU) | ratio (wall) | ratio (CPU) | x one | "
        "whole run, rows/s | ratio |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in found["results"]:
        wall, cpu, one, whole = (
            "-" if row[key] is None else f"{row[key]:.2f}"
            for key in ("ratio", "ratio_cpu", "ratio_one", "ratio_whole")
        )
        lines.append(
            f"| {row['side']} | {row['workers']} | {row['rows_per_s']:.1f} | "
            f"{row['rows_per_cpu_s']:.1f} | {wall} | {cpu} | {one} | "
            f"{row['whole_rows_per_s']:.1f} | {whole} |"
        )
    lines += [
        "",
        f"{found['n_rows']:,} documents ({found['texts']}) of {found['n_words']:,} words, median "
        f"of {found['rounds']} interleaved runs, one thread in each process. Imports and loading "
        "count in the whole run only: from the other rates the time for "
        f"{found['n_rows_short']:,} documents is taken off. CPU seconds are of all processes of a "
        "side.",
    ]
    return "\n".join(lines)


def _rounded(seconds: Sequence[float]) -> list[float]:
    return [round(value, 3) for value in seconds]
