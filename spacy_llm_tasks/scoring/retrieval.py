"""Metrics of ranked retrieval at a cut-off, with the definitions of trec_eval.

Every function takes one ranking per query, best first, and per query what is relevant: a
collection of ids, or a mapping from ids to grades (0 or less: judged, and not relevant). Ids that
were not judged are not relevant. The result is the mean over the queries that have a judgement: a
query without any is left out, and one that has no *relevant* id counts 0, both as in trec_eval. A
query with an empty ranking counts 0 too (trec_eval -c).
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import Errors

Ranking = Sequence[Hashable]
Relevant = Collection[Hashable] | Mapping[Hashable, float]


class _Judged(NamedTuple):
    """Grades, never below 0, of Q queries.

    ranked (ndarray): (Q, k) of what was ranked; 0 behind the end of a ranking.
    ideal (ndarray): (Q, k), the highest grades there are, descending.
    n_relevant (ndarray): (Q,) how many ids are relevant in all.
    """

    ranked: NDArray[np.float64]
    ideal: NDArray[np.float64]
    n_relevant: NDArray[np.int64]


def ndcg_at_k(
    rankings: Sequence[Ranking],
    relevant: Sequence[Relevant],
    *,
    k: int,
    gain: Literal["linear", "exponential"] = "linear",
) -> float | None:
    """Normalised discounted cumulative gain (Järvelin & Kekäläinen 2002), discounted by
    log2(rank + 1); trec_eval's `ndcg_cut`.

    rankings (Sequence[Sequence]): One ranking per query.
    relevant (Sequence[Collection | Mapping]): What is relevant to each query; grade 1 in a
        collection.
    k (int): How many ranks count.
    gain (str): "linear", the grade itself, as in trec_eval; or "exponential", 2^grade - 1 (Burges
        et al. 2005). They differ only for grades above 1.
    RETURNS (float): Between 0 and 1; None without a judged query.
    RAISES (ValueError): If there are not as many rankings as judgements, a ranking has an id twice,
        k is below 1 or the gain unknown.
    """
    if gain not in ("linear", "exponential"):
        raise ValueError(
            Errors.E313.format(name="gain", expected="'linear' or 'exponential'", found=gain)
        )
    judged = _judge(rankings, relevant, k)
    discounts = 1.0 / np.log2(np.arange(2, judged.ranked.shape[1] + 2))
    ranked, ideal = judged.ranked, judged.ideal
    if gain == "exponential":
        ranked, ideal = np.exp2(ranked) - 1.0, np.exp2(ideal) - 1.0
    best = ideal @ discounts
    return _mean((ranked @ discounts) / np.where(best > 0.0, best, 1.0))


def mrr_at_k(rankings: Sequence[Ranking], relevant: Sequence[Relevant], *, k: int) -> float | None:
    """Mean reciprocal rank of the first relevant id, 0 if none is among the first k; trec_eval's
    `recip_rank` of rankings cut at k.

    rankings, relevant, k: As `ndcg_at_k`.
    RETURNS (float): Between 0 and 1; None without a judged query.
    RAISES (ValueError): As `ndcg_at_k`.
    """
    hits = _judge(rankings, relevant, k).ranked > 0.0
    return _mean(np.where(hits.any(axis=1), 1.0 / (hits.argmax(axis=1) + 1.0), 0.0))


def recall_at_k(
    rankings: Sequence[Ranking], relevant: Sequence[Relevant], *, k: int
) -> float | None:
    """Share of the relevant ids that are among the first k; trec_eval's `recall`.

    rankings, relevant, k: As `ndcg_at_k`.
    RETURNS (float): Between 0 and 1; None without a judged query.
    RAISES (ValueError): As `ndcg_at_k`.
    """
    judged = _judge(rankings, relevant, k)
    return _mean((judged.ranked > 0.0).sum(axis=1) / np.maximum(judged.n_relevant, 1))


def precision_at_k(
    rankings: Sequence[Ranking], relevant: Sequence[Relevant], *, k: int
) -> float | None:
    """Share of the first k ranks that hold a relevant id, a rank without an id holding none;
    trec_eval's `P`.

    rankings, relevant, k: As `ndcg_at_k`.
    RETURNS (float): Between 0 and 1; None without a judged query.
    RAISES (ValueError): As `ndcg_at_k`.
    """
    judged = _judge(rankings, relevant, k)
    return _mean((judged.ranked > 0.0).sum(axis=1) / k)


def _judge(rankings: Sequence[Ranking], relevant: Sequence[Relevant], k: int) -> _Judged:
    if k < 1:
        raise ValueError(Errors.E313.format(name="k", expected="1 or more", found=k))
    if len(rankings) != len(relevant):
        raise ValueError(
            Errors.E331.format(what="rankings", found=(len(rankings),), other=(len(relevant),))
        )
    # No wider than the longest list: k may be far above what was ranked and what is relevant.
    longest = max(map(len, [*rankings, *relevant]), default=0)
    width = max(1, min(k, longest))
    ranked: list[list[float]] = []
    ideal: list[list[float]] = []
    n_relevant: list[int] = []
    for query, (ranking, judgement) in enumerate(zip(rankings, relevant, strict=True)):
        first = ranking[:k]
        if len(set(first)) < len(first):
            twice = next(x for i, x in enumerate(first) if x in first[:i])
            raise ValueError(Errors.E364.format(query=query, id=twice))
        if not judgement:
            continue
        grades = judgement if isinstance(judgement, Mapping) else dict.fromkeys(judgement, 1.0)
        row = [max(0.0, float(grades.get(x, 0.0))) for x in first]
        best = sorted((float(x) for x in grades.values() if x > 0), reverse=True)
        n_relevant.append(len(best))
        ranked.append(row + [0.0] * (width - len(row)))
        ideal.append(best[:width] + [0.0] * (width - len(best)))
    shape = (len(ranked), width)
    return _Judged(
        np.array(ranked, dtype=float).reshape(shape),
        np.array(ideal, dtype=float).reshape(shape),
        np.array(n_relevant, dtype=np.int64),
    )


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None
