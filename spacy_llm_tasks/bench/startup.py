"""Time to start: what the package adds to imports, and what loading a saved pipeline takes.

Every reading is a process of its own. Time counts from where `import spacy` has ended, which brings
torch with it; all sides turn about, and the median of each is reported.

    package        import spacy_llm_tasks
    registered     all that the package registers, which spaCy imports in every `spacy.blank`
    blank          spacy.blank("en"), in this environment with all of its plugins
    ours, peer     spacy.load of a saved pipeline with encoder and entity head; `beyond_blank` is
                   what that takes above `blank`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from .fresh import run
from .inference_sides import Side, pipeline
from .machine import circumstances
from .plot import Plot

# The clock stands around one line.
PROGRAM = """
import json, sys, time
import spacy
{before}
wall, cpu = time.perf_counter(), time.process_time()
{line}
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(json.dumps({{"wall": wall, "cpu": cpu}}))
"""
FIND = """
from importlib.metadata import entry_points
found = entry_points()
groups = [name for name in found.groups if name.startswith(("spacy_", "thinc_"))]
ours = [entry for name in groups for entry in found.select(group=name)
        if entry.value.startswith("spacy_llm_tasks")]
"""
LINES = {
    "package": ("", "import spacy_llm_tasks"),
    "registered": (FIND, "for entry in ours: entry.load()"),
    "blank": ("", 'spacy.blank("en")'),
}
LOAD = ("", "spacy.load(sys.argv[1])")


PLOT = Plot("Seconds of a fresh process", "wall_s", lambda row: row["name"], digits=2)


@dataclass(frozen=True)
class Start:
    """A start, in seconds.

    name (str): What was started.
    wall_s, cpu_s (float): Medians.
    beyond_blank_wall_s, beyond_blank_cpu_s (float | None): Medians above that of `spacy.blank`, for
        pipelines.
    readings (list): Wall and CPU seconds of each round.
    """

    name: str
    wall_s: float
    cpu_s: float
    beyond_blank_wall_s: float | None
    beyond_blank_cpu_s: float | None
    readings: list[tuple[float, float]]


def report(sides: Sequence[str], weights: Path, *, rounds: int, seed: int) -> dict[str, Any]:
    """Run the whole benchmark.

    sides (Sequence[str]): "ours", "peer" or both.
    weights (Path): Folder of the pretrained weights.
    rounds (int): Starts of each kind.
    seed (int): Seeds the heads.
    RETURNS (dict[str, Any]): `results` as a list of `Start` dicts, and how they were measured.
    """
    with TemporaryDirectory() as folder:
        starts = {name: (lines, "") for name, lines in LINES.items()}
        for side in sides:
            path = str(Path(folder) / side)
            pipeline(Side(side), weights, seed=seed).to_disk(path)
            starts[side] = (LOAD, path)
        readings: dict[str, list[tuple[float, float]]] = {name: [] for name in starts}
        for number in range(rounds):
            for name in list(starts) if number % 2 == 0 else list(starts)[::-1]:
                (before, line), path = starts[name]
                found = run(name, PROGRAM.format(before=before, line=line), path)
                readings[name].append((round(found["wall"], 4), round(found["cpu"], 4)))
    results = [asdict(row) for row in summarise(readings, sides)]
    return {"results": results, "rounds": rounds, "seed": seed, **circumstances()}


def summarise(
    readings: Mapping[str, list[tuple[float, float]]], sides: Sequence[str]
) -> list[Start]:
    """Take medians.

    readings (Mapping): Wall and CPU seconds by name.
    sides (Sequence[str]): The names of pipelines.
    RETURNS (list[Start]): One a name.
    """
    medians = {
        name: (median(wall for wall, _ in pairs), median(cpu for _, cpu in pairs))
        for name, pairs in readings.items()
    }
    blank = medians["blank"]
    rows = []
    for name, (wall, cpu) in medians.items():
        row = Start(name, round(wall, 3), round(cpu, 3), None, None, readings[name])
        if name in sides:
            beyond = (round(wall - blank[0], 3), round(cpu - blank[1], 3))
            row = replace(row, beyond_blank_wall_s=beyond[0], beyond_blank_cpu_s=beyond[1])
        rows.append(row)
    return rows


def render(found: Mapping[str, Any]) -> str:
    """Write a report as text.

    found (Mapping[str, Any]): From `report`.
    RETURNS (str): A Markdown table and what it was measured on.
    """
    lines = [
        "| start | s (wall) | s (CPU) | beyond blank, s (wall) | beyond blank, s (CPU) |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in found["results"]:
        beyond = [
            "-" if row[key] is None else f"{row[key]:.2f}"
            for key in ("beyond_blank_wall_s", "beyond_blank_cpu_s")
        ]
        lines.append(
            f"| {row['name']} | {row['wall_s']:.3f} | {row['cpu_s']:.3f} | "
            f"{beyond[0]} | {beyond[1]} |"
        )
    lines.append("")
    lines.append(
        f"Seconds behind `import spacy`; medians of {found['rounds']} fresh processes, turn about."
    )
    return "\n".join(lines)
