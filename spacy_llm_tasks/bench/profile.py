"""Where the time of inference goes, by kinds of operators, and what speed products would allow.

A pipeline of encoder and entities reads the same texts with PyTorch's profiler and without, turn
about. The profiler says how long each operator took by itself; what a round took beyond all
operators is Python's: tokenization, spaCy, batches, the choice of entities. Both are wall time, so
that shares can be trusted on a busy machine too; the profiler makes Python's share a little larger.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from spacy.language import Language

from ..nn.precision import check as check_precision
from ..tokenization.tokenizer import PieceTokenizer
from . import texts
from .device import use_device
from .inference import WITH_LONG_TEXTS, like_peer
from .inference_sides import Side, exhaust, pipeline
from .machine import circumstances
from .plot import Plot

# Kinds of operators, by what stands in their names; the first that fits counts.
KINDS: dict[str, tuple[str, ...]] = {
    "products": ("linear", "addmm", "aten::mm"),
    "attention": ("softmax", "bmm", "attention"),
    "norms": ("norm",),
    # To fewer bits and back, and what it takes to know the scales.
    "copies and rounding": (
        "aten::copy_",
        "aten::div",
        "aten::round",
        "aten::amax",
        "aten::amin",
        "aten::bitwise_xor",
        "aten::addcmul",
    ),
}
REST, OUTSIDE = "other operators", "outside PyTorch"
COLUMNS = (*KINDS, REST, OUTSIDE)

PLOT = Plot(
    "Words read in a CPU second",
    "words_per_cpu_s",
    lambda row: " ".join((row["precision"], row["windows"])),
    seconds="cpu_s",
)


@dataclass(frozen=True)
class Profile:
    """Where the time goes in one precision; medians over the rounds.

    precision (str): Of the encoder's arithmetic.
    windows (str): Pieces in a window and from one to the next.
    words_per_cpu_s (float): Words in a CPU second, without the profiler.
    shares (dict[str, float]): Of the time of a round, by the names in `COLUMNS`.
    cpu_s (list[float]): CPU seconds of the rounds without the profiler.
    """

    precision: str
    windows: str
    words_per_cpu_s: float
    shares: dict[str, float]
    cpu_s: list[float]


def report(
    weights: Path,
    *,
    kind: str,
    precisions: Sequence[str],
    n_words: int,
    rounds: int,
    threads: int,
    seed: int,
) -> dict[str, Any]:
    """Run the whole benchmark.

    weights (Path): Folder of the pretrained weights.
    kind (str): The kind of texts, one of `texts.KINDS`; long ones are read in windows like
        spacy-transformers'.
    precisions (Sequence[str]): "fp32", "bf16", "int8".
    n_words (int): The least number of words in a round.
    rounds (int): Measured rounds; one comes before, unmeasured.
    threads (int): torch threads.
    seed (int): Seeds texts and head.
    RETURNS (dict[str, Any]): `results` as a list of `Profile` dicts, and how they were measured.
    RAISES (ValueError): An unknown precision.
    """
    use_device(threads, -1)
    docs = texts.generate(kind, n_words=n_words, seed=seed)
    words = sum(texts.count_words(text) for text in docs)
    windows = None
    if kind in WITH_LONG_TEXTS:
        windows = like_peer(PieceTokenizer.from_folder(weights), docs)
    results = []
    for precision in map(check_precision, precisions):
        nlp = pipeline(Side("ours", precision, windows), weights, seed=seed)
        _read(nlp, docs)
        plain, operators = [], []
        for _ in range(rounds):
            plain.append(_read(nlp, docs))
            operators.append(_operators(nlp, docs))
        results.append(
            Profile(
                precision=precision,
                windows="default" if windows is None else "{}/{}".format(*windows),
                words_per_cpu_s=round(words / median(plain), 1),
                shares=shares(operators),
                cpu_s=[round(one, 4) for one in plain],
            )
        )
    return {
        "results": [asdict(one) for one in results],
        "texts": kind,
        "n_texts": len(docs),
        "n_words": words,
        "rounds": rounds,
        "threads": threads,
        "seed": seed,
        **circumstances(),
    }


def kind_of(operator: str) -> str:
    """RETURNS (str): The kind of an operator: a key of `KINDS`, or `REST`."""
    return next((k for k, parts in KINDS.items() if any(p in operator for p in parts)), REST)


def shares(rounds: Sequence[tuple[float, Mapping[str, float]]]) -> dict[str, float]:
    """What part of the time each kind of operators takes.

    rounds (Sequence): Of each round, its seconds and those of each operator by name.
    RETURNS (dict[str, float]): Medians, by the names in `COLUMNS`.
    """
    found: dict[str, list[float]] = {name: [] for name in COLUMNS}
    for seconds, operators in rounds:
        row = dict.fromkeys((*KINDS, REST), 0.0)
        for name, taken in operators.items():
            row[kind_of(name)] += taken / seconds
        row[OUTSIDE] = 1.0 - sum(row.values())
        for name, share in row.items():
            found[name].append(share)
    return {name: round(median(values), 3) for name, values in found.items()}


def render(found: Mapping[str, Any]) -> str:
    """Write a report as text.

    found (Mapping[str, Any]): From `report`.
    RETURNS (str): A Markdown table and what it was measured on.
    """
    lines = [
        f"| precision | windows | words/s (CPU) | {' | '.join(COLUMNS)} | at most, words/s |",
        f"| --- | --- | ---: |{' ---: |' * (len(COLUMNS) + 1)}",
    ]
    for row in found["results"]:
        cells = " | ".join(f"{row['shares'][name]:.2f}" for name in COLUMNS)
        most = row["words_per_cpu_s"] / row["shares"]["products"]
        lines.append(
            f"| {row['precision']} | {row['windows']} | {row['words_per_cpu_s']:.0f} | {cells} | "
            f"{most:.0f} |"
        )
    lines += [
        "",
        f"{found['n_words']} words in {found['n_texts']} texts ({found['texts']}), median of "
        f"{found['rounds']} rounds with the profiler and without, {found['threads']} thread(s), "
        "from text to entities. At most: if all but the products of linear "
        "layers cost nothing.",
    ]
    return "\n".join(lines)


def _read(nlp: Language, docs: Sequence[str]) -> float:
    """RETURNS (float): CPU seconds."""
    started = time.process_time()
    exhaust(nlp, docs)
    return time.process_time() - started


def _operators(nlp: Language, docs: Sequence[str]) -> tuple[float, dict[str, float]]:
    """RETURNS (tuple): Wall seconds of a round, and those that each operator took by itself."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities) as profiler:
        started = time.perf_counter()
        _read(nlp, docs)
        seconds = time.perf_counter() - started
    return seconds, {
        event.key: event.self_cpu_time_total / 1e6 for event in profiler.key_averages()
    }
