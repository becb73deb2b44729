"""The rotation of queries and keys (see `positions`), with a backward pass that is one too.

A head is turned in pairs (a, b) of columns (i, i + D/2), by an angle for each row and pair. With y
for what becomes of them, and g = dL/dy:

    y_a = a cos - b sin        dL/da = g_a cos + g_b sin
    y_b = b cos + a sin        dL/db = g_b cos - g_a sin

so the gradient is turned back by the same angle. Plain autograd stores and adds up four products of
half a head each, and copies queries, keys and values into one matrix once more on either way. Here
all three go through one function, which writes them where they stay. Its products and sums are the
same, but a processor that does both in one instruction rounds once where the plain way does twice.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Numbers that are turned at once on a CPU: what is read again has not left its cache by then.
CELLS_ON_CPU = 2**17


def rotate(qkv: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn queries and keys, and leave values as they are.

    qkv (Tensor): (T, 3, H, D) queries, keys and values.
    cos, sin (Tensor): (T, D/2) of the angle of each pair, of the same type.
    RETURNS (Tensor): (T, 3, H, D).
    """
    cos, sin = cos[:, None, None], sin[:, None, None]
    if torch.is_grad_enabled() and qkv.requires_grad and not torch.compiler.is_compiling():
        return _Rotation.apply(qkv, torch.cat([cos, cos], dim=-1), sin)
    turned = rotate_pairs(qkv[:, :2], cos, sin)
    return torch.cat([turned, qkv[:, 2:]], dim=1)


def rotate_pairs(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn heads, as the formula says it.

    heads (Tensor): (..., D)
    cos, sin (Tensor): (..., D/2), of shapes that expand to those of the heads.
    RETURNS (Tensor): (..., D)
    """
    a, b = heads.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


class _Rotation(torch.autograd.Function):
    """`rotate` with gradients for queries, keys and values; cos (T, 1, 1, D), sin (T, 1, 1, D/2)"""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        turned = torch.empty_like(qkv, memory_format=torch.contiguous_format)
        n_rows, _, n_heads, width = qkv.shape
        n = max(1, CELLS_ON_CPU // (2 * n_heads * width)) if qkv.device.type == "cpu" else n_rows
        parts = (rows.split(n) for rows in (qkv[:, :2], turned[:, :2], cos, sin))
        for part in zip(*parts, strict=True):
            _rotate_into(*part)
        turned[:, 2] = qkv[:, 2]
        return turned

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _Rotation.apply(g, cos, -sin), None, None


def _rotate_into(heads: Tensor, turned: Tensor, cos: Tensor, sin: Tensor) -> None:
    a, b = heads.chunk(2, dim=-1)
    new_a, new_b = turned.chunk(2, dim=-1)
    torch.mul(heads, cos, out=turned)
    new_a.addcmul_(b, sin, value=-1)
    new_b.addcmul_(a, sin)
