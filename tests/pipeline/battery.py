"""What the battery runs on: every task that was registered, found by itself, and the stock heads.

A new task needs no line here as long as `toys.gold_doc` holds gold for it. `VARIANTS` adds settings
of a task that deserve a run of their own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import spacy
from spacy import registry
from spacy.language import Language

from . import toys


@dataclass(frozen=True)
class Case:
    """A pipeline under test.

    heads: name -> (factory, config) of the components behind the encoder.
    scores: What must be 1.0 after overfitting.
    ours: Whether the heads are tasks of ours rather than spaCy's own components.
    """

    id: str
    heads: dict[str, tuple[str, dict[str, Any]]]
    scores: tuple[str, ...]
    ours: bool = True
    steps: int = 30

    @property
    def head(self) -> str:
        return list(self.heads)[-1]

    @property
    def reads_docs(self) -> bool:
        return "markers" not in self.id and self.head != "trf_qa"

    @property
    def has_labels(self) -> bool:
        return self.head not in ("trf_similarity", "trf_qa")

    def build(self, tokenizer: Path) -> Language:
        nlp = toys.empty_pipeline(tokenizer, **ENCODERS.get(self.head, {}))
        for name, (factory, config) in self.heads.items():
            nlp.add_pipe(factory, name=name, config=config)
        return nlp


def _textcat(pooling: str) -> dict[str, Any]:
    head = {"@architectures": "spacy_llm_tasks.TextCatHead.v1", "tok2vec": toys.LISTENER}
    return {"model": {**head, "pooling": pooling}}


VARIANTS: dict[str, dict[str, tuple[dict[str, Any], tuple[str, ...]]]] = {
    "trf_ner": {
        "overlapping": ({"overlapping": True}, ("spans_trf_ner_f",)),
        "tagger": (
            {
                "model": {
                    "@architectures": "spacy_llm_tasks.TaggerHead.v1",
                    "tok2vec": toys.STOCK_LISTENER,
                }
            },
            (),
        ),
        "private": ({"model": {"tok2vec": {**toys.LISTENER, "private_layers": 1}}}, ()),
    },
    "trf_qa": {
        "deferred-private": (
            {
                "model": {
                    "deferred_layers": 1,
                    "tok2vec": {**toys.LISTENER, "private_layers": 1},
                }
            },
            (),
        ),
    },
    "trf_textcat": {
        "multilabel-cls": ({"exclusive": False, **_textcat("cls")}, ()),
    },
    "trf_relation": {
        "exclusive-markers": ({"exclusive": True, "model": {"mode": "markers"}}, ()),
    },
    "trf_similarity": {
        "angle-weighted": (
            {"objective": "angle", "model": {"pooling": "weighted", "vector_width": 8}},
            (),
        ),
    },
}
# Settings of the plain case, for a task whose default head has no weights of its own to train.
SETTINGS: dict[str, dict[str, Any]] = {"trf_similarity": {"model": {"vector_width": 8}}}
# An encoder with room for what a task reads.
ENCODERS: dict[str, dict[str, Any]] = {"trf_qa": {"window": 30, "stride": 20}}
# What has to stand before a task: relations are between entities that something must find.
BEFORE = {"trf_relation": "trf_ner"}

# Cheap variants that only need to learn and to survive saving.
POOLINGS = {pooling: _textcat(pooling) for pooling in ("max", "attention", "pieces")}


def task_factories() -> Iterator[str]:
    """Names of all factories that `register_task` has made."""
    for name, make in registry.factories.get_all().items():
        if getattr(make, "__qualname__", "").startswith("_factory_function.<locals>"):
            yield name


@cache
def cases() -> tuple[Case, ...]:
    nlp = spacy.blank("en")
    found = [_stock("stock-tok2vec", toys.STOCK_LISTENER)]
    for factory in sorted(set(task_factories())):
        weights = nlp.get_factory_meta(factory).default_score_weights
        scores = tuple(key for key, weight in weights.items() if weight)
        before = BEFORE.get(factory)
        heads = {before: (before, {})} if before else {}
        plain = {factory: (factory, SETTINGS.get(factory, {}))}
        found.append(Case(factory, heads | plain, scores))
        for name, (config, own) in VARIANTS.get(factory, {}).items():
            heads_of = heads | {factory: (factory, config)}
            found.append(Case(f"{factory}-{name}", heads_of, own or scores))
    return tuple(found)


def pooling_cases() -> list[Case]:
    return [
        Case(f"trf_textcat-{name}", {"trf_textcat": ("trf_textcat", config)}, ("cats_score",))
        for name, config in POOLINGS.items()
    ]


def _stock(name: str, listener: dict[str, Any]) -> Case:
    return Case(
        name,
        {head: (head, stock_config(head, listener)) for head in ("tagger", "spancat", "ner")}
        | {"textcat": ("textcat", stock_config("textcat", listener))},
        ("tag_acc", "ents_f", "cats_score"),
        ours=False,
        steps=60,
    )


def stock_config(factory: str, listener: dict[str, Any]) -> dict[str, Any]:
    """Config of one of spaCy's own components on our encoder."""
    parser = {"@architectures": "spacy.TransitionBasedParser.v2", "hidden_width": 16}
    parser |= {"maxout_pieces": 2, "use_upper": True, "extra_state_tokens": False}
    models: dict[str, dict[str, Any]] = {
        "tagger": {"@architectures": "spacy.Tagger.v2"},
        "senter": {"@architectures": "spacy.Tagger.v2"},
        "ner": {**parser, "state_type": "ner"},
        "parser": {**parser, "state_type": "parser"},
        "textcat": {
            "@architectures": "spacy.TextCatEnsemble.v2",
            "linear_model": {
                "@architectures": "spacy.TextCatBOW.v3",
                "exclusive_classes": True,
                "ngram_size": 1,
                "length": 512,
                "no_output_layer": False,
            },
        },
        "spancat": {
            "@architectures": "spacy.SpanCategorizer.v1",
            "reducer": {"@layers": "spacy.mean_max_reducer.v1", "hidden_size": 16},
            "scorer": {"@layers": "spacy.LinearLogistic.v1"},
        },
    }
    settings = {"parser": {"min_action_freq": 1}}.get(factory, {})
    return {"model": {**models[factory], "tok2vec": listener}, **settings}


def same(a: Any, b: Any, *, tolerance: float = 1e-5) -> bool:
    """Whether two snapshots agree, numbers within a tolerance."""
    if isinstance(a, float) and isinstance(b, (int, float)):
        return abs(a - b) <= tolerance
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k], tolerance=tolerance) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(
            same(x, y, tolerance=tolerance) for x, y in zip(a, b, strict=True)
        )
    return a == b


class Recorder:
    """Stands for an optimizer: notes the gradients and leaves the weights alone."""

    def __init__(self) -> None:
        self.gradients: dict[Any, Any] = {}
        self.calls: dict[Any, int] = {}

    def __call__(self, key, weights, gradient, **options):
        self.gradients[key] = gradient.copy()
        self.calls[key] = self.calls.get(key, 0) + 1
        return weights, gradient * 0
