"""When to answer a question, and when to say that the text has no answer."""

import numpy as np
from numpy.typing import ArrayLike

from ..errors import Errors


def tune_refusal(refusals: ArrayLike, gains: ArrayLike) -> float:
    """The threshold with the highest total score when every question is refused whose no-answer
    score is above it.

    Of equally good thresholds the one nearest to 0 wins; each lies half-way between two
    neighbouring scores, so that held-out scores have room on both sides. The official script of
    SQuAD 2.0 searches the same totals, but only names scores of the data as thresholds, and calls
    "never answer" 0.

    refusals (ArrayLike): (N,) how much better "no answer" scores than the best answer.
    gains (ArrayLike): (N,) how much more an answer scores than a refusal: its F1 where the question
        has an answer, -1 where it has none.
    RETURNS (float): The threshold, always finite; 0.0 without questions.
    RAISES (ValueError): If the shapes differ.
    """
    x, gain = np.asarray(refusals, dtype=float), np.asarray(gains, dtype=float)
    if x.ndim != 1 or x.shape != gain.shape:
        raise ValueError(Errors.E331.format(what="refusals", found=x.shape, other=gain.shape))
    if not len(x):
        return 0.0
    order = np.argsort(x, kind="stable")
    x = x[order]
    totals = np.concatenate([[0.0], np.cumsum(gain[order])])  # at k: the first k are answered
    middles = (x[:-1] + x[1:]) / 2
    middles = np.where(middles < x[1:], middles, x[:-1])  # neighbours too close to have a middle
    limits = np.concatenate([[min(0.0, x[0] - 1.0)], middles, [max(0.0, x[-1])]])
    possible = np.concatenate([[True], x[:-1] < x[1:], [True]])  # equal scores stay together
    best = np.flatnonzero(possible & (totals >= totals[possible].max() - 1e-9))
    return float(limits[best[np.argmin(np.abs(limits[best]))]])
