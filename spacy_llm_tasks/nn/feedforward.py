"""The feed-forward network: each row on its own through a wider layer and back.

Plain (Vaswani et al. 2017, section 3.3, https://arxiv.org/abs/1706.03762):
    FFN(x) = act(x Uᵀ) Dᵀ                with act = GELU (https://arxiv.org/abs/1606.08415; exact or
                                         by tanh), ReLU or SiLU
Gated (Shazeer 2020, https://arxiv.org/abs/2002.05202):
    FFN(x) = (act(x Gᵀ) * x Uᵀ) Dᵀ       with act = SiLU ("swiglu") or GELU ("geglu")

G and U are one matrix of 2F rows, so that the gate costs no second product.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import kernels
from .config import GATED, TransformerConfig
from .gate import gated
from .linear import Linear

# The activation that a gate goes through.
GATE_OF = {"swiglu": "silu", "geglu": "gelu"}
# Rows at a time in 8 bits, where the inner rows are read again to be rounded: from the cache, so
# that bfloat16 in between would save nothing.
ROWS = 512


class FeedForward(nn.Module):
    """Widen, bend, narrow.

    config (TransformerConfig): Width, inner width and activation.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        inner = config.ffn_width or 4 * config.width
        self.activation = config.activation
        self.up = Linear(config.width, 2 * inner if config.gated else inner, bias=config.bias)
        self.down = Linear(inner, config.width, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(T, W) -> (T, W)"""
        if self.down.precision != "int8" or torch.is_grad_enabled() or kernels.is_traced():
            return self.down(self._bend(x))
        parts = [self.down(self._bend(rows, narrow=False)) for rows in x.split(ROWS)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _bend(self, x: Tensor, *, narrow: bool = True) -> Tensor:
        """(T, W) -> (T, F)"""
        if self.activation == "gelu":
            return self.up.gelu(x, narrow=narrow)
        inner = self.up(x, narrow=narrow)
        if self.activation not in GATED:
            return bend(inner, self.activation)
        return gated(inner, GATE_OF[self.activation])


def bend(x: Tensor, activation: str) -> Tensor:
    """Apply an activation that has no gate.

    x (Tensor): Of any shape.
    activation (str): "gelu", "gelu_tanh", "relu" or "silu".
    RETURNS (Tensor): Of the same shape.
    """
    if activation == "relu":
        return F.relu(x)
    if activation == "silu":
        return F.silu(x)
    return F.gelu(x, approximate="tanh" if activation == "gelu_tanh" else "none")
