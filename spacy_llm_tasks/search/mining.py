"""All pairs of a collection that are close to each other: paraphrases, and groups of near-copies.

Every vector is compared with every other, in blocks: the time grows with the square of their
number, the memory does not.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import Errors
from .nearest import Rows
from .quantize import Floats2d
from .vectors import checked

_ROWS = 1024
_COLUMNS = 8192
# Two equal vectors need not have a cosine of exactly 1 in float32.
_TOLERANCE = 1e-6


class Pair(NamedTuple):
    """Two rows, `first` below `second`, and their cosine."""

    first: int
    second: int
    score: float


def paraphrases(
    vectors: NDArray, *, threshold: float = 0.8, top_k: int = 10, most: int = 100_000
) -> list[Pair]:
    """The closest pairs of a collection.

    vectors (ndarray): (N, W) numbers of any length, may be mapped from disk.
    threshold (float): The least cosine.
    top_k (int): How many partners each vector offers, its closest: a pair is kept if one of the
        two offers it.
    most (int): How many pairs to return at most.
    RETURNS (list[Pair]): The closest first; of equally close ones the lower rows first.
    RAISES (ValueError): If a vector or an option cannot be used.
    """
    _check(threshold)
    for name, value in (("top_k", top_k), ("most", most)):
        if value < 1:
            raise ValueError(Errors.E612.format(name=name, expected="1 or more", found=value))
    units = _Units(vectors)
    n = len(units)
    kept = np.empty(0, dtype=np.int64)  # first * n + second
    kept_scores = np.empty(0, dtype=np.float32)
    for start in range(0, n, _ROWS):
        rows = units.rows(start, start + _ROWS)
        best_scores = np.full((len(rows), top_k), -np.inf, dtype=np.float32)
        best_columns = np.full((len(rows), top_k), -1, dtype=np.int64)
        for first_column, found in units.blocks(rows, start):
            needed = np.maximum(best_scores.min(axis=1), np.float32(threshold - _TOLERANCE))
            for row in np.flatnonzero(found.max(axis=1) >= needed):
                columns = np.flatnonzero(found[row] >= needed[row])
                all_scores = np.append(best_scores[row], found[row, columns])
                all_columns = np.append(best_columns[row], columns + first_column)
                # Stable: of equally close partners those in lower rows stay.
                top = np.argsort(-all_scores, kind="stable")[:top_k]
                best_scores[row], best_columns[row] = all_scores[top], all_columns[top]
        own, place = np.nonzero(best_scores >= threshold - _TOLERANCE)
        one, other = own + start, best_columns[own, place]
        pairs = np.minimum(one, other) * n + np.maximum(one, other)
        kept, unique = np.unique(np.concatenate((kept, pairs)), return_index=True)
        kept_scores = np.concatenate((kept_scores, best_scores[own, place]))[unique]
        if len(kept) > most:
            order = np.sort(np.lexsort((kept, -kept_scores))[:most])
            kept, kept_scores = kept[order], kept_scores[order]
    order = np.lexsort((kept, -kept_scores))
    return [
        Pair(int(pair // n), int(pair % n), min(float(score), 1.0))
        for pair, score in zip(kept[order], kept_scores[order], strict=True)
    ]


def near_duplicates(vectors: NDArray, *, threshold: float = 0.95) -> list[list[int]]:
    """Groups of vectors that are joined by pairs above a threshold (connected components).

    Two members of a group need not be that close themselves: a chain of near-copies is one group.

    vectors (ndarray): (N, W) numbers of any length, may be mapped from disk.
    threshold (float): The least cosine of a pair.
    RETURNS (list[list[int]]): Rows of each group of two or more, ascending, the largest group
        first.
    RAISES (ValueError): If a vector or the threshold cannot be used.
    """
    _check(threshold)
    units = _Units(vectors)
    parents = np.arange(len(units))
    for start in range(0, len(units), _ROWS):
        rows = units.rows(start, start + _ROWS)
        for first_column, found in units.blocks(rows, start, upper=True):
            close = found >= threshold - _TOLERANCE
            for row in np.flatnonzero(close.any(axis=1)):
                columns = np.flatnonzero(close[row]) + first_column
                roots = np.unique(_roots(parents, np.append(columns, row + start)))
                parents[roots] = roots[0]
    roots = _roots(parents, np.arange(len(units)))
    order = np.argsort(roots, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(roots[order])) + 1) if len(order) else []
    large = [group.tolist() for group in groups if len(group) > 1]
    return sorted(large, key=lambda group: (-len(group), group[0]))


class _Units:
    """Vectors divided by their lengths, a block at a time: they may be many and mapped."""

    def __init__(self, vectors: NDArray) -> None:
        self.vectors = np.asarray(vectors) if np.size(vectors) else np.empty((0, 1), np.float32)
        lengths = [np.ones((0, 1), np.float32)]
        for start in range(0, len(self.vectors), _COLUMNS):
            part = checked(self.vectors[start : start + _COLUMNS], first=start).astype(np.float64)
            lengths.append(np.linalg.norm(part, axis=1, keepdims=True).astype(np.float32))
        self.lengths = np.concatenate(lengths)
        self.lengths[self.lengths == 0.0] = 1.0

    def __len__(self) -> int:
        return len(self.vectors)

    def rows(self, start: int, stop: int) -> Floats2d:
        """Some rows, divided by their lengths."""
        return np.asarray(self.vectors[start:stop] / self.lengths[start:stop], dtype=np.float32)

    def blocks(
        self, rows: Floats2d, start: int, *, upper: bool = False
    ) -> Iterator[tuple[int, Floats2d]]:
        """Cosines of the rows from `start` on to all columns, or with `upper` to those not before
        them; their cosines to themselves count as -inf."""
        for first in range(start if upper else 0, len(self), _COLUMNS):
            found = rows @ self.rows(first, first + _COLUMNS).T
            own = np.arange(len(rows))
            own = own[(own + start >= first) & (own + start < first + found.shape[1])]
            found[own, own + start - first] = -np.inf
            yield first, found


def _roots(parents: Rows, rows: Rows) -> Rows:
    """Follow each row to the lowest row of its group, and remember the way."""
    found = parents[rows]
    while True:
        above = parents[found]
        if np.array_equal(above, found):
            break
        found = above
    parents[rows] = found
    return found


def _check(threshold: float) -> None:
    if not -1.0 <= threshold <= 1.0:
        expected = "a cosine between -1 and 1"
        raise ValueError(Errors.E612.format(name="threshold", expected=expected, found=threshold))
