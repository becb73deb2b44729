"""softmax(Q Kᵀ / sqrt(D)) V, by the fastest way there is for these numbers.

PyTorch's fused kernel never stores the (L, L) weights, and is the fastest for float32. On a CPU it
is slow in bfloat16, however: forward and backward together it takes 4 to 6 times as long as two
batched products with a softmax between them at lengths up to 128, and more than twice as long at
256 and 512, where the weights begin to cost memory; forward alone, twice as long. So bfloat16 goes
the plain way there, up to `LONGEST_STORED`. Its scores are rounded to bfloat16, as the rest of such
a run is. Dropout goes that way too: the fused kernel has none on a CPU, and what PyTorch does
instead stores the weights as well, several times.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .dropout import dropout as apply_dropout

LONGEST_STORED = 512
# Without gradients, keys are padded to a multiple of this up to `LONGEST_EVEN`: softmax over 160
# bfloat16 numbers takes half the time of softmax over 155, and heads are copied anyway.
EVEN = 32
LONGEST_EVEN = 256
# They are made for so many (query, key) pairs at a time, which stay in a core's cache.
CELLS = 2**20


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    bias: Tensor | None = None,
    causal: bool = False,
    dropout: float = 0.0,
) -> Tensor:
    """Let each query gather the values whose keys it matches.

    q (Tensor): (n, H, L, D) queries.
    k, v (Tensor): (n, H, K, D) keys and values.
    bias (Tensor | None): What is added to scores (float), or which keys are seen (bool), of a shape
        that expands to (n, H, L, K).
    causal (bool): Whether query i sees keys 0 to i only; without a bias, and with K = L.
    dropout (float): Rate on the weights.
    RETURNS (Tensor): (n, L, H * D), the heads side by side.
    """
    if _suits_storing(q, k, bias, dropout):
        mixed = _stored(q, k, v, bias, causal, dropout)
    else:
        mixed = F.scaled_dot_product_attention(
            q, k, v, attn_mask=bias, dropout_p=dropout, is_causal=causal
        )
    return mixed.transpose(1, 2).flatten(2)


def ahead(n_queries: int, n_keys: int, *, device: torch.device) -> Tensor:
    """RETURNS (Tensor): (n_queries, n_keys) True where a key comes after its query.

    The last query belongs to the last key; keys before the first query are the past.
    """
    ones = torch.ones(n_queries, n_keys, dtype=torch.bool, device=device)
    return ones.triu(1 + n_keys - n_queries)


def _suits_storing(q: Tensor, k: Tensor, bias: Tensor | None, dropout: float) -> bool:
    return (
        q.device.type == "cpu"
        and (q.dtype == torch.bfloat16 or dropout > 0.0)
        and (bias is None or bias.dtype == torch.bool)
        and max(q.shape[2], k.shape[2]) <= LONGEST_STORED
    )


def _stored(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, causal: bool, rate: float
) -> Tensor:
    """The same by two products, with the weights stored in between."""
    n_queries, n_keys = q.shape[2], k.shape[2]
    seen = ~ahead(n_queries, n_keys, device=q.device) if causal else bias
    if seen is not None:
        seen = seen.view((1,) * (4 - seen.dim()) + seen.shape)
    if torch.is_grad_enabled() or rate:
        return _mixed(q, k, v, seen, rate)
    padding = -n_keys % EVEN if n_keys < LONGEST_EVEN else 0
    if padding:
        k, v = F.pad(k, (0, 0, 0, padding)), F.pad(v, (0, 0, 0, padding))
        if seen is None:
            seen = torch.ones(1, 1, 1, n_keys, dtype=torch.bool, device=q.device)
        seen = F.pad(seen, (0, padding))
    n = max(1, CELLS // (q.shape[1] * n_queries * k.shape[2]))
    parts = []
    for first in range(0, len(q), n):
        some = slice(first, first + n)
        theirs = seen if seen is None or len(seen) == 1 else seen[some]
        parts.append(_mixed(q[some], k[some], v[some], theirs))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _mixed(q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None, rate: float = 0.0) -> Tensor:
    """(n, H, L, D), (n, H, K, D) twice, (n or 1, H or 1, L or 1, K) bool -> (n, H, L, D)"""
    query, key, value = (x.flatten(0, 1) for x in (q, k, v))  # (n * H, ...)
    key, scale = key.transpose(1, 2), q.shape[3] ** -0.5
    if seen is None:
        scores = torch.baddbmm(q.new_zeros(1, 1, 1), query, key, beta=0, alpha=scale)
    else:
        penalty = q.new_zeros(seen.shape).masked_fill_(~seen, float("-inf"))
        penalty = penalty.expand(*q.shape[:2], -1, -1).flatten(0, 1)
        scores = torch.baddbmm(penalty, query, key, alpha=scale)
    weights = apply_dropout(scores.softmax(dim=-1), rate)
    return torch.bmm(weights, value).view(q.shape)
