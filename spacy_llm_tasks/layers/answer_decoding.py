"""From start and end scores to answers: the best spans over all windows of a text. Numpy only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..tokenization.pieces import bounds_of
from ..tokenization.sequences import Sequences

SECOND = 1  # the part of a pair that holds the answer
# Whether a character is white space; the last entry stands for all characters behind U+3000.
_IS_SPACE = np.array([chr(code).isspace() for code in range(0x3001)] + [False])


@dataclass(frozen=True)
class Spans:
    """The best spans of one question, best first; no two of them are equal.

    first, last (int64 arrays): Characters in the text, end exclusive, without white space at either
        end. *Shape: (K,)*
    score (float64 array): Start plus end score. *Shape: (K,)*
    null (float): The score of "no answer".
    total (float): Log of the sum of exponentials of the scores of all there is to choose from:
        `exp(score - total)` is a probability.
    """

    first: np.ndarray
    last: np.ndarray
    score: np.ndarray
    null: float
    total: float


def best_spans(
    sequences: Sequences,
    scores: np.ndarray,
    texts: Sequence[str],
    *,
    max_pieces: int,
    n_best: int,
) -> list[Spans]:
    """Decode starts and ends together, over all windows of each pair.

    sequences (Sequences): The layout of N pairs of a question and a text.
    scores (ndarray): (R, 2) start and end scores.
    texts (Sequence[str]): The N texts.
    max_pieces (int): Most pieces of an answer.
    n_best (int): How many spans to give, if there are so many.
    RETURNS (List[Spans]): One for each pair. "No answer" scores as low as in the window that is
        least ready to say so, since one window with an answer is enough.
    """
    n_rows, bounds = len(sequences.part), sequences.bounds
    owner = np.repeat(sequences.item, sequences.lengths)
    stop = np.repeat(bounds[1:], sequences.lengths)  # of the window of each row
    is_text = sequences.part == SECOND
    first, last = _without_space(sequences, owner, texts)
    best = np.full(n_rows, -np.inf)  # of all spans that start at a row
    at = np.arange(n_rows)
    for size in range(min(max_pieces, int(sequences.lengths.max(initial=0)))):
        a, z = slice(n_rows - size), slice(size, n_rows)
        is_span = is_text[a] & is_text[z] & (at[z] < stop[a]) & (first[a] < last[z])
        score = np.where(is_span, scores[a, 0] + scores[z, 1], -np.inf)
        np.maximum(best[a], score, out=best[a])

    def spans_of(rows: np.ndarray) -> list[tuple[tuple[int, int], float]]:
        """The best spans, from their starts in falling order of the best that each can give."""
        found: dict[tuple[int, int], float] = {}
        for row in rows.tolist():
            if len(found) >= n_best and best[row] <= sorted(found.values())[-n_best]:
                break
            ends = np.arange(row, min(row + max_pieces, int(stop[row])))
            ends = ends[is_text[ends] & (first[row] < last[ends])]
            values = scores[row, 0] + scores[ends, 1]
            for end, value in zip(last[ends].tolist(), values.tolist(), strict=True):
                place = int(first[row]), end
                found[place] = max(value, found.get(place, -np.inf))
        return sorted(found.items(), key=lambda item: -item[1])[:n_best]

    order = np.lexsort((-best, owner))
    order = order[best[order] > -np.inf]
    cuts = np.searchsorted(owner[order], np.arange(len(texts) + 1))
    null_rows = _null_rows(sequences, scores, len(texts))
    totals = _totals(scores, np.where(is_text, owner, -1), null_rows)
    spans = []
    for i, (begin, end) in enumerate(zip(cuts[:-1], cuts[1:], strict=True)):
        chosen = spans_of(order[begin:end])
        places = np.array([place for place, _ in chosen], dtype=np.int64).reshape(-1, 2)
        values = np.array([value for _, value in chosen], dtype=np.float64)
        null = float(scores[null_rows[i]].sum())
        spans.append(Spans(places[:, 0], places[:, 1], values, null, float(totals[i])))
    return spans


def gold_rows(
    sequences: Sequences, answers: Sequence[Sequence[tuple[int, int]]]
) -> tuple[np.ndarray, np.ndarray]:
    """Find the rows at which accepted answers begin and end.

    sequences (Sequences): The layout of N pairs.
    answers (Sequence): For each pair, the characters of its answers.
    RETURNS (tuple): (R, 2) bool, right starts and ends. In a window that holds no answer whole, the
        first row, unless the pair has answers and none of its windows holds one: such windows have
        no right row and teach nothing. And (R,) bool, all rows that may be chosen.
    """
    bounds = sequences.bounds
    gold = np.zeros((len(sequences.part), 2), dtype=bool)
    open_rows = sequences.part == SECOND
    opens, closes = _covered(sequences, len(answers))
    found = np.array([not golds for golds in answers], dtype=bool)
    for k, item in enumerate(sequences.item.tolist()):
        rows = bounds[k] + np.flatnonzero(open_rows[bounds[k] : bounds[k + 1]])
        starts, ends = sequences.starts[rows], sequences.ends[rows]
        for first, last in answers[item] if len(rows) else ():
            # What has no piece at either end of the text (white space, say) is in no window.
            inside = starts[0] <= max(first, opens[item]) and min(last, closes[item]) <= ends[-1]
            a = int(np.searchsorted(ends, first, side="right"))
            z = int(np.searchsorted(starts, last, side="left")) - 1
            if inside and a <= z:
                gold[rows[a], 0] = gold[rows[z], 1] = found[item] = True
    nulls = bounds[:-1]
    open_rows[nulls] = True
    has_answer = np.array([gold[a:z].any() for a, z in zip(nulls, bounds[1:], strict=True)], bool)
    gold[nulls[~has_answer & found[sequences.item]]] = True
    return gold, open_rows


def _without_space(
    sequences: Sequences, owner: np.ndarray, texts: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Where a span from a row begins, and where one to it ends, once the white space is cut off
    that some tokenizers put into their pieces; for rows that are no text, anything."""
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4")
    n, places = len(codes), np.arange(len(codes))
    ink = ~_IS_SPACE[np.minimum(codes, len(_IS_SPACE) - 1)]
    following = np.full(n + 1, n)  # the next place that is no white space
    following[:n] = np.minimum.accumulate(np.where(ink, places, n)[::-1])[::-1]
    before = np.zeros(n + 1, dtype=np.int64)  # behind the last such place
    before[1:] = np.maximum.accumulate(np.where(ink, places + 1, 0))
    is_text = sequences.part == SECOND
    offset = np.where(is_text, bounds_of([len(text) for text in texts])[owner], 0)
    starts, ends = (np.where(is_text, x, 0) + offset for x in (sequences.starts, sequences.ends))
    return following[starts] - offset, before[ends] - offset


def _null_rows(sequences: Sequences, scores: np.ndarray, n_items: int) -> np.ndarray:
    """(N,) the first row of the window of each pair that is least ready to say "no answer"."""
    opening = sequences.bounds[:-1]
    order = np.lexsort((scores[opening].sum(axis=1), sequences.item))
    return opening[order[np.searchsorted(sequences.item[order], np.arange(n_items))]]


def _totals(scores: np.ndarray, owner: np.ndarray, null_rows: np.ndarray) -> np.ndarray:
    """(N,) log of the sum over starts times the sum over ends, "no answer" among both.

    owner: the pair of each row, -1 for rows that are no text.
    """
    n_items, rows = len(null_rows), np.flatnonzero(owner >= 0)
    rows = np.concatenate([rows, null_rows])
    item = np.concatenate([owner[rows[: len(rows) - n_items]], np.arange(n_items)])
    top = np.full((n_items, 2), -np.inf)
    np.maximum.at(top, item, scores[rows])
    exponents = np.exp(scores[rows] - top[item])
    sums = [np.bincount(item, weights=column, minlength=n_items) for column in exponents.T]
    return top.sum(axis=1) + np.log(sums).sum(axis=0)


def _covered(sequences: Sequences, n_items: int) -> tuple[np.ndarray, np.ndarray]:
    """(N,) the first and the last character of each text that a piece stands for."""
    rows = np.flatnonzero(sequences.part == SECOND)
    owner = np.repeat(sequences.item, sequences.lengths)[rows]
    opens = np.full(n_items, np.iinfo(np.int64).max)
    closes = np.zeros(n_items, dtype=np.int64)
    np.minimum.at(opens, owner, sequences.starts[rows])
    np.maximum.at(closes, owner, sequences.ends[rows])
    return opens, closes
