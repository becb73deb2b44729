"""Speed of inference, end to end: from text to entities, all sides turn about.

Every side (`inference_sides`) is a process of its own, since what one does to the allocator holds
for its whole process; so is what measures the machine's peak, float32 products alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import spacy
from spacy.util import load_config

from ..errors import Errors
from ..nn.precision import check as check_precision
from ..tokenization.tokenizer import PieceTokenizer
from . import agreement, inference_agreement, texts
from .device import name_of_device
from .inference_sides import ENCODER, PIPELINES, Reader, Side, require_installed
from .machine import circumstances
from .peak import MatmulPeak
from .plot import Plot
from .raw_loops import LOOPS
from .readings import in_turns
from .sides import check_sides
from .workers import Reading, Worker

PEAK = Side("peak")
WITH_LONG_TEXTS = ("long", "mix")


PLOT = Plot(
    "Words read in a CPU second",
    "words_per_cpu_s",
    lambda row: " ".join(filter(None, (row["side"], row["precision"], row["windows"]))),
    seconds="cpu_s",
)


@dataclass(frozen=True)
class Speed:
    """One side's speed; rates and ratios are from median rounds.

    side (str): Its name.
    precision (str): Of the encoder's arithmetic.
    windows (str): Pieces in a window of ours, and from one to the next; "" for others.
    words_per_s (float): Words in a second of wall time.
    words_per_cpu_s (float): Words in a second of CPU time of the process.
    pieces_per_s (float): Word pieces of the texts, without special ones, in a second of wall time.
    ratio (float | None): Its `words_per_s` over the peer's; `None` when the peer did not run.
    ratio_cpu (float | None): The same from CPU time.
    peak_share (float | None): The arithmetic that our encoder's blocks need, in a CPU second of the
        encoder component, over the rate of float32 products alone in the same rounds; `None` on a
        GPU, as for other sides.
    memory_mb (float): The most memory that its process has had, in 2**20 bytes.
    wall_s (list[float]): Wall seconds of each round.
    cpu_s (list[float]): CPU seconds of each round.
    """

    side: str
    precision: str
    windows: str
    words_per_s: float
    words_per_cpu_s: float
    pieces_per_s: float
    ratio: float | None
    ratio_cpu: float | None
    peak_share: float | None
    memory_mb: float
    wall_s: list[float]
    cpu_s: list[float]


def report(
    names: Sequence[str],
    weights: Path,
    *,
    kind: str,
    n_words: int,
    rounds: int,
    threads: int,
    seed: int,
    precisions: Sequence[str] = ("fp32",),
    gpu_id: int = -1,
    start: Callable[..., Any] = Worker,
) -> dict[str, Any]:
    """Run the whole benchmark.

    names (Sequence[str]): Of `PIPELINES`, and keys of `raw_loops.LOOPS`.
    weights (Path): Folder of the pretrained weights.
    kind (str): The kind of texts, one of `texts.KINDS`.
    n_words (int): The least number of words in a round.
    rounds (int): Measured rounds; one comes before, unmeasured.
    threads (int): torch threads.
    seed (int): Seeds texts and heads.
    precisions (Sequence[str]): Of ours.
    gpu_id (int): The CUDA device to read on; -1: none.
    start (Callable): Starts a worker; for tests.
    RETURNS (dict[str, Any]): `results` as a list of `Speed` dicts, and how they were measured.
    RAISES (ValueError): An unknown side or precision, a side that cannot read such texts, or one
        whose library is not installed.
    """
    check(names, precisions, kind)
    docs, tokenizer = (
        texts.generate(kind, n_words=n_words, seed=seed),
        PieceTokenizer.from_folder(weights),
    )
    sides = sides_of(names, precisions, kind, like_peer(tokenizer, docs))
    job: dict[str, Any] = {
        "kind": kind,
        "n_words": n_words,
        "threads": threads,
        "seed": seed,
        "gpu_id": gpu_id,
    }
    with ExitStack() as stack:
        workers: dict[Side, Any] = {}
        # What a processor's products reach says nothing about a GPU.
        for side in [*sides, *([PEAK] if gpu_id < 0 else [])]:
            make: Any = partial(MatmulPeak, keep=False) if side == PEAK else partial(Reader, **job)
            given = (threads,) if side == PEAK else (side, weights)
            workers[side] = stack.enter_context(start(side.name, make, *given))
            workers[side](1)
        turns = {side: partial(worker, 1) for side, worker in workers.items()}
        readings = in_turns(turns, rounds=rounds)
    products = readings.pop(PEAK, [])
    peak = median(r.found["flops"] / r.cpu for r in products) if products else None
    sizes = {
        "n_words": sum(texts.count_words(text) for text in docs),
        "n_pieces": len(tokenizer.encode(docs)),
    }
    return {
        "results": [asdict(speed) for speed in compare(readings, peak=peak, **sizes)],
        **inference_agreement.differences(names, weights, tokenizer, seed=seed),
        "peak_gflops": None if peak is None else round(peak / 1e9, 1),
        "texts": kind,
        "n_texts": len(docs),
        **sizes,
        "rounds": rounds,
        "threads": threads,
        "seed": seed,
        **circumstances(gpu_id=gpu_id),
    }


def check(names: Sequence[str], precisions: Sequence[str], kind: str) -> None:
    """RAISES (ValueError): There is no such side or precision, none that reads such texts, or its
    library is not installed."""
    known = [*PIPELINES, *LOOPS]
    for name in names:
        check_sides([name], known)
        if name in LOOPS and kind in WITH_LONG_TEXTS:
            expected = f"{', '.join(PIPELINES)} with long texts: others read their beginning"
            raise ValueError(Errors.E587.format(option="sides", expected=expected, found=name))
        require_installed(name)
    for precision in precisions:
        check_precision(precision)


def sides_of(
    names: Sequence[str], precisions: Sequence[str], kind: str, like_peer: tuple[int, int]
) -> list[Side]:
    """What is timed: ours in each precision, and on long texts with windows like the peer's first,
    then with those of the shipped config for entities.

    names (Sequence[str]): Names of sides.
    precisions (Sequence[str]): Of ours.
    kind (str): The kind of texts.
    like_peer (tuple[int, int]): Windows in pieces.
    RETURNS (list[Side]): The sides.
    """
    windows = [like_peer, shipped_windows()] if kind in WITH_LONG_TEXTS else [None]
    ours = [Side("ours", precision, size) for size in windows for precision in precisions]
    return [side for name in names for side in (ours if name == "ours" else [Side(name)])]


def compare(
    readings: Mapping[Side, Sequence[Reading]],
    *,
    peak: float | None,
    n_words: int,
    n_pieces: int,
) -> list[Speed]:
    """Turn readings into speeds and ratios.

    readings (Mapping[Side, Sequence[Reading]]): The rounds of each side.
    peak (float | None): Operations in a CPU second of nothing but products, if that was measured.
    n_words, n_pieces (int): Read in a round.
    RETURNS (list[Speed]): One entry a side.
    """

    def seconds(side: Side, clock: str) -> float:
        return median(getattr(reading, clock) for reading in readings[side])

    def share(found: dict[str, Any]) -> float | None:
        if peak is None or not found["flops"]:
            return None
        return found["flops"] / found["encoder_s"] / peak

    base = Side("peer") if Side("peer") in readings else None
    speeds = []
    for side, rounds in readings.items():
        wall, cpu = seconds(side, "wall"), seconds(side, "cpu")
        shares = [s for reading in rounds if (s := share(reading.found)) is not None]
        speeds.append(
            Speed(
                side=side.name,
                precision=side.precision,
                windows=_spelled(side),
                words_per_s=round(n_words / wall, 1),
                words_per_cpu_s=round(n_words / cpu, 1),
                pieces_per_s=round(n_pieces / wall, 1),
                ratio=round(seconds(base, "wall") / wall, 3) if base else None,
                ratio_cpu=round(seconds(base, "cpu") / cpu, 3) if base else None,
                peak_share=round(median(shares), 3) if shares else None,
                memory_mb=round(max(reading.found["memory_mb"] for reading in rounds), 1),
                wall_s=[round(reading.wall, 4) for reading in rounds],
                cpu_s=[round(reading.cpu, 4) for reading in rounds],
            )
        )
    return speeds


def render(found: Mapping[str, Any]) -> str:
    """Write a report as text.

    found (Mapping[str, Any]): From `report`.
    RETURNS (str): A Markdown table and what it was measured on.
    """
    lines = [
        "| side | precision | windows | words/s (wall) | words/s (CPU) | pieces/s (wall) | "
        "ratio (wall) | ratio (CPU) | share of peak | memory, MB |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in found["results"]:
        shares = [
            "-" if row[key] is None else f"{row[key]:.2f}"
            for key in ("ratio", "ratio_cpu", "peak_share")
        ]
        lines.append(
            f"| {row['side']} | {row['precision']} | {row['windows'] or '-'} | "
            f"{row['words_per_s']:.0f} | {row['words_per_cpu_s']:.0f} | "
            f"{row['pieces_per_s']:.0f} | {' | '.join(shares)} | {row['memory_mb']:.0f} |"
        )
    lines += [
        "",
        f"{found['n_words']} words in {found['n_texts']} texts ({found['texts']}), median of "
        f"{found['rounds']} interleaved rounds, {name_of_device(found)}, each side in a process "
        "of its own.",
    ]
    if found["peak_gflops"] is not None:
        lines[-1] += (
            f" The peak is {found['peak_gflops']:.0f} GFLOP/s of float32 products in the same "
            "rounds."
        )
    lines += inference_agreement.render(found)
    return "\n".join(lines)


def _spelled(side: Side) -> str:
    if side.name != "ours":
        return ""
    return "default" if side.windows is None else "{}/{}".format(*side.windows)


def shipped_windows() -> tuple[int, int]:
    """RETURNS (tuple[int, int]): Pieces in a window and from one to the next, in `ner.cfg`."""
    config = load_config(Path(__file__).parents[1] / "configs" / "ner.cfg", interpolate=False)
    model = config["components"][ENCODER]["model"]
    return model["window"], model["stride"]


def like_peer(tokenizer: PieceTokenizer, docs: Sequence[str]) -> tuple[int, int]:
    """RETURNS (tuple[int, int]): Pieces in a window and from one to the next, for windows of ours
    that hold as many tokens of these texts as those of spacy-transformers."""
    nlp = spacy.blank("en")
    n_tokens = sum(len(nlp.make_doc(text)) for text in docs)
    return agreement.token_windows(tokenizer, docs, n_tokens)
