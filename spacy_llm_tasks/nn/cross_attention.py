"""Attention from one batch of sequences to another: how a decoder reads what an encoder made.

    Attention(Q, K, V) = softmax(Q Kᵀ / sqrt(D)) V        with Q from x, K and V from the memory

(Vaswani et al. 2017, section 3.2.3, https://arxiv.org/abs/1706.03762). A query sees its own
sequence's memory, all of it; positions play no part here, since the memory's rows know theirs.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from .cache import LayerCache
from .config import TransformerConfig
from .crossing import Crossing
from .dropout import Dropout
from .linear import Linear
from .norms import unit_rms
from .softmax_attention import attend
from .varlen_attention import attend_packed, suits


class CrossAttention(nn.Module):
    """Lets each piece gather what it needs from the memory of its sequence.

    config (TransformerConfig): Width (also the memory's), heads, attention dropout.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.norm_eps = config.norm_eps if config.qk_norm else None
        self.dropout = Dropout(config.attention_dropout)
        self.query = Linear(config.width, config.width, bias=config.bias)
        # rows of the weight: W of keys, W of values
        self.kv = Linear(config.width, 2 * config.width, bias=config.bias)
        self.output = Linear(config.width, config.width, bias=config.bias)

    def forward(
        self, x: Tensor, memory: Tensor, crossing: Crossing, cache: LayerCache | None = None
    ) -> Tensor:
        """Attention to a memory.

        x (Tensor): (T, W) packed rows; spare rows may follow, which belong to no sequence.
        memory (Tensor): (S, W) packed rows of the memory, spare ones too.
        crossing (Crossing): Which rows of both belong together.
        cache (LayerCache | None): Keeps the keys and values of the memory, which are computed in
            the first call only.
        RETURNS (Tensor): (T, W), with as many spare rows.
        """
        n_rows = crossing.queries.n_rows
        q = self._unit(self.query(x)[:n_rows].view(n_rows, self.n_heads, -1))  # (T, H, D)
        spare = len(x) - n_rows
        if cache is not None:
            keys, values = self._remembered(memory, crossing, cache)
            rate = self.dropout.p if self.training else 0.0
            mixed = attend(q.transpose(0, 1)[None], keys, values, dropout=rate)[0]
            return self.output(F.pad(mixed, (0, 0, 0, spare)))
        k, v = self._keys_and_values(memory, crossing)
        return self.output(self.mix(q, k, v, crossing, spare=spare))

    def mix(self, q: Tensor, k: Tensor, v: Tensor, crossing: Crossing, *, spare: int = 0) -> Tensor:
        """Where rows meet: the softmax and the sums, by groups or by a kernel that needs none.

        q (Tensor): (T, H, D) queries.
        k, v (Tensor): (S, H, D) keys and values.
        crossing (Crossing): Which rows of both belong together.
        spare (int): Rows of zeros to put behind the last.
        RETURNS (Tensor): (T + spare, W), the heads side by side.
        """
        rate = self.dropout.p if self.training else 0.0
        if suits(q, dropout=rate):
            mixed = attend_packed(q, k, v, crossing.queries, crossing.memory, dropout=rate)
            return F.pad(mixed, (0, 0, 0, spare))
        parts = []
        for group, q_part, k_part, v_part in zip(
            crossing.memory.groups,
            crossing.queries.split(q),
            crossing.memory.split(k),
            crossing.memory.split(v),
            strict=True,
        ):
            heads = (part.transpose(1, 2) for part in (q_part, k_part, v_part))  # (n, H, L, D)
            parts.append(attend(*heads, bias=group.mask, dropout=rate))
        return crossing.queries.merge(parts, spare=spare)

    def _keys_and_values(self, memory: Tensor, crossing: Crossing) -> tuple[Tensor, Tensor]:
        """(S, W) -> (S, H, D) each"""
        n_rows = crossing.memory.n_rows
        k, v = self.kv(memory)[:n_rows].view(n_rows, 2, self.n_heads, -1).unbind(1)
        return self._unit(k), v

    def _remembered(
        self, memory: Tensor, crossing: Crossing, cache: LayerCache
    ) -> tuple[Tensor, Tensor]:
        """(S, W) of the one sequence of a cache -> (1, H, S, D) each"""
        if cache.memory is None:
            k, v = self._keys_and_values(memory, crossing)
            cache.memory = k.transpose(0, 1)[None], v.transpose(0, 1)[None]
        return cache.memory

    def _unit(self, heads: Tensor) -> Tensor:
        return heads if self.norm_eps is None else unit_rms(heads, eps=self.norm_eps)
