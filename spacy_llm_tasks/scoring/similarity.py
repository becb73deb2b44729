"""Correlations of predicted similarities with grades."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import Errors
from .ranks import mean_ranks


def score_similarity(gold: ArrayLike, predicted: ArrayLike) -> dict[str, float | None]:
    """Both correlations, under the names that training and evaluation use.

    gold (ArrayLike): (N,) grades.
    predicted (ArrayLike): (N,) predicted similarities.
    RETURNS (dict): `sim_spearman` and `sim_pearson`.
    RAISES (ValueError): If the shapes differ.
    """
    return {"sim_spearman": spearman(gold, predicted), "sim_pearson": pearson(gold, predicted)}


def spearman(a: ArrayLike, b: ArrayLike) -> float | None:
    """Spearman's rank correlation: Pearson's of the ranks, equal values sharing their mean rank.

    a, b (ArrayLike): (N,) numbers.
    RETURNS (float): Between -1 and 1; None where it is not defined: fewer than two pairs, all
        values of one side equal, or a NaN.
    RAISES (ValueError): If the shapes differ.
    """
    x, y = _pair(a, b)
    if np.isnan(x).any() or np.isnan(y).any():
        return None
    return pearson(mean_ranks(x), mean_ranks(y))


def pearson(a: ArrayLike, b: ArrayLike) -> float | None:
    """Pearson's correlation.

    a, b (ArrayLike): (N,) numbers.
    RETURNS (float): Between -1 and 1; None where it is not defined: fewer than two pairs, all
        values of one side equal, or a value that is not finite.
    RAISES (ValueError): If the shapes differ.
    """
    x, y = _pair(a, b)
    if len(x) < 2 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return None
    # Asked of the values themselves: the deviations of equal values from their rounded mean need
    # not be 0.
    if np.all(x == x[0]) or np.all(y == y[0]):
        return None
    return float(np.clip(_direction(x) @ _direction(y), -1.0, 1.0))


def _direction(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Deviations from the mean, of length 1; scaled first, so that squares stay in range."""
    x = x / np.abs(x).max()
    x = x - x.mean()
    x = x / np.abs(x).max()
    return x / np.linalg.norm(x)


def _pair(a: Any, b: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(Errors.E331.format(what="similarities", found=y.shape, other=x.shape))
    return x, y
