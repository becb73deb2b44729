"""What a faster search misses: its results beside those of an exact search."""

import time
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..errors import Errors
from .index import SearchIndex

_TOLERANCE = 1e-6


class Recall(NamedTuple):
    """What a faster search found of what an exact search finds.

    recall (float): Share of the k nearest that was found, mean over the queries.
    k (int): How many were asked for.
    queries (int): How many queries were compared.
    seconds (float): Time of the faster search, for all queries together.
    exact_seconds (float): Time of the exact search.
    """

    recall: float
    k: int
    queries: int
    seconds: float
    exact_seconds: float


def measure_recall(
    index: SearchIndex,
    queries: ArrayLike | None = None,
    *,
    k: int = 10,
    sample: int = 100,
    oversample: int | None = None,
    seed: int = 0,
) -> Recall:
    """Compare an index's own search with an exact one over its float32 vectors.

    What was found counts as right if its cosine is not below that of the k-th nearest: of equally
    near entries any will do.

    index (SearchIndex): The index.
    queries (ArrayLike): (Q, W) vectors such as real queries have; None: vectors drawn from the
        index, each searched among the others.
    k (int): How many neighbours to look for.
    sample (int): How many vectors to draw.
    oversample (int): As for `SearchIndex.search`.
    seed (int): Seed of the draw.
    RETURNS (Recall): The measurement.
    RAISES (ValueError): If there is nothing to compare.
    """
    drawn: np.ndarray | None = None
    if queries is None:
        rows = index.rows()
        drawn = np.sort(np.random.default_rng(seed).permutation(rows)[:sample])
        queries = index.vectors_at(drawn)
    asked = np.asarray(queries)
    if not len(asked) or not len(index):
        raise ValueError(Errors.E618)
    wanted = k + (drawn is not None)
    started = time.perf_counter()
    exact = index.nearest(asked, k=wanted, exact=True)
    between = time.perf_counter()
    found = index.nearest(asked, k=wanted, oversample=oversample)
    ended = time.perf_counter()
    shares = []
    for item, ((rows, scores), (found_rows, found_scores)) in enumerate(
        zip(exact, found, strict=True)
    ):
        if drawn is not None:
            scores = scores[rows != drawn[item]]
            found_scores = found_scores[found_rows != drawn[item]]
        scores = scores[:k]
        if len(scores):
            right = np.count_nonzero(found_scores[:k] >= scores[-1] - _TOLERANCE)
            shares.append(right / len(scores))
    recall = float(np.mean(shares)) if shares else 1.0
    return Recall(recall, k, len(asked), ended - between, between - started)
