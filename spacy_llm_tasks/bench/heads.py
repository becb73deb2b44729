"""What tasks cost on one encoder pass: `nlp.pipe` with heads against the encoder alone, turn about.

The encoder has the given weights, the heads random ones, with 6 types of entities, 6 relations and
6 categories. Random heads would find nothing or something everywhere, and what is found costs time:
spans and relations are made of it, and pairs of entities are what the relation head reads. So the
scores are shifted until, on the texts that are read, one entity is found in 12 tokens and one
relation for two entities (or for as many pairs as there are): about as dense as annotated text. Of
entities the threshold is moved that `calibrate` moves, of relations the bias of the threshold
class; shapes and arithmetic are those of trained heads.

Relations need entities, so `trf_relation` is measured behind `trf_ner`. Questions are one more pass
each, with the text, and come in a row of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import spacy
import torch
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import fix_random_seed

from ..annotations import get_relations, set_relations
from ..layers.task_head import shim_of
from . import questions, texts
from .device import use_device
from .inference_sides import ENCODER, exhaust
from .invented_gold import LABELS, TOKENS_PER_ENTITY
from .machine import circumstances
from .plot import Plot
from .rounds import take_turns

RELATIONS_PER_ENTITY = 0.5  # CoNLL04 has 0.4
MAX_SPAN = 10  # tokens of the longest entity that is scored
ALONE = "encoder"
ALL = "all four"
QUESTION = "trf_qa"
# What runs on the encoder's pass, by the name of the row.
ROWS: dict[str, tuple[str, ...]] = {
    ALONE: (),
    "trf_ner": ("trf_ner",),
    "trf_ner, trf_relation": ("trf_ner", "trf_relation"),
    "trf_textcat": ("trf_textcat",),
    "trf_similarity": ("trf_similarity",),
    ALL: ("trf_ner", "trf_relation", "trf_textcat", "trf_similarity"),
}
SETTINGS: dict[str, dict[str, Any]] = {"trf_ner": {"max_span": MAX_SPAN}}
# Further down than random scores go, so that everything that is scored counts.
FAR = 100.0


PLOT = Plot("Times the encoder alone, CPU seconds", "ratio_cpu", lambda row: row["tasks"], digits=2)


@dataclass(frozen=True)
class Cost:
    """What tasks cost; medians over the rounds.

    tasks (str): What ran: a key of `ROWS`, or "trf_qa", one question about each text.
    words_per_s (float): Words of the texts in a second of wall time.
    words_per_cpu_s (float): Words in a second of CPU time.
    ratio (float): Wall seconds over those of the encoder alone in the same round.
    ratio_cpu (float): The same of CPU seconds.
    ms_per_text (float): CPU milliseconds for each text, and so for each question.
    wall_s (list[float]): Wall seconds of each round.
    cpu_s (list[float]): CPU seconds of each round.
    """

    tasks: str
    words_per_s: float
    words_per_cpu_s: float
    ratio: float
    ratio_cpu: float
    ms_per_text: float
    wall_s: list[float]
    cpu_s: list[float]


def pipeline(weights: Path, tasks: Sequence[str], *, seed: int) -> Language:
    """Build the encoder and heads with random weights.

    weights (Path): Folder of the pretrained weights.
    tasks (Sequence[str]): Factories of the heads.
    seed (int): Seeds the heads.
    RETURNS (Language): A pipeline that finds what its random heads find.
    """
    fix_random_seed(seed)
    nlp = spacy.blank("en")
    nlp.add_pipe("trf_encoder", name=ENCODER)
    for task in tasks:
        nlp.add_pipe(task, config=SETTINGS.get(task, {}))
    nlp.config["initialize"]["components"] = {ENCODER: {"weights": str(weights)}}
    gold = _gold(nlp)
    nlp.initialize(lambda: [Example(nlp.make_doc(gold.text), gold)])
    return nlp


def settle(nlp: Language, docs: Sequence[str]) -> None:
    """Shift the scores of random heads until they find as much as trained ones would.

    nlp (Language): The pipeline, which is changed.
    docs (Sequence[str]): The texts that will be read.
    """
    if "trf_ner" in nlp.pipe_names:
        pipe: Any = nlp.get_pipe("trf_ner")
        learned = pipe.cfg["learned"]
        learned["threshold"] = -FAR
        read = list(nlp.pipe(docs, disable=ROWS[ALL]))
        # Better spans are chosen before worse ones, so that a higher threshold takes from the end.
        scores = np.concatenate([found.scores for found in pipe.predict(read)])
        learned["threshold"] = _cut(scores, sum(map(len, read)) // TOKENS_PER_ENTITY)
    if "trf_relation" in nlp.pipe_names:
        pipe = nlp.get_pipe("trf_relation")
        head: Any = shim_of(pipe.model).module
        bias = head.scores.bias
        with torch.no_grad():
            bias[0] -= FAR
        read = list(nlp.pipe(docs, disable=["trf_relation"]))
        scores = np.array([one.score for found in pipe.predict(read) for one in found])
        n_entities = sum(len(doc.ents) for doc in read)
        with torch.no_grad():
            bias[0] += _cut(scores, round(RELATIONS_PER_ENTITY * n_entities))


def report(
    weights: Path, *, kind: str, n_words: int, rounds: int, threads: int, seed: int
) -> dict[str, Any]:
    """Run the whole benchmark.

    weights (Path): Folder of the pretrained weights.
    kind (str): The kind of texts, one of `texts.KINDS`.
    n_words (int): The least number of words in a round.
    rounds (int): Measured rounds; one comes before, unmeasured.
    threads (int): torch threads.
    seed (int): Seeds texts and heads.
    RETURNS (dict[str, Any]): `results` as a list of `Cost` dicts, and how they were measured.
    """
    use_device(threads)
    docs = texts.generate(kind, n_words=n_words, seed=seed)
    pipelines = {row: pipeline(weights, tasks, seed=seed) for row, tasks in ROWS.items()}
    for nlp in pipelines.values():
        settle(nlp, docs)
    turns: dict[str, Any] = {row: partial(_read, nlp, docs) for row, nlp in pipelines.items()}
    turns[QUESTION] = _asking(weights, docs, seed=seed)
    for turn in turns.values():
        turn(0)
    seconds = take_turns(turns, rounds=rounds)
    sizes = {"n_words": sum(map(texts.count_words, docs)), "n_texts": len(docs)}
    return {
        "results": [asdict(cost) for cost in compare(seconds, **sizes)],
        **_found(pipelines[ALL], docs),
        **sizes,
        "texts": kind,
        "rounds": rounds,
        "threads": threads,
        "seed": seed,
        **circumstances(),
    }


def compare(
    seconds: Mapping[str, tuple[list[float], list[float]]], *, n_words: int, n_texts: int
) -> list[Cost]:
    """Turn seconds into costs.

    seconds (Mapping): Wall and CPU seconds of the rounds of each row, the encoder among them.
    n_words, n_texts (int): Read in a round.
    RETURNS (list[Cost]): One entry a row.
    """

    def ratio(of: list[float], base: list[float]) -> float:
        return round(median(a / b for a, b in zip(of, base, strict=True)), 3)

    base_wall, base_cpu = seconds[ALONE]
    return [
        Cost(
            tasks=row,
            words_per_s=round(n_words / median(wall), 1),
            words_per_cpu_s=round(n_words / median(cpu), 1),
            ratio=ratio(wall, base_wall),
            ratio_cpu=ratio(cpu, base_cpu),
            ms_per_text=round(1000 * median(cpu) / n_texts, 3),
            wall_s=[round(second, 4) for second in wall],
            cpu_s=[round(second, 4) for second in cpu],
        )
        for row, (wall, cpu) in seconds.items()
    ]


def render(found: Mapping[str, Any]) -> str:
    """RETURNS (str): A report as a Markdown table, with what it was measured on."""
    lines = [
        "| tasks | words/s (wall) | words/s (CPU) | times the encoder (wall) | (CPU) | "
        "ms a text (CPU) |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in found["results"]:
        name = {ALONE: "none: the encoder alone", QUESTION: "trf_qa, a question about each text"}
        lines.append(
            f"| {name.get(row['tasks'], row['tasks'])} | {row['words_per_s']:.0f} | "
            f"{row['words_per_cpu_s']:.0f} | {row['ratio']:.2f} | {row['ratio_cpu']:.2f} | "
            f"{row['ms_per_text']:.2f} |"
        )
    lines += [
        "",
        f"{found['n_words']} words in {found['n_texts']} texts ({found['texts']}), in which "
        f"{found['n_entities']} entities and {found['n_relations']} relations are found; median of "
        f"{found['rounds']} interleaved rounds, {found['threads']} thread(s), one process.",
    ]
    return "\n".join(lines)


def _gold(nlp: Language) -> Doc:
    """A doc with every label: heads take their sizes from it, and relations the types of entities
    between which each may hold, two pairs of them."""
    doc = Doc(nlp.vocab, words=[f"word{i}" for i in range(2 * len(LABELS))])
    spans = [Span(doc, 2 * i, 2 * i + 1, label=label) for i, label in enumerate(LABELS)]
    doc.set_ents(spans)
    doc.cats = {f"category {i}": float(i == 0) for i in range(len(LABELS))}
    rows = [
        (spans[i], spans[(i + step) % len(spans)], f"relation {i}")
        for i in range(len(spans))
        for step in (1, 2)
    ]
    set_relations(doc, rows)
    return doc


def _cut(scores: np.ndarray, n: int) -> float:
    """RETURNS (float): A score that `n` of them exceed, or as many as there are."""
    ranked = np.sort(scores)[::-1]
    return float(ranked[n]) if n < len(ranked) else float(ranked.min(initial=FAR)) - 1.0


def _read(nlp: Language, docs: Sequence[str], number: int) -> None:
    exhaust(nlp, docs)


def _asking(weights: Path, docs: Sequence[str], *, seed: int) -> Any:
    nlp = questions.pipeline(weights, deferred_layers=0, seed=seed)
    pipe: Any = nlp.get_pipe("trf_qa")
    asked = questions.invented(len(docs), seed=seed + 1)

    def ask(number: int) -> None:
        pipe.answer([nlp.make_doc(text) for text in docs], asked)

    return ask


def _found(nlp: Language, docs: Sequence[str]) -> dict[str, int]:
    read = list(nlp.pipe(docs))
    return {
        "n_entities": sum(len(doc.ents) for doc in read),
        "n_relations": sum(len(get_relations(doc)) for doc in read),
    }
