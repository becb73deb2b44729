"""softmax(Q Kᵀ / sqrt(D)) V, by the fastest way there is for these numbers.

PyTorch's fused kernel never stores the (L, L) weights, and is the fastest for float32. On a CPU it
is slow in bfloat16, however: forward and backward together it takes 4 to 6 times as long as two
batched products with a softmax between them at lengths up to 128, and more than twice as long at
256 and 512, where the weights begin to cost memory. So bfloat16 goes the plain way there, up to
`LONGEST_STORED`. Its scores are rounded to bfloat16, as the rest of such a run is.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

LONGEST_STORED = 512


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
        mixed = _stored(q, k, v, bias, causal)
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
        q.dtype == torch.bfloat16
        and q.device.type == "cpu"
        and dropout == 0.0
        and (bias is None or bias.dtype == torch.bool)
        and max(q.shape[2], k.shape[2]) <= LONGEST_STORED
    )


def _stored(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, causal: bool) -> Tensor:
    """The same by two products, with the weights stored in between."""
    (n, n_heads, n_queries, width), n_keys = q.shape, k.shape[2]
    flat = (n * n_heads, -1, width)
    scores = torch.bmm((q * width**-0.5).reshape(flat), k.reshape(flat).transpose(1, 2))
    unseen = ahead(n_queries, n_keys, device=q.device) if causal else None
    if bias is not None:
        unseen = (~bias).expand(n, n_heads, -1, n_keys).reshape(n * n_heads, -1, n_keys)
    if unseen is not None:
        scores = scores.masked_fill(unseen, float("-inf"))
    return torch.bmm(scores.softmax(dim=-1), v.reshape(flat)).view(n, n_heads, n_queries, width)
