"""Entity scores: exact boundaries and label, micro-averaged."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from spacy.scorer import Scorer, get_ner_prf
from spacy.tokens import Doc, Span
from spacy.training import Example


def make_ner_scorer(spans_key: str = "") -> Callable[..., dict[str, Any]]:
    """`spacy_llm_tasks.ner_scorer.v1`.

    spans_key (str): Score `doc.spans[spans_key]`, which may overlap, instead of `doc.ents`.
    RETURNS (Callable): A scorer for components.
    """
    return partial(score_ner, spans_key=spans_key)


def score_ner(
    examples: Iterable[Example], *, spans_key: str = "", **_settings: Any
) -> dict[str, Any]:
    """Precision, recall and F1 of entities, as the CoNLL evaluation counts them.

    examples (Iterable[Example]): Predicted and reference Docs; their tokens may differ.
    spans_key (str): Score `doc.spans[spans_key]` instead of `doc.ents`.
    RETURNS (dict): `ents_p`, `ents_r`, `ents_f` and `ents_per_type`; with a spans key the same
        under `spans_KEY_`. None where no reference was annotated: a reference without entities
        counts as annotated after `doc.set_ents([], default="outside")`, and an (even empty) group
        `doc.spans[spans_key]` counts as annotated. Predictions that touch a token with missing
        annotation are neither right nor wrong.
    """
    if not spans_key:
        return get_ner_prf(examples)
    attr = f"spans_{spans_key}"
    return Scorer.score_spans(
        examples,
        attr,
        getter=partial(_spans_of, spans_key=spans_key),
        has_annotation=partial(_has_spans, spans_key=spans_key),
        labeled=True,
        allow_overlap=True,
    )


def _spans_of(doc: Doc, _attr: str, *, spans_key: str) -> Iterable[Span]:
    return doc.spans[spans_key] if spans_key in doc.spans else ()


def _has_spans(doc: Doc, *, spans_key: str) -> bool:
    return spans_key in doc.spans
