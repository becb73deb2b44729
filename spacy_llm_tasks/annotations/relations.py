"""Directed relations between spans."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from spacy.tokens import Doc, Span

from ..errors import Errors
from .store import checked_score, load, store

RELATIONS = "spacy_llm_tasks.relations"


class Relation(NamedTuple):
    """A directed relation between two spans of one Doc.

    head (Span): Where the relation starts, with its entity label.
    tail (Span): Where it points.
    label (str): The relation, such as "WORKS_FOR".
    score (float): Confidence between 0 and 1; 1.0 for gold.
    """

    head: Span
    tail: Span
    label: str
    score: float = 1.0


def set_relations(doc: Doc, relations: Iterable[Relation | Sequence[Any]]) -> None:
    """Store the relations of a Doc, replacing those it had.

    doc (Doc): The Doc.
    relations (Iterable[Relation]): `Relation`s, or (head, tail, label[, score]) sequences.
    RAISES (ValueError): If a span is of another Doc or a score is not between 0 and 1.
    """
    rows: list[list[Any]] = []
    for item in relations:
        head, tail, label, score = _relation_parts(item)
        for name, span in (("head", head), ("tail", tail)):
            if span.doc is not doc:
                raise ValueError(Errors.E302.format(what=name))
        rows.append([*_place(head), *_place(tail), label, checked_score(score, label)])
    store(doc, RELATIONS, rows)


def get_relations(doc: Doc) -> list[Relation]:
    """The relations of a Doc, in the order they were set.

    doc (Doc): The Doc.
    RETURNS (list[Relation]): Empty also when nothing was annotated: see `has_relations`.
    RAISES (ValueError): If the stored offsets do not fit this Doc's text or tokens.
    """
    return [
        Relation(
            _span_at(doc, head_start, head_end, head_label),
            _span_at(doc, tail_start, tail_end, tail_label),
            label,
            float(score),
        )
        for (
            head_start,
            head_end,
            head_label,
            tail_start,
            tail_end,
            tail_label,
            label,
            score,
        ) in load(doc, RELATIONS, ())
    ]


def has_relations(doc: Doc) -> bool:
    """Whether relations were annotated or predicted on this Doc, be it none."""
    return RELATIONS in doc.user_data


def clear_relations(doc: Doc) -> None:
    """Make the Doc un-annotated for relations again."""
    doc.user_data.pop(RELATIONS, None)


def _place(span: Span) -> list[Any]:
    return [span.start_char, span.end_char, span.label_]


def _span_at(doc: Doc, start: int, end: int, label: str) -> Span:
    span = doc.char_span(start, end, label=label)
    if span is None:
        text = doc.text[start:end]
        raise ValueError(Errors.E301.format(text=text, start=start, end=end))
    return span


def _relation_parts(item: Relation | Sequence[Any]) -> tuple[Span, Span, str, Any]:
    parts = tuple(item) if isinstance(item, Sequence) and not isinstance(item, str) else ()
    if len(parts) == 3:
        parts = (*parts, 1.0)
    if len(parts) != 4 or not isinstance(parts[0], Span) or not isinstance(parts[1], Span):
        raise ValueError(
            Errors.E304.format(
                what="A relation",
                expected="Relation(head, tail, label, score)",
                found=item,
                function="set_relations",
            )
        )
    head, tail, label, score = parts
    return head, tail, str(label), score
