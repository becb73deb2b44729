"""How far scores can be read as probabilities, and the monotone maps that make them so.

Every map here keeps the order of the scores, so calibrating never changes which of two spans or
labels wins; it changes what the number says. Fit on one half of held-out data, report on the other.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import Errors

_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0
_EPSILON = 1e-12


def expected_calibration_error(
    scores: ArrayLike, correct: ArrayLike, *, n_bins: int = 15, equal_mass: bool = False
) -> float | None:
    """Expected calibration error (Guo et al. 2017, eq. 3): the mean gap between confidence and
    accuracy over bins, weighted by their sizes.

    scores (ArrayLike): Confidence of each prediction, (N,), between 0 and 1.
    correct (ArrayLike): Whether it was right, (N,).
    n_bins (int): Number of bins.
    equal_mass (bool): Bins of equally many predictions (Nixon et al. 2019) instead of equal width.
    RETURNS (float): Between 0 and 1; None without predictions.
    RAISES (ValueError): If the shapes differ, a score is outside 0..1 or n_bins is below 1.
    """
    p, y = _pairs(scores, correct)
    if n_bins < 1:
        raise ValueError(Errors.E313.format(name="n_bins", expected="1 or more", found=n_bins))
    if len(p) and (p.min() < 0.0 or p.max() > 1.0):
        raise ValueError(Errors.E303.format(what="score", found=float(p.max())))
    if not len(p):
        return None
    if equal_mass:
        groups = np.array_split(np.argsort(p, kind="stable"), n_bins)
    else:
        # Bin m holds ((m-1)/M, m/M], as in the paper; 0 itself joins the first.
        bins = np.clip(np.ceil(p * n_bins).astype(int) - 1, 0, n_bins - 1)
        groups = [np.flatnonzero(bins == m) for m in range(n_bins)]
    gaps = [len(g) * abs(y[g].mean() - p[g].mean()) for g in groups if len(g)]
    return float(np.sum(gaps) / len(p))


def sigmoid(logits: ArrayLike) -> NDArray[np.float64]:
    """1 / (1 + exp(-x)) without overflow. Any shape."""
    x = np.asarray(logits, dtype=float)
    return np.exp(-np.logaddexp(0.0, -x))


def to_logits(scores: ArrayLike) -> NDArray[np.float64]:
    """The inverse of `sigmoid`, kept finite at 0 and 1. Any shape."""
    p = np.clip(np.asarray(scores, dtype=float), _EPSILON, 1.0 - _EPSILON)
    return np.log(p) - np.log1p(-p)


def softmax(logits: ArrayLike) -> NDArray[np.float64]:
    """Softmax over the last axis."""
    x = np.asarray(logits, dtype=float)
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def negative_log_likelihood(
    logits: ArrayLike, correct: ArrayLike, *, temperature: float = 1.0
) -> float:
    """Mean negative log-likelihood after division by a temperature.

    logits (ArrayLike): (N,) logits of being right, or (N, L) logits of exclusive labels.
    correct (ArrayLike): (N,) 0 or 1, or (N,) the index of the right label.
    temperature (float): Divides the logits.
    RETURNS (float): In nats.
    """
    x = np.asarray(logits, dtype=float) / temperature
    if x.ndim == 2:
        y = np.asarray(correct, dtype=int)
        top = x.max(axis=1)
        total = top + np.log(np.exp(x - top[:, None]).sum(axis=1))
        return float(np.mean(total - x[np.arange(len(y)), y]))
    y = np.asarray(correct, dtype=float)
    return float(np.mean(np.logaddexp(0.0, x) - y * x))


def fit_temperature(
    logits: ArrayLike, correct: ArrayLike, *, lowest: float = 0.05, highest: float = 20.0
) -> float:
    """The temperature T that makes logits / T fit best (Guo et al. 2017, section 4.2).

    The negative log-likelihood is convex in 1/T, hence has one minimum in log T, which a
    golden-section search finds.

    logits (ArrayLike): (N,) logits of being right (`to_logits` of probabilities), or (N, L) logits
        of exclusive labels.
    correct (ArrayLike): (N,) 0 or 1, or (N,) the index of the right label.
    lowest, highest (float): Bounds of T.
    RETURNS (float): T; 1.0 without data.
    RAISES (ValueError): If the shapes differ.
    """
    x = np.asarray(logits, dtype=float)
    y = np.asarray(correct)
    if x.ndim not in (1, 2) or len(x) != len(y):
        raise ValueError(Errors.E331.format(what="logits", found=x.shape, other=y.shape))
    if not len(x):
        return 1.0

    def loss(log_t: float) -> float:
        return negative_log_likelihood(x, y, temperature=float(np.exp(log_t)))

    low, high = float(np.log(lowest)), float(np.log(highest))
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = loss(left), loss(right)
    while high - low > 1e-6:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = loss(right)
    return float(np.exp((low + high) / 2.0))


def fit_platt(logits: ArrayLike, correct: ArrayLike, *, steps: int = 100) -> tuple[float, float]:
    """Scale and shift such that sigmoid(scale * logit + shift) fits best (Platt 1999, with his
    smoothed targets, so that perfect data gives finite values), by damped Newton steps.

    For spans found above a fixed cut a temperature alone can only move scores towards or away
    from the cut; the shift moves them as a whole. The scale is kept positive: order never changes.

    logits (ArrayLike): (N,) logits of being right.
    correct (ArrayLike): (N,) 0 or 1.
    steps (int): Upper bound of Newton steps.
    RETURNS (tuple[float, float]): Scale and shift; (1.0, 0.0) without data.
    RAISES (ValueError): If the shapes differ.
    """
    x, y = _pairs(logits, correct)
    if not len(x):
        return 1.0, 0.0
    n_right = float(y.sum())
    n_wrong = len(y) - n_right
    targets = np.where(y > 0.5, (n_right + 1.0) / (n_right + 2.0), 1.0 / (n_wrong + 2.0))
    middle, spread = float(x.mean()), float(x.std())
    if spread <= 1e-9 * max(1.0, abs(middle)):  # equal logits, whose mean is rounded
        spread = 1.0
    z = (x - middle) / spread
    a, b = spread, middle

    def loss(a: float, b: float) -> float:
        v = a * z + b
        return float(np.mean(np.logaddexp(0.0, v) - targets * v))

    before = loss(a, b)
    for _ in range(steps):
        p = sigmoid(a * z + b)
        gradient = np.array([np.mean((p - targets) * z), np.mean(p - targets)])
        w = p * (1.0 - p)
        mixed = np.mean(w * z)
        hessian = np.array([[np.mean(w * z * z), mixed], [mixed, np.mean(w)]])
        step = np.linalg.solve(hessian + 1e-9 * np.eye(2), gradient)
        size = 1.0
        while size > 1e-8 and loss(a - size * step[0], b - size * step[1]) > before:
            size /= 2.0
        a, b = a - size * step[0], b - size * step[1]
        after = loss(a, b)
        if before - after < 1e-12:
            break
        before = after
    if a <= 0.0:
        # The score says nothing or the opposite: the best map that keeps the order is a constant.
        a, b = 1e-3, float(to_logits(targets.mean()))
    return float(a / spread), float(b - a * middle / spread)


def tune_threshold(
    scores: ArrayLike, gold: ArrayLike, *, default: float = 0.5, n_true: int | None = None
) -> float:
    """The threshold with the highest F1 when everything scored at or above it is predicted.

    Of equally good thresholds the one nearest to the default wins; each lies half-way between two
    neighbouring scores, so that held-out scores have room on both sides.

    scores (ArrayLike): (N,) scores.
    gold (ArrayLike): (N,) truth.
    default (float): Returned when there is nothing true in gold.
    n_true (int): How many true items there are in all, where some have no score because they were
        never found; None: those in gold.
    RETURNS (float): The threshold.
    RAISES (ValueError): If the shapes differ.
    """
    x, y = _pairs(scores, gold)
    if not y.sum():
        return default
    total = float(y.sum()) if n_true is None else float(n_true)
    values = np.unique(x)[::-1]  # distinct, descending
    order = np.argsort(-x, kind="stable")
    found = np.cumsum(y[order])
    last = np.searchsorted(-x[order], -values, side="right")  # how many are predicted at value k
    true_positives = found[last - 1]
    f1 = 2.0 * true_positives / (last + total)
    below = np.append(values[1:], values[-1])
    limits = (values + below) / 2.0
    limits = np.where(limits > below, limits, values)  # neighbours too close to have a middle
    best = np.flatnonzero(f1 >= f1.max() - _EPSILON)
    return float(limits[best[np.argmin(np.abs(limits[best] - default))]])


def _pairs(scores: Any, correct: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.asarray(scores, dtype=float), np.asarray(correct, dtype=float)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(Errors.E331.format(what="scores", found=x.shape, other=y.shape))
    return x, y
