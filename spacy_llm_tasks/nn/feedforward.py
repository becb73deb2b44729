"""The feed-forward network: each row on its own through a wider layer and back.

Plain (Vaswani et al. 2017, section 3.3, https://arxiv.org/abs/1706.03762):
    FFN(x) = act(x Uᵀ) Dᵀ                with act = GELU (https://arxiv.org/abs/1606.08415) or ReLU
Gated (Shazeer 2020, https://arxiv.org/abs/2002.05202):
    FFN(x) = (act(x Gᵀ) * x Uᵀ) Dᵀ       with act = SiLU ("swiglu") or GELU ("geglu")

G and U are one matrix of 2F rows, so that the gate costs no second product.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from .config import TransformerConfig
from .linear import Linear


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
        return self.down(self._bend(x))

    def _bend(self, x: Tensor) -> Tensor:
        """(T, W) -> (T, F)"""
        if self.activation == "gelu":
            return self.up.gelu(x)
        if self.activation == "relu":
            return F.relu(self.up(x))
        gate, value = self.up(x).chunk(2, dim=-1)
        return (F.silu(gate) if self.activation == "swiglu" else F.gelu(gate)) * value
