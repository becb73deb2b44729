"""Gold annotation on the tokens of the predicted doc."""

from collections.abc import Iterable

import numpy as np
from spacy.attrs import ENT_IOB, ORTH
from spacy.tokens import Span
from spacy.training import Example

GoldSpan = tuple[int, int, str]  # first token, token after the last, label


def same_tokens(example: Example) -> bool:
    """RETURNS (bool): Whether predicted and reference have the same tokens."""
    x, y = example.predicted, example.reference
    return len(x) == len(y) and bool((x.to_array(ORTH) == y.to_array(ORTH)).all())


def align_spans(example: Example, spans: Iterable[Span]) -> list[GoldSpan]:
    """Move reference spans to the predicted doc's tokens.

    example (Example): The example.
    spans (Iterable[Span]): Spans of its reference.
    RETURNS (List[GoldSpan]): The spans that begin and end at predicted tokens.
    """
    if not same_tokens(example):
        spans = example.get_aligned_spans_y2x(list(spans), allow_overlap=True)
    return [(span.start, span.end, span.label_) for span in spans]


def annotated_tokens(example: Example) -> np.ndarray:
    """RETURNS (ndarray): (N,) bool, which predicted tokens have gold entity annotation that counts.
    Tokens that cross the border of an entity have none: neither yes nor no would be right."""
    annotated = example.reference.to_array(ENT_IOB) != 0
    if same_tokens(example):
        return annotated
    lengths = example.alignment.x2y.lengths
    token = np.repeat(np.arange(len(lengths)), lengths)
    result = np.zeros(len(lengths), dtype=bool)
    np.logical_or.at(result, token, annotated[example.alignment.x2y.data])
    result[crossing_tokens(example, example.reference.ents)] = False
    return result


def crossing_tokens(example: Example, spans: Iterable[Span]) -> np.ndarray:
    """Predicted tokens of reference spans that do not begin and end at predicted tokens.

    example (Example): The example, whose docs have different tokens.
    spans (Iterable[Span]): Spans of its reference.
    RETURNS (ndarray): (K,) indices of predicted tokens.
    """
    y2x = example.alignment.y2x
    lost = [
        y2x[span.start : span.end]
        for span in spans
        if not example.get_aligned_spans_y2x([span], allow_overlap=True)
    ]
    return np.concatenate(lost) if lost else np.zeros(0, dtype=np.int64)
