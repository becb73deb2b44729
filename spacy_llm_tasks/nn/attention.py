"""Multi-head scaled dot-product attention on packed rows.

    Attention(Q, K, V) = softmax(Q Kᵀ / sqrt(D)) V        for each of H heads of width D = W / H

(Vaswani et al. 2017, section 3.2, https://arxiv.org/abs/1706.03762). Queries, keys and values are
projected for all T rows at once; the softmax runs per group of near-equal lengths (see `packing`),
by PyTorch's fused kernel, which never stores the (L, L) weights.

A causal model sees no key after its query, so that it can be trained to predict the next piece.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import TransformerConfig
from .linear import Linear
from .packing import Group, Packing
from .positions import Alibi, Rotary


class Attention(nn.Module):
    """Lets each piece gather what it needs from the pieces of its sequence.

    config (TransformerConfig): Width, heads, kind of positions, attention dropout.
    causal (bool): Whether a piece sees only itself and earlier ones.
    """

    def __init__(self, config: TransformerConfig, *, causal: bool = False) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.causal = causal
        self.dropout = nn.Dropout(config.attention_dropout)  # holds the rate for the fused kernel
        self.rotary = None
        self.alibi = None
        if config.positions == "rope":
            self.rotary = Rotary(config.head_width, base=config.rope_base)
        elif config.positions == "alibi":
            self.alibi = Alibi(config.n_heads)
        # rows of the weight: W of queries, W of keys, W of values
        self.qkv = Linear(config.width, 3 * config.width, bias=config.bias)
        self.output = Linear(config.width, config.width, bias=config.bias)

    def forward(self, x: Tensor, packing: Packing) -> Tensor:
        """Self-attention.

        x (Tensor): (T, W) packed rows; spare rows may follow, which belong to no sequence.
        packing (Packing): Which rows belong together.
        RETURNS (Tensor): (T, W), with as many spare rows.
        """
        n_rows = packing.n_rows
        heads = self.qkv(x)[:n_rows].view(n_rows, 3, self.n_heads, -1)  # (T, 3, H, D)
        if self.rotary is not None:
            turned = self.rotary(heads[:, :2], packing)
            heads = torch.cat([turned, heads[:, 2:]], dim=1)
        parts = []
        for group, part in zip(packing.groups, packing.split(heads), strict=True):
            q, k, v = part.permute(2, 0, 3, 1, 4)  # (3, n, H, L, D), a view
            parts.append(self._attend(q, k, v, self._bias(group, q)))
        return self.output(packing.merge(parts, spare=len(x) - n_rows))

    def _bias(self, group: Group, q: Tensor) -> Tensor | None:
        """What is added to scores (float), or which keys are real (bool): (n or 1, H or 1, L, L).

        A causal query never reaches the padding, which comes last, so it needs no mask.
        """
        if self.alibi is None:
            return None if self.causal else group.mask
        bias = self.alibi(group.length, dtype=q.dtype)[None]
        if self.causal:
            ahead = torch.ones_like(bias[0, 0], dtype=torch.bool).triu(1)
            return bias.masked_fill(ahead, float("-inf"))
        return bias if group.mask is None else bias.masked_fill(~group.mask, float("-inf"))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        """(n, H, L, D) each -> (n, L, W)"""
        rate = self.dropout.p if self.training else 0.0
        causal = self.causal and bias is None
        mixed = F.scaled_dot_product_attention(
            q, k, v, attn_mask=bias, dropout_p=rate, is_causal=causal
        )
        return mixed.transpose(1, 2).flatten(2)
