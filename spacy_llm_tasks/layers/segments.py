"""Sums, means, maxima and softmax within segments: rows that belong to one doc, text or span."""

import numpy as np
import torch
from torch import Tensor

from ..nn.transfer import send


def segment_mean(rows: Tensor, segments: Tensor, n_segments: int) -> Tensor:
    """Mean of the rows of each segment.

    rows (Tensor): (N, W).
    segments (Tensor): (N,) int64, the segment of each.
    n_segments (int): How many there are.
    RETURNS (Tensor): (n_segments, W); zeros for a segment without rows.
    """
    counts = torch.bincount(segments, minlength=n_segments).clamp(min=1)
    total = rows.new_zeros((n_segments, rows.shape[1])).index_add(0, segments, rows)
    return total / counts.unsqueeze(1)


def segment_weighted_mean(
    rows: Tensor, scores: Tensor, segments: Tensor, n_segments: int
) -> Tensor:
    """Mean of the rows of each segment, weighted by the softmax of their scores.

    rows (Tensor): (N, W).
    scores (Tensor): (N,).
    segments (Tensor): (N,) int64, the segment of each.
    n_segments (int): How many there are.
    RETURNS (Tensor): (n_segments, W); zeros for a segment without rows.
    """
    weights = segment_softmax(scores, segments, n_segments)
    zeros = rows.new_zeros((n_segments, rows.shape[1]))
    return zeros.index_add(0, segments, rows * weights.unsqueeze(1))


def segment_max(rows: Tensor, segments: Tensor, n_segments: int) -> Tensor:
    """Maximum over the rows of each segment, number by number.

    rows (Tensor): (N, W).
    segments (Tensor): (N,) int64, the segment of each.
    n_segments (int): How many there are.
    RETURNS (Tensor): (n_segments, W); zeros for a segment without rows.
    """
    index = segments.unsqueeze(1).expand_as(rows)
    zeros = rows.new_zeros((n_segments, rows.shape[1]))
    return zeros.scatter_reduce(0, index, rows, "amax", include_self=False)


def segment_softmax(values: Tensor, segments: Tensor, n_segments: int) -> Tensor:
    """Softmax within segments.

    values (Tensor): (N,) scores.
    segments (Tensor): (N,) int64, the segment of each.
    n_segments (int): How many there are.
    RETURNS (Tensor): (N,) weights that sum to 1 in each segment.
    """
    top = values.new_full((n_segments,), -torch.inf)
    top = top.scatter_reduce(0, segments, values.detach(), "amax")
    exponents = (values - top[segments]).exp()
    total = values.new_zeros(n_segments).index_add(0, segments, exponents)
    return exponents / total[segments]


def index_on(array: np.ndarray, like: Tensor) -> Tensor:
    """RETURNS (Tensor): An index array on the device of a tensor."""
    return send(torch.from_numpy(np.ascontiguousarray(array)), like.device)
