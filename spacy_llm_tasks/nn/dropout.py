"""Dropout: in training, each number is 0 at a rate, and the others grow so that sums stay.

Srivastava et al. 2014, section 4, https://jmlr.org/papers/v15/srivastava14a.html. On a CPU, PyTorch
draws a random number of full precision for each, which takes as long as a product of matrices.
16 random bits are enough to tell whether a number stays, and four of them come from one draw: the
whole step takes a fifth of the time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import kernels

# Draws are 64 bits of any sign; each gives so many numbers of so many values.
LOWEST_DRAW = torch.iinfo(torch.int64).min
PER_DRAW = 4
LOWEST = torch.iinfo(torch.int16).min
N_VALUES = 2**16


class Dropout(nn.Dropout):
    """`torch.nn.Dropout` by the fastest way there is on this device; not in place."""

    def forward(self, x: Tensor) -> Tensor:
        """x (Tensor): Any shape. RETURNS (Tensor): The same shape."""
        return dropout(x, self.p) if self.training else x


def dropout(x: Tensor, rate: float) -> Tensor:
    """Drop numbers at random, and scale the others by 1 / (1 - rate).

    x (Tensor): Any shape.
    rate (float): Between 0 and 1; on a CPU, the nearest multiple of 2 ** -16 is used.
    RETURNS (Tensor): The same shape.
    """
    n_dropped = round(rate * N_VALUES)
    if n_dropped == 0:
        return x
    if x.device.type != "cpu" or n_dropped == N_VALUES or kernels.is_traced():
        return F.dropout(x, rate)
    drawn = _draw(x.numel()).view(x.shape)
    kept = torch.ge(drawn, LOWEST + n_dropped, out=torch.empty(x.shape, dtype=x.dtype))
    return x * kept.mul_(N_VALUES / (N_VALUES - n_dropped))


def _draw(n: int) -> Tensor:
    """RETURNS (Tensor): (n,) int16, of all values with equal probability."""
    draws = torch.empty(-(-n // PER_DRAW), dtype=torch.int64).random_(LOWEST_DRAW, None)
    return draws.view(torch.int16)[:n]
