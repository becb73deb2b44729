"""Speed of answering: questions a second, by how many are asked about each text, and by how many of
the lower layers read question and text apart."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import spacy
from spacy.language import Language
from spacy.training import Example
from spacy.util import fix_random_seed

from ..annotations import set_questions
from . import texts
from .machine import circumstances
from .plot import Plot
from .rounds import take_turns

WORDS_PER_QUESTION = 10

PLOT = Plot(
    "Questions answered in a second",
    "questions_per_s",
    lambda row: f"{row['questions_per_text']} a text, {row['deferred_layers']} deferred",
    digits=1,
)


def invented(n: int, *, seed: int) -> list[str]:
    """RETURNS (list[str]): So many questions of at most ten words, which mean nothing."""
    n_words = 2 * n * texts.SENTENCE_WORDS  # more than needed: lengths vary
    sentences = texts.generate("sentences", n_words=n_words, seed=seed)[:n]
    return [" ".join(text.rstrip(".").split()[:WORDS_PER_QUESTION]) + "?" for text in sentences]


def pipeline(weights: Path, *, deferred_layers: int, seed: int) -> Language:
    """Build encoder and answer head; the head's weights are random, the encoder's are given.

    weights (Path): Folder of the pretrained weights.
    deferred_layers (int): Lower layers that read question and text apart.
    seed (int): Seeds the head.
    RETURNS (Language): A pipeline ready to be asked.
    """
    fix_random_seed(seed)
    nlp = spacy.blank("en")
    nlp.add_pipe("trf_encoder", name="transformer")
    nlp.add_pipe("trf_qa", config={"model": {"deferred_layers": deferred_layers}})
    nlp.config["initialize"]["components"] = {"transformer": {"weights": str(weights)}}
    gold = nlp.make_doc("Ada sold the mill.")
    set_questions(gold, [("", "Who sold the mill?", [("Ada", 0)])])
    nlp.initialize(lambda: [Example(nlp.make_doc(gold.text), gold)])
    return nlp


def measure(
    pipelines: Mapping[int, Language],
    docs: Sequence[str],
    questions: Sequence[str],
    *,
    per_text: int,
    rounds: int,
) -> dict[int, float]:
    """Time pipelines on the same questions, turn about, after one unmeasured text.

    pipelines (Mapping[int, Language]): By their number of deferred layers.
    docs (Sequence[str]): The texts. Each round changes them by a word, since a pipeline remembers
        the texts that it has read.
    questions (Sequence[str]): The questions, `per_text` for each text.
    per_text (int): Questions asked about each text, in one call.
    rounds (int): How often all are asked.
    RETURNS (dict[int, float]): Questions in a second of wall time, from the median round.
    """
    lists = [list(questions[i * per_text : (i + 1) * per_text]) for i in range(len(docs))]
    for nlp in pipelines.values():
        _ask(nlp, docs[:1], lists[:1])

    def ask(nlp: Language, number: int) -> None:
        _ask(nlp, [f"{text} Round {number}." for text in docs], lists)

    tasks = {layers: partial(ask, nlp) for layers, nlp in pipelines.items()}
    seconds = take_turns(tasks, rounds=rounds)
    return {layers: len(docs) * per_text / median(wall) for layers, (wall, _) in seconds.items()}


def report(
    weights: Path,
    *,
    deferred: Sequence[int],
    per_text: Sequence[int],
    n_texts: int,
    rounds: int,
    threads: int,
    seed: int,
) -> dict[str, Any]:
    """Run the whole benchmark on texts of about 120 words.

    weights (Path): Folder of the pretrained weights.
    deferred (Sequence[int]): Numbers of lower layers that read apart; 0, which is always measured,
        reads question and text together all the way.
    per_text (Sequence[int]): Numbers of questions about each text.
    n_texts (int): The number of texts.
    rounds (int): Measured rounds.
    threads (int): torch threads.
    seed (int): Seeds texts, questions and heads.
    RETURNS (dict[str, Any]): `results` as a list of dicts, and how they were measured.
    """
    import torch

    torch.set_num_threads(threads)
    pipelines = {
        layers: pipeline(weights, deferred_layers=layers, seed=seed)
        for layers in dict.fromkeys([0, *deferred])
    }
    n_words = n_texts * texts.PARAGRAPH_WORDS * 2  # more than needed: lengths vary
    docs = texts.generate("paragraphs", n_words=n_words, seed=seed)[:n_texts]
    results = []
    for many in per_text:
        questions = invented(n_texts * many, seed=seed + 1)
        found = measure(pipelines, docs, questions, per_text=many, rounds=rounds)
        results += [
            {
                "questions_per_text": many,
                "deferred_layers": layers,
                "questions_per_s": round(rate, 2),
                "ratio": round(rate / found[0], 3),
            }
            for layers, rate in found.items()
        ]
    return {
        "results": results,
        "n_texts": n_texts,
        "rounds": rounds,
        "threads": threads,
        "seed": seed,
        **circumstances(),
    }


def render(found: Mapping[str, Any]) -> str:
    """RETURNS (str): A report as a Markdown table, with what it was measured on."""
    lines = [
        "| questions about each text | layers apart | questions/s | ratio |",
        "|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['questions_per_text']} | {row['deferred_layers']} | "
        f"{row['questions_per_s']:.1f} | {row['ratio']:.2f} |"
        for row in found["results"]
    ]
    lines += [
        "",
        f"{found['n_texts']} texts of about {texts.PARAGRAPH_WORDS} words, median of "
        f"{found['rounds']} interleaved rounds, {found['threads']} thread(s).",
    ]
    return "\n".join(lines)


def _ask(nlp: Language, docs: Sequence[str], questions: Sequence[list[str]]) -> None:
    pipe: Any = nlp.get_pipe("trf_qa")
    pipe.answer([nlp.make_doc(text) for text in docs], questions)
