"""Multi-head scaled dot-product attention on packed rows.

    Attention(Q, K, V) = softmax(Q Kᵀ / sqrt(D)) V        for each of H heads of width D = W / H

(Vaswani et al. 2017, section 3.2, https://arxiv.org/abs/1706.03762). Queries, keys and values are
projected for all T rows at once; the softmax runs per group of near-equal lengths (see `packing`).

A causal model sees no key after its query, so that it can be trained to predict the next piece.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .cache import LayerCache
from .config import TransformerConfig
from .dropout import Dropout
from .linear import Linear
from .norms import unit_rms
from .packing import Packing
from .positions import Alibi, Rotary
from .precision import narrows
from .softmax_attention import ahead, attend
from .varlen_attention import attend_packed, suits


class Attention(nn.Module):
    """Lets each piece gather what it needs from the pieces of its sequence.

    config (TransformerConfig): Width, heads, kind of positions, attention dropout.
    causal (bool): Whether a piece sees only itself and earlier ones.
    """

    def __init__(self, config: TransformerConfig, *, causal: bool = False) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.causal = causal
        self.norm_eps = config.norm_eps if config.qk_norm else None
        self.dropout = Dropout(config.attention_dropout)  # holds the rate for the fused kernel
        self.rotary = None
        self.alibi = None
        if config.positions == "rope":
            self.rotary = Rotary(config.head_width, base=config.rope_base)
        elif config.positions == "alibi":
            self.alibi = Alibi(config.n_heads)
        # rows of the weight: W of queries, W of keys, W of values
        self.qkv = Linear(config.width, 3 * config.width, bias=config.bias)
        self.output = Linear(config.width, config.width, bias=config.bias)

    def forward(self, x: Tensor, packing: Packing, cache: LayerCache | None = None) -> Tensor:
        """Self-attention.

        x (Tensor): (T, W) packed rows; spare rows may follow, which belong to no sequence.
        packing (Packing): Which rows belong together.
        cache (LayerCache | None): Of a causal model that reads one sequence part by part: the rows
            see those of earlier calls too.
        RETURNS (Tensor): (T, W), with as many spare rows.
        """
        heads = self._heads(x, packing)
        return self.output(self.mix(heads, packing, cache, spare=len(x) - len(heads)))

    def mix(
        self, heads: Tensor, packing: Packing, cache: LayerCache | None = None, *, spare: int = 0
    ) -> Tensor:
        """Where rows meet: the softmax and the sums, by groups or by a kernel that needs none.

        heads (Tensor): (T, 3, H, D) queries, keys and values.
        packing (Packing): Their sequences.
        cache (LayerCache | None): As for `forward`.
        spare (int): Rows of zeros to put behind the last.
        RETURNS (Tensor): (T + spare, W), the heads side by side.
        """
        if cache is not None:
            q, k, v = heads.permute(1, 2, 0, 3)[:, None]  # (3, 1, H, t, D)
            return F.pad(self._attend(q, *cache.extend(k, v), None)[0], (0, 0, 0, spare))
        rate = self.dropout.p if self.training else 0.0
        if self.alibi is None and suits(heads[:, 0], dropout=rate):
            q, k, v = heads.unbind(1)
            mixed = attend_packed(q, k, v, packing, causal=self.causal, dropout=rate)
            return F.pad(mixed, (0, 0, 0, spare))
        parts = []
        for group, part in zip(packing.groups, packing.split(heads), strict=True):
            q, k, v = (rows.transpose(1, 2) for rows in part.unbind(2))  # (n, H, L, D), views
            parts.append(self._attend(q, k, v, group.mask))
        return packing.merge(parts, spare=spare)

    def _heads(self, x: Tensor, packing: Packing) -> Tensor:
        """(T or more, W) -> (T, 3, H, D) queries, keys and values"""
        n_rows, turned = packing.n_rows, self.norm_eps is not None or self.rotary is not None
        # Angles and penalties want all the bits there are.
        narrow = not turned and self.alibi is None
        heads = self.qkv(x, narrow=narrow)[:n_rows].view(n_rows, 3, self.n_heads, -1)
        if not turned:
            return heads
        heads = self._turn(heads, packing)
        if not torch.is_grad_enabled() and narrows(self.qkv.precision, heads.device):
            heads = heads.to(torch.bfloat16)
        return heads

    def _turn(self, heads: Tensor, packing: Packing) -> Tensor:
        """(T, 3, H, D), queries and keys at unit length and their position's angle, where asked"""
        if self.norm_eps is None:
            return heads if self.rotary is None else self.rotary.turn(heads, packing)
        unit = unit_rms(heads[:, :2], eps=self.norm_eps)
        turned = unit if self.rotary is None else self.rotary(unit, packing)
        return torch.cat([turned, heads[:, 2:]], dim=1)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """(n, H, L, D) queries, (n, H, K, D) keys and values -> (n, L, W)"""
        rate = self.dropout.p if self.training else 0.0
        if self.alibi is None and self.causal and q.shape[2] == k.shape[2]:
            # A causal query never reaches the padding, which comes last, so it needs no mask.
            return attend(q, k, v, causal=True, dropout=rate)
        return attend(q, k, v, bias=self._bias(q, k.shape[2], mask), dropout=rate)

    def _bias(self, q: Tensor, n_keys: int, mask: Tensor | None) -> Tensor | None:
        """What is added to scores (float), or which keys are real (bool): (n or 1, H or 1, L, K).

        The queries are the last L of K pieces, all of them unless there is a cache.
        """
        n_queries = q.shape[2]
        later = None
        if self.causal and n_queries > 1:
            later = ahead(n_queries, n_keys, device=q.device)
        if self.alibi is None:
            return mask if later is None else ~later
        hidden = later if self.causal else None if mask is None else ~mask
        bias = self.alibi(n_keys, dtype=q.dtype)[None, :, n_keys - n_queries :]
        return bias if hidden is None else bias.masked_fill(hidden, float("-inf"))
