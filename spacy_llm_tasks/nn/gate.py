"""The gate of a feed-forward network, with a backward pass that copies nothing.

For rows [a | b] (T, 2F) of gates and values, an activation f, and g = dL/dy:

    y = f(a) * b  (T, F)         dL/da = g * b * f'(a)         dL/db = g * f(a)

Plain autograd makes both halves of dL/d[a | b] for themselves, three matrices of (T, F) with what
lies in between, and then copies them side by side. Here the same operations write them into the
one matrix: the same gradient to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

# Activation -> f, and g * f'(a) for given g and a.
_KNOWN: Mapping[str, tuple[Callable[[Tensor], Tensor], Callable[..., Tensor]]] = MappingProxyType(
    {
        "gelu": (F.gelu, torch.ops.aten.gelu_backward.grad_input),
        "silu": (F.silu, torch.ops.aten.silu_backward.grad_input),
    }
)


def gated(inner: Tensor, activation: str) -> Tensor:
    """Multiply values by their gates.

    inner (Tensor): (..., 2F) gates, then values.
    activation (str): What gates go through: "gelu" or "silu".
    RETURNS (Tensor): (..., F)
    """
    if torch.is_grad_enabled() and inner.requires_grad and not torch.compiler.is_compiling():
        return _Gated.apply(inner, activation)
    gate, value = inner.chunk(2, dim=-1)
    return _KNOWN[activation][0](gate) * value


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inner: Tensor, activation: str) -> Tensor:
        gate, value = inner.chunk(2, dim=-1)
        bent = _KNOWN[activation][0](gate)
        ctx.save_for_backward(inner, bent)
        ctx.activation = activation
        return bent * value

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        inner, bent = ctx.saved_tensors
        gate, value = inner.chunk(2, dim=-1)
        gradient = torch.empty_like(inner)
        d_gate, d_value = gradient.chunk(2, dim=-1)
        torch.mul(g, bent, out=d_value)
        torch.mul(g, value, out=d_gate)
        _KNOWN[ctx.activation][1](d_gate, gate, grad_input=d_gate)
        return gradient, None
