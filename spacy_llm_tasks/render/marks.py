"""What a picture shows of a Doc: marked spans, and arrows between them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from spacy.tokens import Doc, Span

from ..annotations import get_confidence, get_relations


class Mark(NamedTuple):
    """A span with its label.

    start, end (int): Its tokens, end exclusive.
    label (str): Its label.
    text (str): Its text.
    score (float): How sure the pipeline was, or None.
    depth (int): The row below the words in which it is marked, so that spans may overlap.
    """

    start: int
    end: int
    label: str
    text: str
    score: float | None
    depth: int


class Arrow(NamedTuple):
    """A relation between two marks, by number."""

    head: int
    tail: int
    label: str
    score: float


@dataclass(frozen=True)
class Picture:
    """What is drawn of one Doc.

    words (List[str]): Its tokens.
    spaces (List[bool]): Whether a space follows each of them.
    marks (List[Mark]): By where they start.
    arrows (List[Arrow]): The relations.
    language (str): Code of its language.
    """

    words: list[str]
    spaces: list[bool]
    marks: list[Mark]
    arrows: list[Arrow]
    language: str


def picture_of(doc: Doc, *, spans_key: str = "") -> Picture:
    """Collect what is drawn: `doc.ents`, `doc.spans[spans_key]`, and `doc._.relations` with the
    spans that they are between.

    doc (Doc): The Doc.
    spans_key (str): A group of spans to draw too.
    RETURNS (Picture): All of it.
    RAISES (ValueError): If the relations do not fit the Doc.
    """
    found = get_relations(doc)
    spans: dict[tuple[int, int, str], Span] = {}
    groups: list[Iterable[Span]] = [doc.ents, (s for row in found for s in row[:2])]
    if spans_key in doc.spans:
        groups.insert(1, doc.spans[spans_key])
    for group in groups:
        for span in group:
            spans.setdefault(_key(span), span)
    order = sorted(spans, key=lambda key: (key[0], -key[1], key[2]))
    number = {key: i for i, key in enumerate(order)}
    return Picture(
        words=[token.text for token in doc],
        spaces=[bool(token.whitespace_) for token in doc],
        marks=_with_depths([spans[key] for key in order]),
        arrows=[
            Arrow(number[_key(head)], number[_key(tail)], label, score)
            for head, tail, label, score in found
        ],
        language=doc.lang_,
    )


def _key(span: Span) -> tuple[int, int, str]:
    return span.start, span.end, span.label_


def _with_depths(spans: list[Span]) -> list[Mark]:
    marks: list[Mark] = []
    ends: list[int] = []  # for each row, where its last mark ends
    for span in spans:
        depth = next((i for i, end in enumerate(ends) if end <= span.start), len(ends))
        ends[depth : depth + 1] = [span.end]
        score = get_confidence(span)
        marks.append(Mark(span.start, span.end, span.label_, span.text, score, depth))
    return marks


def colours(
    pictures: Iterable[Picture], given: Mapping[str, str] | None = None
) -> tuple[dict[str, str], dict[str, str]]:
    """A colour for each label, the same in all pictures.

    pictures (Iterable[Picture]): All that are drawn together.
    given (Mapping[str, str]): Colours of some labels.
    RETURNS (tuple): By label, those of the marks and those of the arrows.
    """
    pictures = list(pictures)
    given = given or {}
    of_marks = sorted({mark.label for picture in pictures for mark in picture.marks})
    of_arrows = sorted({arrow.label for picture in pictures for arrow in picture.arrows})
    return (
        {label: given.get(label) or _colour(i) for i, label in enumerate(of_marks)},
        {label: given.get(label) or _colour(i + 0.5) for i, label in enumerate(of_arrows)},
    )


def _colour(place: float) -> str:
    """Hues a golden angle apart stay different however many there are."""
    from colorsys import hls_to_rgb

    red, green, blue = hls_to_rgb((place * 0.381966 + 0.58) % 1.0, 0.42, 0.55)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"
