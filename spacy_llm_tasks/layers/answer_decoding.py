"""From start and end scores to answers: the best spans over all windows of a text. Numpy only."""

from dataclasses import dataclass

import numpy as np

from ..tokenization.sequences import Sequences

SECOND = 1  # the part of a pair that holds the answer


@dataclass(frozen=True)
class Spans:
    """The best spans of one question, best first.

    first, last (int64 arrays): Characters in the text, end exclusive. *Shape: (K,)*
    score (float64 array): Start plus end score. *Shape: (K,)*
    null (float): The score of "no answer".
    total (float): Log of the sum of exponentials of the scores of all there is to choose from.
    """

    first: np.ndarray
    last: np.ndarray
    score: np.ndarray
    null: float
    total: float


def best_spans(
    sequences: Sequences, scores: np.ndarray, *, n_items: int, max_pieces: int, n_best: int
) -> list[Spans]:
    """Decode starts and ends together, over all windows of each pair.

    sequences (Sequences): The layout of N pairs of a question and a text.
    scores (ndarray): (R, 2) start and end scores.
    n_items (int): N.
    max_pieces (int): Most pieces of an answer.
    n_best (int): How many spans to give, if there are so many.
    RETURNS (List[Spans]): One for each pair. "No answer" scores as low as in the window that is
        least ready to say so, since one window with an answer is enough.
    """
    bounds = sequences.bounds
    owner = np.repeat(sequences.item, sequences.lengths)
    text = sequences.part == SECOND
    window = np.repeat(np.arange(len(sequences.lengths)), sequences.lengths)
    best = np.full(len(text), -np.inf)
    at = np.arange(len(text))
    for size in range(min(max_pieces, len(text))):
        stop = len(text) - size
        whole = text[:stop] & text[size:] & (window[:stop] == window[size:])
        score = np.where(whole, scores[:stop, 0] + scores[size:, 1], -np.inf)
        better = np.flatnonzero(score > best[:stop])
        best[better] = score[better]
        at[better] = better + size
    nulls = scores[bounds[:-1]].sum(axis=1)
    order = np.lexsort((-best, owner))
    order = order[np.isfinite(best[order])]
    starts = np.searchsorted(owner[order], np.arange(n_items + 1))
    found = []
    for i in range(n_items):
        rows = order[starts[i] : starts[i + 1]][: n_best * 4]
        spans: dict[tuple[int, int], float] = {}
        for row in rows.tolist():
            place = int(sequences.starts[row]), int(sequences.ends[at[row]])
            if place[0] < place[1]:
                spans.setdefault(place, float(best[row]))
        chosen = list(spans.items())[:n_best]
        mine = sequences.item == i
        null = float(nulls[mine].min()) if mine.any() else 0.0
        found.append(
            Spans(
                np.array([place[0] for place, _ in chosen], dtype=np.int64),
                np.array([place[1] for place, _ in chosen], dtype=np.int64),
                np.array([score for _, score in chosen]),
                null,
                _total(scores[(owner == i) & text], null),
            )
        )
    return found


def gold_rows(
    sequences: Sequences, answers: list[list[tuple[int, int]]]
) -> tuple[np.ndarray, np.ndarray]:
    """Find the rows at which accepted answers begin and end.

    sequences (Sequences): The layout of N pairs.
    answers (List[List[Tuple[int, int]]]): For each pair, the characters of its answers.
    RETURNS (tuple): (R, 2) bool, right starts and ends: in a window that holds no answer whole, its
        first row. And (R,) bool, all rows that may be chosen.
    """
    bounds = sequences.bounds
    gold = np.zeros((len(sequences.part), 2), dtype=bool)
    open_rows = sequences.part == SECOND
    open_rows[bounds[:-1]] = True
    for k, item in enumerate(sequences.item.tolist()):
        rows = np.arange(bounds[k], bounds[k + 1])
        rows = rows[sequences.part[rows] == SECOND]
        starts, ends = sequences.starts[rows], sequences.ends[rows]
        for first, last in answers[item]:
            a = int(np.searchsorted(ends, first, side="right"))
            z = int(np.searchsorted(starts, last, side="left")) - 1
            inside = len(rows) and starts[0] <= first and last <= ends[-1]
            if inside and 0 <= a <= z < len(rows):
                gold[rows[a], 0] = gold[rows[z], 1] = True
        if not gold[bounds[k] : bounds[k + 1]].any():
            gold[bounds[k]] = True
    return gold, open_rows


def _total(scores: np.ndarray, null: float) -> float:
    """Log of the sum over starts times the sum over ends, "no answer" among both."""
    halves = np.concatenate([scores, np.full((1, 2), null / 2)])
    top = halves.max(axis=0)
    return float((top + np.log(np.exp(halves - top).sum(axis=0))).sum())
