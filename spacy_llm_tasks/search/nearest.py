"""Exact search: the best rows of a matrix for each query, in chunks, so that memory stays small."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .quantize import Floats2d, encode, scores

# Rows compared at a time: 25 MB of 384 float32, small enough to stay in a processor's cache while
# several queries use it.
CHUNK = 16384
_QUERIES = 256

Rows = NDArray[np.int64]
Ranked = tuple[Rows, Floats2d]


def best(found: Floats2d, rows: Rows, k: int) -> Ranked:
    """The k highest scores, highest first; of equal scores the lower row wins.

    found (ndarray): (N,) scores.
    rows (ndarray): (N,) the row of each, ascending.
    RETURNS (tuple): At most k rows and their scores.
    """
    if len(found) > k:
        keep = np.flatnonzero(found >= np.partition(found, len(found) - k)[len(found) - k])
        found, rows = found[keep], rows[keep]
    order = np.lexsort((rows, -found))[:k]
    return rows[order], found[order]


def nearest(
    queries: Floats2d,
    matrix: NDArray[Any],
    *,
    k: int,
    precision: str = "float32",
    rows: Rows | None = None,
) -> list[Ranked]:
    """Compare queries with every row and keep the best.

    queries (ndarray): (Q, W) float32 unit vectors.
    matrix (ndarray): (N, columns) rows of the precision, may be mapped from disk.
    k (int): How many to keep for each query.
    precision (str): The form of the matrix.
    rows (ndarray): Ascending numbers of the rows to compare with; None: all.
    RETURNS (list[tuple]): For each query the rows, best first, and their scores; fewer than k if
        there are fewer rows.
    """
    found: list[Ranked] = []
    for at in range(0, len(queries), _QUERIES):
        found.extend(_nearest(queries[at : at + _QUERIES], matrix, k, precision, rows))
    return found


def rescore(
    queries: Floats2d, vectors: NDArray[Any], candidates: list[Rows], *, k: int
) -> list[Ranked]:
    """Sort candidates by their float32 vectors.

    queries (ndarray): (Q, W) float32 unit vectors.
    vectors (ndarray): (N, W) float32 unit vectors, may be mapped from disk.
    candidates (list[ndarray]): Rows for each query.
    k (int): How many to keep for each query.
    RETURNS (list[tuple]): For each query the rows, best first, and their cosines.
    """
    found = []
    for query, rows in zip(queries, candidates, strict=True):
        # Ascending rows are read from disk in order.
        rows = np.unique(rows)
        found.append(best(np.asarray(vectors[rows]) @ query, rows, k))
    return found


def _nearest(
    queries: Floats2d, matrix: NDArray[Any], k: int, precision: str, rows: Rows | None
) -> list[Ranked]:
    asked = encode(queries, "binary") if precision == "binary" else queries
    n = len(matrix) if rows is None else len(rows)
    kept: list[Ranked] = [(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
    for start in range(0, n, CHUNK):
        stop = min(start + CHUNK, n)
        numbers = np.arange(start, stop) if rows is None else rows[start:stop]
        part = np.asarray(matrix[start:stop] if rows is None else matrix[numbers])
        for item, row_scores in enumerate(scores(asked, part, precision)):
            old_rows, old_scores = kept[item]
            if len(old_scores) == k:  # most rows are worse than what was found already
                better = np.flatnonzero(row_scores > old_scores[-1])
                new_rows, new_scores = numbers[better], row_scores[better]
            else:
                new_rows, new_scores = numbers, row_scores
            kept[item] = best(
                np.concatenate((old_scores, new_scores)),
                np.concatenate((old_rows, new_rows)),
                k,
            )
    return kept
