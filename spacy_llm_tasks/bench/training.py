"""Speed of fine-tuning encoder and entity recognizer: steps a second, both sides turn about.

Every side (`training_sides`) is a process of its own, since what one does to the allocator holds
for its whole process. Ratios are given of CPU seconds too, which other programs disturb less than
the clock on the wall.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from statistics import median
from typing import Any

from .device import name_of_device
from .inference_sides import require_installed
from .loop import DROPOUT
from .machine import circumstances
from .plot import Plot
from .readings import in_turns
from .sides import check_sides
from .training_sides import SIDES, Job, Trainer
from .workers import Reading, Worker

PLOT = Plot(
    "Updates in a CPU second",
    "updates_per_cpu_s",
    lambda row: row["side"],
    seconds="cpu_s",
    digits=2,
)


@dataclass(frozen=True)
class Speed:
    """One side's speed; rates and ratios are from median rounds.

    side (str): One of `training_sides.SIDES`.
    updates_per_s (float): Steps of the optimizer in a second of wall time.
    updates_per_cpu_s (float): Steps in a second of CPU time of its process.
    words_per_s (float): Words of the batches in a second of wall time.
    words_per_cpu_s (float): Words in a second of CPU time.
    ratio (float | None): Its `updates_per_s` over the peer's; `None` when the peer did not run.
    ratio_cpu (float | None): The same from CPU time.
    loss (float): Of the last step, a sign that there is real training; not to be compared.
    memory_mb (float): The most memory that its process has had, in 2**20 bytes.
    wall_s (list[float]): Wall seconds of each round.
    cpu_s (list[float]): CPU seconds of each round.
    """

    side: str
    updates_per_s: float
    updates_per_cpu_s: float
    words_per_s: float
    words_per_cpu_s: float
    ratio: float | None
    ratio_cpu: float | None
    loss: float
    memory_mb: float
    wall_s: list[float]
    cpu_s: list[float]


def report(
    job: Job,
    sides: Sequence[str],
    *,
    rounds: int,
    steps: int,
    start: Callable[..., Any] = Worker,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Run the whole benchmark.

    job (Job): What is trained; the number of updates is worked out here.
    sides (Sequence[str]): Of `SIDES`.
    rounds (int): Measured rounds.
    steps (int): Steps of each side in a round; as many come before, unmeasured.
    start (Callable): Starts a worker; for tests.
    say (Callable): Takes lines about what is being done.
    RETURNS (dict[str, Any]): `results` as a list of `Speed` dicts, and how they were measured.
    RAISES (ValueError): An unknown side or set, a side whose library is not installed, or one that
        failed.
    """
    job = replace(job, updates=(rounds + 1) * steps)
    check(sides)
    job.check()
    with ExitStack() as stack:
        workers: dict[str, Any] = {}
        for side in dict.fromkeys(sides):
            say(f"Starting {side}")
            workers[side] = stack.enter_context(start(side, Trainer, side, job))
            workers[side](steps)
        say(f"{rounds} rounds of {steps} steps")
        turns = {side: partial(worker, steps) for side, worker in workers.items()}
        readings = in_turns(turns, rounds=rounds)
    any_side = next(iter(readings.values()))
    return {
        "results": [asdict(speed) for speed in compare(readings, steps=steps)],
        "rounds": rounds,
        "steps": steps,
        "words": sum(reading.found["words"] for reading in any_side),
        "dropout": DROPOUT,
        **job.about(),
        **circumstances(gpu_id=job.gpu_id),
    }


def check(sides: Sequence[str]) -> None:
    """RAISES (ValueError): A side is none of `SIDES`, or its library is not installed."""
    for side in sides:
        check_sides([side], SIDES)
        require_installed(side)


def compare(readings: Mapping[str, Sequence[Reading]], *, steps: int) -> list[Speed]:
    """Turn readings into speeds and ratios.

    readings (Mapping[str, Sequence[Reading]]): The rounds of each side.
    steps (int): Steps in a round.
    RETURNS (list[Speed]): One entry a side.
    """

    def rate(side: str, clock: str, what: str = "") -> float:
        # A round has the same batches on all sides, but not as many words as the next one.
        return median(
            (reading.found[what] if what else steps) / getattr(reading, clock)
            for reading in readings[side]
        )

    def ratio(side: str, clock: str) -> float | None:
        return round(rate(side, clock) / rate("peer", clock), 3) if "peer" in readings else None

    return [
        Speed(
            side=side,
            updates_per_s=round(rate(side, "wall"), 3),
            updates_per_cpu_s=round(rate(side, "cpu"), 3),
            words_per_s=round(rate(side, "wall", "words"), 1),
            words_per_cpu_s=round(rate(side, "cpu", "words"), 1),
            ratio=ratio(side, "wall"),
            ratio_cpu=ratio(side, "cpu"),
            loss=round(rounds[-1].found["loss"], 4),
            memory_mb=round(max(reading.found["memory_mb"] for reading in rounds), 1),
            wall_s=[round(reading.wall, 4) for reading in rounds],
            cpu_s=[round(reading.cpu, 4) for reading in rounds],
        )
        for side, rounds in readings.items()
    ]


def render(found: Mapping[str, Any]) -> str:
    """RETURNS (str): A report as a Markdown table, with what it was measured on."""
    lines = [
        "| side | updates/s (wall) | updates/s (CPU) | words/s (wall) | words/s (CPU) | "
        "ratio (wall) | ratio (CPU) | memory, MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in found["results"]:
        ratios = ["-" if row[k] is None else f"{row[k]:.2f}" for k in ("ratio", "ratio_cpu")]
        lines.append(
            f"| {row['side']} | {row['updates_per_s']:.2f} | {row['updates_per_cpu_s']:.2f} | "
            f"{row['words_per_s']:.0f} | {row['words_per_cpu_s']:.0f} | {' | '.join(ratios)} | "
            f"{row['memory_mb']:.0f} |"
        )
    what = f"the set {found['set']}" if found["set"] else f"{found['kind']} with random entities"
    lines += [
        "",
        f"Encoder and entities, dropout {found['dropout']}, batches of {found['batch']} "
        f"documents ({what}); median of {found['rounds']} interleaved rounds of {found['steps']} "
        f"updates, {found['words']} words, {name_of_device(found)}, each side in a process "
        "of its own.",
    ]
    return "\n".join(lines)
