"""Attention on packed rows as they are, by the GPU's kernels for sequences of any length.

Groups of near-equal lengths (`packing`) are what a CPU wants. On a GPU they are many small kernels,
and two kernels that PyTorch carries take the packed matrix and the bounds of its sequences instead:

    "flash"      float16 and bfloat16 (Dao 2023, https://arxiv.org/abs/2307.08691)
    "efficient"  float32 too (Rabe & Staats 2021, https://arxiv.org/abs/2112.05682), but not with
                 dropout: on sequences of several lengths its gradient is then a wrong one

No padding, no mask, one launch a layer. Nested tensors reach the same kernels, at several times the
cost of the launch. The operators are not public, so each is tried on a small batch, for each kind
of number and width of a head, before it is trusted; where none passes, groups do it.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from .packing import Packing

KERNELS = ("flash", "efficient")
_HALF = (torch.float16, torch.bfloat16)


def suits(q: Tensor, *, dropout: float = 0.0) -> bool:
    """Whether there is such a kernel: never on a CPU.

    q (Tensor): (T, H, D) queries.
    dropout (float): Rate on the weights.
    RETURNS (bool): Whether `attend_packed` takes them.
    """
    if q.device.type != "cuda" or not len(q):
        return False
    kernel = _kernel(q.device, _dtype(q), q.shape[-1])
    return kernel == "flash" or (kernel == "efficient" and not dropout)


def attend_packed(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    packing: Packing,
    memory_packing: Packing | None = None,
    *,
    causal: bool = False,
    dropout: float = 0.0,
) -> Tensor:
    """Let each query gather the values of its own sequence whose keys it matches.

    q (Tensor): (T, H, D) queries that `suits` has said yes to.
    k, v (Tensor): (S, H, D) keys and values.
    packing (Packing): Of the queries.
    memory_packing (Packing | None): Of keys and values, as many sequences; None: the same, S = T.
    causal (bool): Whether a query sees only keys up to its own place.
    dropout (float): Rate on the weights.
    RETURNS (Tensor): (T, H * D), the heads side by side.
    """
    memory = packing if memory_packing is None else memory_packing
    dtype = _dtype(q)
    q, k, v = (x.to(dtype) for x in (q, k, v))
    kernel = _kernel(q.device, dtype, q.shape[-1])
    return _run(kernel, q, k, v, packing, memory, causal, dropout).flatten(1)


def _dtype(q: Tensor) -> torch.dtype:
    """These operators do not know of autocast: it is looked up here."""
    return torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else q.dtype


def _run(
    kernel: str,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    queries: Packing,
    memory: Packing,
    causal: bool,
    dropout: float,
) -> Tensor:
    """(T, H, D), (S, H, D), (S, H, D) -> (T, H, D)"""
    bounds = queries.bounds, memory.bounds, queries.max_length, memory.max_length
    if kernel == "flash":
        flash = torch.ops.aten._flash_attention_forward
        return flash(q, k, v, *bounds, dropout, causal, False)[0]
    efficient = torch.ops.aten._efficient_attention_forward
    needs_gradient = torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v))
    one = (x[None] for x in (q, k, v))  # a batch of one row of sequences
    return efficient(*one, None, *bounds, dropout, int(causal), needs_gradient)[0][0]


@cache
def _kernel(device: torch.device, dtype: torch.dtype, width: int) -> str:
    """The first kernel that gives what plain attention gives; "" if none does."""
    for kernel in KERNELS:
        if kernel == "flash" and dtype not in _HALF:
            continue
        if _agrees(kernel, device, dtype, width):
            return kernel
    return ""


def _agrees(kernel: str, device: torch.device, dtype: torch.dtype, width: int) -> bool:
    """Compare a kernel with plain attention on a batch of odd lengths."""
    generator = torch.Generator(device).manual_seed(0)
    packing = Packing.from_lengths([3, 1, 18], device=device)
    qkv = torch.randn(packing.n_rows, 3, 2, width, device=device, generator=generator).to(dtype)
    q, k, v = qkv.unbind(1)
    try:
        with torch.no_grad(), torch.autocast("cuda", enabled=False):
            found = _run(kernel, q, k, v, packing, packing, False, 0.0)
            across = [x.transpose(0, 1) for x in (q, k, v)]  # (H, T, D)
            parts = []
            for a, z in pairwise([0, 3, 4, 22]):
                one, other, values = (x[:, a:z] for x in across)
                parts.append(F.scaled_dot_product_attention(one, other, values))
            expected = torch.cat(parts, dim=1).transpose(0, 1)
            atol = 1e-5 if dtype == torch.float32 else 0.05
            return bool(torch.allclose(found, expected, atol=atol, rtol=0.05))
    except (RuntimeError, AttributeError, TypeError):  # not there, or not for this device
        return False
