"""Search by words beside search by vectors: how the results of both are joined."""

from collections.abc import Sequence

# The value of the paper, which found that it matters little.
CONSTANT = 60


def reciprocal_rank_fusion(
    rankings: Sequence[Sequence[int]], *, constant: int = CONSTANT
) -> list[tuple[int, float]]:
    """Join rankings of the same things by their ranks alone (Cormack, Clarke and Buettcher 2009,
    "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods").

    The score of a thing is the sum of 1 / (constant + rank) over the rankings that have it, with
    ranks from 1. So cosines and BM25 scores need not be comparable.

    rankings (Sequence[Sequence[int]]): Each the best first.
    constant (int): How little the very first ranks stand out.
    RETURNS (list[tuple[int, float]]): Everything that is in a ranking with its score, the best
        first; of equal scores what came first in an earlier ranking wins.
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, start=1):
            scores[item] = scores.get(item, 0.0) + 1.0 / (constant + rank)
    return sorted(scores.items(), key=lambda pair: -pair[1])
