"""A sentence to compare a document with."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from spacy.tokens import Doc

from ..errors import Errors
from .store import checked_score, load, store

PAIR = "spacy_llm_tasks.pair"


class Pair(NamedTuple):
    """A sentence to compare the whole Doc with.

    text (str): The other sentence.
    score (float): Similarity between 0 and 1.
    negatives (tuple[str, ...]): Sentences that look similar and are not; graded, their
        score is 0.
    """

    text: str
    score: float
    negatives: tuple[str, ...] = ()


def set_pair(doc: Doc, pair: Pair | Sequence[Any] | None) -> None:
    """Store the sentence that the Doc is compared with; None removes it.

    doc (Doc): The Doc.
    pair (Pair): (text, score) or (text, score, negatives), with a score between 0 and 1.
    RAISES (ValueError): If the score is none, or the negatives are a single string.
    """
    if pair is None:
        doc.user_data.pop(PAIR, None)
        return
    text, score, negatives = Pair(*pair)
    if isinstance(negatives, str):
        raise ValueError(
            Errors.E304.format(
                what="A pair",
                expected="Pair(text, score, negatives) with a list of negatives",
                found=pair,
                function="set_pair",
            )
        )
    row: list[Any] = [str(text), checked_score(score, text)]
    store(doc, PAIR, [*row, [str(other) for other in negatives]] if negatives else row)


def get_pair(doc: Doc) -> Pair | None:
    """The sentence that the Doc is compared with, or None when there is none."""
    stored = load(doc, PAIR, None)
    if stored is None:
        return None
    text, score, *negatives = stored
    return Pair(text, float(score), tuple(*negatives))
