"""Memory of `nlp.pipe`: the most that a process needs to load a pipeline and read many texts.

Every reading is a process of its own that does nothing else: it loads the pipeline from the disk,
sends the texts through and lets every doc go. Its high-water mark is the kernel's, so what was
needed for a moment counts, also while loading. Files that are mapped count where they were read.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from . import texts
from .fresh import run
from .inference_sides import Side, pipeline
from .machine import circumstances
from .plot import Plot

MB = 2**20
BLANK = "blank"  # spaCy and all plugins that are installed, no pipeline
PROGRAM = """
import sys
from spacy_llm_tasks.bench.memory import work
work(*sys.argv[1:])
"""


PLOT = Plot(
    "Most memory of the process, 2**20 bytes",
    "peak_mb",
    lambda row: f"{row['side']} {row['precision']}, {row['texts']}",
)


@dataclass(frozen=True)
class Memory:
    """What a process needed, in 2**20 bytes.

    side (str): "ours", "peer", or "blank" for spaCy and its plugins alone.
    precision (str): Of the encoder's arithmetic.
    texts (str): What it read; "" for nothing.
    loaded_mb (float): Its memory when the pipeline was loaded.
    peak_mb (float): The most it ever had.
    ratio (float | None): Its peak over the peer's on the same texts.
    """

    side: str
    precision: str
    texts: str
    loaded_mb: float
    peak_mb: float
    ratio: float | None = None


def report(
    sides: Sequence[str],
    weights: Path,
    *,
    kinds: Sequence[str],
    precisions: Sequence[str],
    n_words: int,
    threads: int,
    seed: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Run the whole benchmark.

    sides (Sequence[str]): "ours", "peer" or both.
    weights (Path): Folder of the pretrained weights.
    kinds (Sequence[str]): Kinds of texts, of `texts.KINDS`.
    precisions (Sequence[str]): Of our side.
    n_words (int): The least number of words of a kind.
    threads (int): torch threads.
    seed (int): Seeds texts and heads.
    say (Callable): Told what is being done.
    RETURNS (dict[str, Any]): `results` as a list of `Memory` dicts, and how they were measured.
    """
    found = [_measure(Side(BLANK, ""), "", "", None, threads)]
    with TemporaryDirectory() as name:
        folder = Path(name)
        files = {kind: folder / f"{kind}.json" for kind in kinds}
        for kind, file in files.items():
            chosen = texts.generate(kind, n_words=n_words, seed=seed)
            file.write_text(json.dumps(chosen), encoding="utf8")
        runs = [Side(side, p) for side in sides for p in _precisions(side, precisions)]
        for number, side in enumerate(runs):
            path = folder / str(number)
            pipeline(side, weights, seed=seed).to_disk(path)
            for kind, file in files.items():
                say(f"{side.name} {side.precision} reads {kind}")
                found.append(_measure(side, str(path), kind, file, threads))
    return {
        "results": [asdict(row) for row in compare(found)],
        "n_words": n_words,
        "threads": threads,
        "seed": seed,
        **circumstances(),
    }


def compare(found: Sequence[Memory]) -> list[Memory]:
    """RETURNS (list[Memory]): The same with ratios, where the peer has read the same texts."""
    peer = {row.texts: row.peak_mb for row in found if row.side == "peer"}
    return [
        Memory(**{**asdict(row), "ratio": round(row.peak_mb / peer[row.texts], 3)})
        if row.texts in peer
        else row
        for row in found
    ]


def render(found: Mapping[str, Any]) -> str:
    """Write a report as text.

    found (Mapping[str, Any]): From `report`.
    RETURNS (str): A Markdown table and what it was measured on.
    """
    lines = [
        "| side | precision | texts | loaded, MB | peak, MB | ratio |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in found["results"]:
        ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
        lines.append(
            f"| {row['side']} | {row['precision'] or '-'} | {row['texts'] or '-'} | "
            f"{row['loaded_mb']:.0f} | {row['peak_mb']:.0f} | {ratio} |"
        )
    lines.append("")
    lines.append(
        f"At least {found['n_words']} words of each kind, {found['threads']} thread(s), each "
        f"reading in a process of its own. '{BLANK}' is what spaCy and its plugins take alone."
    )
    return "\n".join(lines)


def work(pipeline: str, file: str, threads: str) -> None:
    """What a process does: load a pipeline, read texts, print its memory in bytes.

    pipeline (str): Its folder; "" for a blank one.
    file (str): A JSON list of texts; "" for none.
    threads (str): torch threads.
    """
    import spacy
    import torch

    torch.set_num_threads(int(threads))
    nlp = spacy.load(pipeline) if pipeline else spacy.blank("en")
    loaded = resident()
    for _ in nlp.pipe(json.loads(Path(file).read_text(encoding="utf8"))) if file else ():
        pass
    sys.stdout.write(json.dumps({"loaded": loaded, "peak": high_water()}) + "\n")


def resident() -> int:
    """RETURNS (int): Bytes of this process in memory; where nobody tells, the most it ever had."""
    return _status("VmRSS") or high_water()


def high_water() -> int:
    """RETURNS (int): The most bytes that this process has had in memory."""
    found = _status("VmHWM")
    if found:
        return found
    # Not on Linux, where this starts from what the parent had before the fork.
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == "darwin" else 1024)


def _status(key: str) -> int:
    """A size in Linux's description of this process, in bytes; 0 elsewhere."""
    path = Path("/proc/self/status")
    lines = path.read_text(encoding="utf8").splitlines() if path.is_file() else []
    sizes = [line.split()[1] for line in lines if line.startswith(f"{key}:")]
    return int(sizes[0]) * 1024 if sizes else 0


def _precisions(side: str, chosen: Sequence[str]) -> Sequence[str]:
    return chosen if side == "ours" else ("fp32",)


def _measure(side: Side, pipeline: str, kind: str, file: Path | None, threads: int) -> Memory:
    arguments = (pipeline, "" if file is None else str(file), str(threads))
    name = f"{side.name} {side.precision}".strip()
    sizes = run(name, PROGRAM, *arguments, threads=threads)
    loaded, peak = (round(sizes[key] / MB, 1) for key in ("loaded", "peak"))
    return Memory(side.name, side.precision, kind, loaded, peak)
