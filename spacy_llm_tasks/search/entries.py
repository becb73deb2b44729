"""What an index holds: a text with its place and its annotations, cut out of a `Doc`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from spacy.tokens import Doc, Span

from ..errors import Errors

UNITS = ("doc", "sent", "ent")


@dataclass(frozen=True)
class Entry:
    """One text that can be found.

    id (str): Its name, unique within the index: adding an entry replaces the one of the same id.
    text (str): The text, which the keyword half of a search reads.
    start_char, end_char (int): Where it stands in its document, end exclusive.
    doc_id (str): Name of the document that it was cut from.
    ents (tuple[tuple[str, str], ...]): (label, text) of each entity in it.
    cats (Mapping[str, float]): Categories with their scores.
    meta (Mapping[str, Any]): Whatever else shall be kept; anything that JSON can express.
    """

    id: str
    text: str
    start_char: int = 0
    end_char: int = 0
    doc_id: str = ""
    ents: tuple[tuple[str, str], ...] = ()
    cats: Mapping[str, float] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)


class Hit(NamedTuple):
    """An entry that was found.

    entry (Entry): The entry.
    score (float): What the hits are sorted by: the cosine, or the BM25 score of a search by
        keywords alone, or the sum of reciprocal ranks of a hybrid search.
    cosine (float): Cosine of its vector and the query's; None if vectors did not find it.
    bm25 (float): BM25 score, more is better; None if keywords did not find it.
    """

    entry: Entry
    score: float
    cosine: float | None = None
    bm25: float | None = None


def spans_of(doc: Doc, unit: str) -> list[Span]:
    """The parts of a Doc that become entries, in the order of the text.

    doc (Doc): The Doc.
    unit (str): "doc", "sent" (sentences that are not blank) or "ent" (entities).
    RETURNS (list[Span]): One span for the whole Doc, be it empty; any number of the others.
    RAISES (ValueError): If the unit is unknown or the Doc has no sentence boundaries.
    """
    check_unit(unit)
    if unit == "doc":
        return [doc[:]]
    if unit == "ent":
        return list(doc.ents)
    if not doc.has_annotation("SENT_START"):
        raise ValueError(Errors.E611.format(text=doc.text[:40]))
    return [sent for sent in doc.sents if sent.text.strip()] if len(doc) else []


def entries_of(
    doc: Doc, unit: str, *, doc_id: str, meta: Mapping[str, Any] | None = None
) -> list[Entry]:
    """Make the entries of a Doc, one for each of `spans_of(doc, unit)`.

    Each has the entities inside it and the categories of the whole Doc. A sentence or an entity
    is named after its place, such as "report-7:120-164", an entity also after its label.

    doc (Doc): The Doc.
    unit (str): "doc", "sent" or "ent".
    doc_id (str): Name of the document.
    meta (Mapping[str, Any]): Kept with every entry.
    RETURNS (list[Entry]): The entries, in the order of the text.
    RAISES (ValueError): If the unit is unknown or the Doc has no sentence boundaries.
    """
    cats = {label: float(score) for label, score in doc.cats.items()}
    entries = []
    for span in spans_of(doc, unit):
        start, end = (span.start_char, span.end_char) if len(span) else (0, 0)
        name = doc_id if unit == "doc" else f"{doc_id}:{start}-{end}"
        entries.append(
            Entry(
                id=f"{name}:{span.label_}" if unit == "ent" else name,
                text=doc.text if unit == "doc" else span.text,
                start_char=start,
                end_char=len(doc.text) if unit == "doc" else end,
                doc_id=doc_id,
                ents=tuple((ent.label_, ent.text) for ent in (span.ents if len(span) else ())),
                cats=dict(cats),
                meta=dict(meta or {}),
            )
        )
    return entries


def check_unit(unit: str) -> None:
    """RAISES (ValueError): If this is no unit of an index."""
    if unit not in UNITS:
        raise ValueError(Errors.E601.format(what="unit", found=unit, expected=", ".join(UNITS)))
