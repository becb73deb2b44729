"""Texts with a marker around each entity, for a second pass that sees what the entities are.

    @ * person * Nora Quill @ founded # * org * Quill Boats # .

Markers are plain signs and the type's own words, so that a pretrained encoder has seen them all
before (typed entity markers with punctuation: Zhou & Chen 2022, https://arxiv.org/abs/2102.01373).
Entities that follow each other have different signs, which tell them apart. All entities of a
document are marked at once: one pass for the document, whatever the pairs.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from spacy.tokens import Doc

from ..layers.candidates import Candidates, MarkedPlaces

BORDERS = "@#$%"  # in turn, by the order of the entities


def mark_entities(
    docs: Sequence[Doc], pairs: Candidates, kinds: Sequence[str]
) -> tuple[list[str], Candidates]:
    """Write the texts of docs with their spans marked.

    docs (Sequence[Doc]): B docs.
    pairs (Candidates): Their spans and pairs.
    kinds (Sequence[str]): The types that the spans' numbers stand for, from 1. Where there is only
        one, it says nothing and is left out.
    RETURNS (tuple): One text for each doc that has pairs, and the pairs with the places of their
        spans in those texts. Of spans that cross each other, each is marked where it stands.
    """
    busy = np.unique(pairs.doc[pairs.head]) if len(pairs) else np.zeros(0, dtype=np.int64)
    text_of = np.full(len(docs), -1, dtype=np.int64)
    text_of[busy] = np.arange(len(busy))
    first, last = np.zeros(len(pairs.doc), np.int64), np.zeros(len(pairs.doc), np.int64)
    bounds = np.searchsorted(pairs.doc, np.arange(len(docs) + 1))
    texts = []
    for i in busy.tolist():
        spans = range(int(bounds[i]), int(bounds[i + 1]))
        texts.append(_mark(docs[i], spans, pairs, kinds, first, last))
    return texts, replace(pairs, place=MarkedPlaces(text_of, first, last))


def _mark(
    doc: Doc,
    spans: Sequence[int],
    pairs: Candidates,
    kinds: Sequence[str],
    first: np.ndarray,
    last: np.ndarray,
) -> str:
    """The marked text of one doc; the places of its spans go to `first` and `last`."""
    # At one place, what ends comes before what begins, and the longer span begins first and ends
    # last.
    events = []
    for number, e in enumerate(spans):
        border = BORDERS[number % len(BORDERS)]
        a, z = doc[pairs.first[e]].idx, _end(doc, pairs.last[e] - 1)
        kind = int(pairs.kind[e])
        word = _word(kinds[kind - 1]) if kind and len(kinds) > 1 else ""
        opening = f"{border} * {word} * " if word else f"{border} "
        events.append((a, 1, -z, e, opening))
        events.append((z, 0, -a, -e, f" {border}"))
    text = doc.text
    parts: list[str] = []
    length, done = 0, 0
    for at, opens, _, rank, sign in sorted(events):
        e = abs(rank)
        parts += [text[done:at], sign]
        length += at - done
        done = at
        if opens:
            first[e] = length
        length += len(sign)
        if not opens:
            last[e] = length
    return "".join([*parts, text[done:]])


def _word(kind: str) -> str:
    """A type in plain words: WORK_OF_ART as "work of art", whatever spaces stand in it."""
    return " ".join(kind.lower().replace("_", " ").split())


def _end(doc: Doc, token: int) -> int:
    return doc[int(token)].idx + len(doc[int(token)])
