"""How sure a model is of a span."""

from collections.abc import Sequence

from spacy.tokens import Doc, Span

from ..errors import Errors
from .store import checked_score, load, store

CONFIDENCE = "spacy_llm_tasks.confidence"


def set_confidences(
    doc: Doc, spans: Sequence[Span], scores: Sequence[float], *, keep: bool = False
) -> None:
    """Store how sure the model is of each span; read back as `span._.confidence`.

    doc (Doc): The Doc.
    spans (Sequence[Span]): Labelled spans of the Doc.
    scores (Sequence[float]): One confidence between 0 and 1 per span.
    keep (bool): Keep what other components stored for other spans.
    """
    if len(spans) != len(scores):
        raise ValueError(Errors.E305.format(n_spans=len(spans), n_scores=len(scores)))
    table = dict(load(doc, CONFIDENCE, {})) if keep else {}
    for span, score in zip(spans, scores, strict=True):
        table[_confidence_key(span)] = checked_score(score, span)
    store(doc, CONFIDENCE, table)


def get_confidence(span: Span) -> float | None:
    """The stored confidence of exactly this span (boundaries and label), or None."""
    return load(span.doc, CONFIDENCE, {}).get(_confidence_key(span))


def _confidence_key(span: Span) -> str:
    return f"{span.start_char}:{span.end_char}:{span.label_}"
