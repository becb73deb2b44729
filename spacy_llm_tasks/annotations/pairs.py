"""A sentence to compare a document with."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from spacy.tokens import Doc

from .store import checked_score, load, store

PAIR = "spacy_llm_tasks.pair"


class Pair(NamedTuple):
    """A sentence to compare the whole Doc with.

    text (str): The other sentence.
    score (float): Similarity between 0 and 1.
    """

    text: str
    score: float


def set_pair(doc: Doc, pair: Pair | Sequence[Any] | None) -> None:
    """Store the sentence that the Doc is compared with; None removes it.

    doc (Doc): The Doc.
    pair (Pair): (text, score) with a score between 0 and 1.
    """
    if pair is None:
        doc.user_data.pop(PAIR, None)
        return
    text, score = pair
    store(doc, PAIR, [str(text), checked_score(score, text)])


def get_pair(doc: Doc) -> Pair | None:
    """The sentence that the Doc is compared with, or None when there is none."""
    stored = load(doc, PAIR, None)
    return None if stored is None else Pair(stored[0], float(stored[1]))
