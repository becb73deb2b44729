"""Speed of `nlp.pipe`, end to end: tokenizer, encoder and an entity head, both sides turn about."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import fix_random_seed

from . import recipes, texts
from .machine import circumstances
from .rounds import take_turns

LABELS = ("PERSON", "ORG", "GPE", "DATE")
PRECISION = "float32"
SAME_WINDOW = 100  # tokens: below it both sides read a doc in one window


@dataclass(frozen=True)
class Speed:
    """One side's speed.

    side (str): "ours" or "peer".
    precision (str): Of the encoder's arithmetic.
    words_per_s (float): Words in a second of wall time, from the median round.
    words_per_cpu_s (float): Words in a second of CPU time of the process, likewise.
    wall_s (list[float]): Wall seconds of each round.
    cpu_s (list[float]): CPU seconds of each round.
    ratio (float | None): Its `words_per_s` over the peer's; `None` when the peer did not run.
    ratio_cpu (float | None): The same from CPU time.
    """

    side: str
    precision: str
    words_per_s: float
    words_per_cpu_s: float
    wall_s: list[float]
    cpu_s: list[float]
    ratio: float | None = None
    ratio_cpu: float | None = None


def pipeline(side: str, weights: Path, *, seed: int) -> Language:
    """Build encoder and entity head; the head's weights are random, the encoder's are given.

    side (str): "ours" or "peer".
    weights (Path): Folder of the pretrained weights.
    seed (int): Seeds the head.
    RETURNS (Language): A pipeline ready to run.
    """
    fix_random_seed(seed)
    nlp = recipes.build(side, "ner", learn_rate=1e-4, updates=1).pipeline(weights)
    doc = Doc(nlp.vocab, words=["Ada", "sold", "Acme", "to", "Rome", "on", "Monday"])
    doc.set_ents([Span(doc, 2 * i, 2 * i + 1, label=label) for i, label in enumerate(LABELS)])
    # The head learns its labels from this doc, and nothing else.
    nlp.initialize(lambda: [Example(Doc(nlp.vocab, words=[t.text for t in doc]), doc)])
    return nlp


def measure(pipelines: Mapping[str, Language], docs: Sequence[str], *, rounds: int) -> list[Speed]:
    """Time both sides on the same texts, turn about, after one unmeasured pass over a part.

    pipelines (Mapping[str, Language]): By side.
    docs (Sequence[str]): The texts.
    rounds (int): How often each side reads all of them.
    RETURNS (list[Speed]): One entry a side, in the order given.
    """
    n_words = sum(texts.count_words(text) for text in docs)
    for nlp in pipelines.values():
        _exhaust(nlp, docs[: max(1, len(docs) // 4)])
    tasks = {side: partial(_read, nlp, docs) for side, nlp in pipelines.items()}
    return compare(take_turns(tasks, rounds=rounds), n_words=n_words)


def compare(seconds: Mapping[str, tuple[list[float], list[float]]], *, n_words: int) -> list[Speed]:
    """Turn seconds into speeds and ratios.

    seconds (Mapping[str, tuple[list[float], list[float]]]): Wall and CPU seconds of the rounds, by
        side.
    n_words (int): Words read in a round.
    RETURNS (list[Speed]): One entry a side.
    """
    rates = {
        side: (n_words / median(wall), n_words / median(cpu))
        for side, (wall, cpu) in seconds.items()
    }
    base = rates.get("peer")
    return [
        Speed(
            side=side,
            precision=PRECISION,
            words_per_s=round(rates[side][0], 1),
            words_per_cpu_s=round(rates[side][1], 1),
            wall_s=[round(value, 4) for value in wall],
            cpu_s=[round(value, 4) for value in cpu],
            ratio=round(rates[side][0] / base[0], 3) if base else None,
            ratio_cpu=round(rates[side][1] / base[1], 3) if base else None,
        )
        for side, (wall, cpu) in seconds.items()
    ]


def largest_difference(ours: Language, peer: Language, docs: Sequence[str]) -> float | None:
    """Compare token rows where both sides read the whole doc in one window.

    ours (Language): Writes its rows to `doc.tensor`.
    peer (Language): Writes `doc._.trf_data`, whose rows are mean-pooled over the pieces of a
        token, as the peer's heads receive them.
    docs (Sequence[str]): Texts; those of more than 100 tokens are passed over.
    RETURNS (float | None): The largest absolute difference, `None` if no text was short enough.
    """
    from spacy_transformers.layers import trfs2arrays
    from thinc.api import reduce_mean

    short = [text for text in docs if len(ours.make_doc(text)) <= SAME_WINDOW]
    if not short:
        return None
    pool = trfs2arrays(reduce_mean(), 1.0)
    largest = 0.0
    for mine, theirs in zip(ours.pipe(short), peer.pipe(short), strict=True):
        rows = pool.predict([theirs._.trf_data])[0]
        largest = max(largest, float(numpy.abs(mine.tensor - rows).max()))
    return largest


def report(
    sides: Sequence[str],
    weights: Path,
    *,
    kind: str,
    n_words: int,
    rounds: int,
    threads: int,
    seed: int,
) -> dict[str, Any]:
    """Run the whole benchmark.

    sides (Sequence[str]): "ours", "peer" or both.
    weights (Path): Folder of the pretrained weights.
    kind (str): The kind of texts, one of `texts.KINDS`.
    n_words (int): The least number of words in a round.
    rounds (int): Measured rounds.
    threads (int): torch threads.
    seed (int): Seeds texts and heads.
    RETURNS (dict[str, Any]): `results` as a list of `Speed` dicts, and how they were measured.
    """
    import torch

    torch.set_num_threads(threads)
    docs = texts.generate(kind, n_words=n_words, seed=seed)
    pipelines = {side: pipeline(side, weights, seed=seed) for side in sides}
    results = [asdict(speed) for speed in measure(pipelines, docs, rounds=rounds)]
    difference = None
    if {"ours", "peer"} <= set(pipelines):
        # Sentences, whatever was timed: among long texts no windows agree.
        check = texts.generate("sentences", n_words=1000, seed=seed)
        difference = largest_difference(pipelines["ours"], pipelines["peer"], check)
    return {
        "results": results,
        "max_abs_difference": difference,
        "texts": kind,
        "n_texts": len(docs),
        "n_words": sum(texts.count_words(text) for text in docs),
        "rounds": rounds,
        "threads": threads,
        "seed": seed,
        **circumstances(),
    }


def render(found: Mapping[str, Any]) -> str:
    """Write a report as text.

    found (Mapping[str, Any]): From `report`.
    RETURNS (str): A Markdown table and what it was measured on.
    """
    lines = [
        "| side | precision | words/s (wall) | words/s (CPU) | ratio (wall) | ratio (CPU) |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in found["results"]:
        ratios = [f"{row[k]:.2f}" if row[k] is not None else "-" for k in ("ratio", "ratio_cpu")]
        lines.append(
            f"| {row['side']} | {row['precision']} | {row['words_per_s']:.0f} | "
            f"{row['words_per_cpu_s']:.0f} | {ratios[0]} | {ratios[1]} |"
        )
    lines.append("")
    lines.append(
        f"{found['n_words']} words in {found['n_texts']} texts ({found['texts']}), median of "
        f"{found['rounds']} interleaved rounds, {found['threads']} thread(s)."
    )
    if found["max_abs_difference"] is not None:
        lines.append(
            "Largest difference between our token rows and the peer's, in docs of one window: "
            f"{found['max_abs_difference']:.1e}."
        )
    return "\n".join(lines)


def _exhaust(nlp: Language, docs: Sequence[str]) -> None:
    for _ in nlp.pipe(docs):
        pass


def _read(nlp: Language, docs: Sequence[str], number: int) -> None:
    _exhaust(nlp, docs)
