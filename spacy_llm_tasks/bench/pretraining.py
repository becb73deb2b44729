"""Speed of pretraining: pieces a second through whole training steps, turn about.

Every side (`pretraining_sides`) is a process of its own, since the allocator's setting cannot be
undone; so is what measures the machine's peak, float32 products alone. Ratios are of CPU seconds,
which other programs disturb less than the clock on the wall.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from . import plain_lm
from .machine import circumstances
from .material import Material
from .peak import MatmulPeak, training_flops
from .plot import Plot
from .pretraining_sides import SIDES, Job, work_of
from .readings import in_turns
from .sides import check_sides
from .workers import Reading, Worker

PEAK = "peak"


PLOT = Plot(
    "Pieces trained on in a CPU second",
    "pieces_per_cpu_s",
    lambda row: row["side"],
    seconds="cpu_s",
)


@dataclass(frozen=True)
class Speed:
    """One side's speed; rates and ratios are from median rounds.

    side (str): A key of `SIDES`.
    pieces_per_s (float): Pieces in a second of wall time.
    pieces_per_cpu_s (float): Pieces in a second of CPU time of its process.
    ratio (float | None): Its `pieces_per_cpu_s` over that of "plain"; None: that did not run.
    ratio_tuned (float | None): The same over "plain-tuned".
    peak_share (float): The arithmetic that such training needs, in a CPU second, over the peak's.
    n_parameters (int): Of the model.
    loss (float): Mean of the last round, in nats: a sign that there is real training.
    wall_s (list[float]): Wall seconds of each round.
    cpu_s (list[float]): CPU seconds of each round.
    """

    side: str
    pieces_per_s: float
    pieces_per_cpu_s: float
    ratio: float | None
    ratio_tuned: float | None
    peak_share: float
    n_parameters: int
    loss: float
    wall_s: list[float]
    cpu_s: list[float]


def report(
    job: Job,
    sides: Sequence[str],
    *,
    rounds: int,
    steps: int,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Run the whole benchmark.

    job (Job): What is trained.
    sides (Sequence[str]): Keys of `SIDES`.
    rounds (int): Measured rounds.
    steps (int): Steps of each side in a round; as many come before, unmeasured.
    say (Callable): Takes lines about what is being done.
    RETURNS (dict[str, Any]): `results` as a list of `Speed` dicts, and how they were measured.
    RAISES (ValueError): An unknown side, or one that failed.
    """
    check(sides)
    with TemporaryDirectory() as scratch, ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for name in [*sides, PEAK]:
            say(f"Starting {name}")
            make, arguments = (
                (MatmulPeak, (job.threads,)) if name == PEAK else work_of(name, job, Path(scratch))
            )
            workers[name] = stack.enter_context(Worker(name, make, *arguments))
            workers[name](1 if name == PEAK else steps)
        say(f"{rounds} rounds of {steps} steps")
        turns = {name: partial(workers[name], 1 if name == PEAK else steps) for name in workers}
        readings = in_turns(turns, rounds=rounds)
    material = Material(job.material)
    flops = training_flops(
        job.size, n_pieces=material.special.n_pieces, length=job.length, rate=plain_lm.RATE
    )
    peak = readings.pop(PEAK)
    rate = median(reading.found["flops"] / reading.cpu for reading in peak)
    return {
        "results": [asdict(speed) for speed in compare(readings, flops=flops, peak=rate)],
        "peak_gflops": round(rate / 1e9, 1),
        "peak_kernel": peak[-1].found["kernel"],
        "mflops_per_piece": round(flops / 1e6, 3),
        "rounds": rounds,
        "steps": steps,
        **{key: value for key, value in asdict(job).items() if key != "material"},
        "text": material.about(),
        **circumstances(),
    }


def check(sides: Sequence[str]) -> None:
    """RAISES (ValueError): A side is none of `SIDES`."""
    check_sides(sides, SIDES)


def compare(readings: Mapping[str, Sequence[Reading]], *, flops: float, peak: float) -> list[Speed]:
    """Turn readings into speeds and ratios.

    readings (Mapping[str, Sequence[Reading]]): The rounds of each side.
    flops (float): Operations that a piece needs.
    peak (float): Operations in a CPU second of nothing but products.
    RETURNS (list[Speed]): One entry a side.
    """

    def rate(rounds: Sequence[Reading], clock: str) -> float:
        return median(reading.found["pieces"] / getattr(reading, clock) for reading in rounds)

    rates = {side: rate(rounds, "cpu") for side, rounds in readings.items()}
    plain, tuned = rates.get("plain"), rates.get("plain-tuned")
    return [
        Speed(
            side=side,
            pieces_per_s=round(rate(rounds, "wall"), 1),
            pieces_per_cpu_s=round(rates[side], 1),
            ratio=round(rates[side] / plain, 3) if plain else None,
            ratio_tuned=round(rates[side] / tuned, 3) if tuned else None,
            peak_share=round(rates[side] * flops / peak, 3),
            n_parameters=rounds[-1].found["n_parameters"],
            loss=round(rounds[-1].found["loss"], 4),
            wall_s=[round(reading.wall, 4) for reading in rounds],
            cpu_s=[round(reading.cpu, 4) for reading in rounds],
        )
        for side, rounds in readings.items()
    ]


def render(found: Mapping[str, Any]) -> str:
    """RETURNS (str): A report as a Markdown table, with what it was measured on."""
    lines = [
        "| side | parameters | pieces/s (wall) | pieces/s (CPU) | x plain | x plain-tuned | "
        "share of peak |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in found["results"]:
        ratios = [f"{row[k]:.2f}" if row[k] else "-" for k in ("ratio", "ratio_tuned")]
        lines.append(
            f"| {row['side']} | {row['n_parameters'] / 1e6:.1f} M | {row['pieces_per_s']:.0f} | "
            f"{row['pieces_per_cpu_s']:.0f} | {ratios[0]} | {ratios[1]} | {row['peak_share']:.2f} |"
        )
    lines += [
        "",
        f"Size {found['size']}, {found['batch']} sequences of {found['length']} pieces a step, "
        f"{found['text']['vocabulary']} pieces in the vocabulary, {100 * plain_lm.RATE:.0f} % "
        f"hidden; median of {found['rounds']} interleaved rounds of {found['steps']} steps, "
        f"{found['threads']} thread(s). Ratios are of CPU time.",
        f"Peak: {found['peak_gflops']:.0f} GFLOP/s in float32 by the kernel "
        f"'{found['peak_kernel']}', in the same rounds; {found['mflops_per_piece']:.1f} MFLOP are "
        "counted for a piece on every side.",
    ]
    return "\n".join(lines)
