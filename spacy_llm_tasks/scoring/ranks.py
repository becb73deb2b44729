"""Ranks of numbers, on which rank statistics are built."""

import numpy as np
from numpy.typing import NDArray


def mean_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1, equal values sharing the mean of theirs.

    values (ndarray): (N,) numbers.
    RETURNS (ndarray): (N,) ranks.
    """
    _, inverse, sizes = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(sizes) - (sizes - 1) / 2.0)[inverse]
