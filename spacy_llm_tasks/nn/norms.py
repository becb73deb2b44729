"""Normalisation of each row: it keeps the scale of activations steady through a deep stack.

LayerNorm (Ba et al. 2016, https://arxiv.org/abs/1607.06450) makes the mean of a row 0 and its
variance 1; RMSNorm (Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467) divides by the root
of the mean square and leaves the mean alone. Both then scale each column by a learned weight.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import TransformerConfig


class RMSNorm(nn.Module):
    """y = x / sqrt(mean(x²) + eps) * weight.

    width (int): Size of a row.
    eps (float): Added to the mean square.
    """

    def __init__(self, width: int, *, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(T, W) -> (T, W)"""
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


def make_norm(config: TransformerConfig, width: int | None = None) -> nn.Module:
    """Build the norm a config asks for.

    config (TransformerConfig): Chooses the kind, the epsilon and whether there is a bias.
    width (int | None): Size of a row; None: the config's width.
    RETURNS (nn.Module): (T, width) -> (T, width).
    """
    size = config.width if width is None else width
    if config.norm == "rms":
        return RMSNorm(size, eps=config.norm_eps)
    return nn.LayerNorm(size, eps=config.norm_eps, bias=config.bias)


def unit_rms(x: Tensor, *, eps: float) -> Tensor:
    """RMSNorm without a weight: every row gets a root mean square of 1.

    x (Tensor): (..., D)
    eps (float): Added to the mean square.
    RETURNS (Tensor): (..., D)
    """
    return F.rms_norm(x, x.shape[-1:], eps=eps)
