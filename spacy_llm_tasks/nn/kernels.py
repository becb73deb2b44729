"""The linear layer, where a Transformer spends three quarters of its time, on the fastest kernel.

PyTorch multiplies float32 matrices on the CPU with the vendor library it was built with. On some
processors (AMD's with AVX-512) that library misses the widest instructions, and oneDNN, which
PyTorch also carries and uses for bfloat16, is twice as fast at the same precision. Nobody can know
from a processor's name which one wins, so the first product is preceded by a short race.

    "onednn"  torch.ops.mkldnn._linear_pointwise, for float32 matrices on the CPU
    "plain"   torch.nn.functional.linear, for everything else, and where it is the faster one

`use` or the environment variable SPACY_LLM_TASKS_KERNEL settles the choice by hand. Both agree to
float32 rounding, not to the bit: a run that must repeat another one exactly sets its kernel.

oneDNN writes machine code for every shape that it meets, which takes 1 to 2 ms and about 1 MB for
each kind of product, and keeps it. Packed batches hardly ever have the same number of rows twice,
so the encoder fills them up to `n_rows_for`: few shapes, for a few rows of zeros.

For y = x Wᵀ + b (x (T, in), W (out, in)) and g = dL/dy, training needs two more products, which
oneDNN computes as linear layers of transposed views:

    dL/dx = g W  (T, in)        dL/dW = gᵀ x  (out, in)        dL/db = sum of the rows of g
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import Errors

KERNELS = ("onednn", "plain")
ENVIRONMENT = "SPACY_LLM_TASKS_KERNEL"

_chosen: str | None = None


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A linear layer: y = x Wᵀ + b.

    x (Tensor): (..., in)
    weight (Tensor): (out, in)
    bias (Tensor | None): (out,)
    RETURNS (Tensor): (..., out)
    """
    if not _suits_onednn(x, weight):
        return F.linear(x, weight, bias)
    rows = x.reshape(-1, x.shape[-1])
    if _needs_gradient(x, weight, bias):
        y = _OneDnnLinear.apply(rows, weight, bias)
    else:
        y = _onednn(rows, weight, bias)
    return y.view(*x.shape[:-1], len(weight))


def linear_gelu(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A linear layer and the exact (erf) GELU behind it, in one pass over memory where possible.

    x (Tensor): (..., in)
    weight (Tensor): (out, in)
    bias (Tensor | None): (out,)
    RETURNS (Tensor): (..., out)
    """
    if _needs_gradient(x, weight, bias) or not _suits_onednn(x, weight):
        return F.gelu(linear(x, weight, bias))
    y = _onednn(x.reshape(-1, x.shape[-1]), weight, bias, activation="gelu")
    return y.view(*x.shape[:-1], len(weight))


def prepack(weight: Tensor) -> Tensor | None:
    """Lay weights out as oneDNN reads them, once instead of in every product.

    weight (Tensor): (out, in) float32 or bfloat16 on the CPU.
    RETURNS (Tensor | None): The weights in a form that only `packed_linear` understands; None where
        oneDNN is not in use, or has no such product for this processor. Products of few rows take
        half the time with it, those of many are some percent faster.
    """
    if weight.device.type != "cpu" or is_traced() or not weight.numel() or current() != "onednn":
        return None
    if weight.dtype == torch.bfloat16 and not _has_bf16():
        return None
    reorder = getattr(torch.ops.mkldnn, "_reorder_linear_weight", None)
    return None if reorder is None else reorder(weight.contiguous())


def packed_linear(x: Tensor, packed: Tensor, bias: Tensor | None, *, gelu: bool = False) -> Tensor:
    """A linear layer with prepacked weights, without gradients.

    x (Tensor): (..., in) of the type of the weights.
    packed (Tensor): From `prepack`, of (out, in).
    bias (Tensor | None): (out,) of the same type, without gaps between its numbers.
    gelu (bool): Whether the exact GELU follows.
    RETURNS (Tensor): (..., out)
    """
    rows = x.reshape(-1, x.shape[-1])
    if not rows.numel():
        return x.new_zeros((*x.shape[:-1], packed.shape[0]))
    y = _onednn(rows, packed, bias, activation="gelu" if gelu else "none")
    return y.view(*x.shape[:-1], packed.shape[0])


def is_traced() -> bool:
    """RETURNS (bool): Whether operations are being recorded for a compiler or another runtime, so
    that nothing may be done that only PyTorch knows or that depends on the sizes of this batch."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def n_rows_for(n: int, device: torch.device) -> int:
    """How many rows a packed batch should be given.

    n (int): T, the rows it has.
    device (torch.device): Where it is.
    RETURNS (int): At least T and at most 7 more, or a sixteenth of T more, or 63 more; on a CPU.
        Other devices have no shapes to learn, and a single row, of which text generation has many,
        is a shape of its own.
    """
    if device.type != "cpu" or n == 1:
        return n
    step = min(64, max(8, 2 ** max(0, n.bit_length() - 5)))
    return -(-n // step) * step


def with_spare_rows(rows: Tensor) -> Tensor:
    """Fill a packed batch up with rows of zeros.

    rows (Tensor): (T, W)
    RETURNS (Tensor): (n_rows_for(T), W)
    """
    spare = n_rows_for(len(rows), rows.device) - len(rows)
    return F.pad(rows, (0, 0, 0, spare)) if spare else rows


def use(name: str | None) -> None:
    """Choose the kernel by hand.

    name (str | None): "onednn" or "plain"; None: the faster one, measured at the next product.
    RAISES (ValueError): No such kernel, or this build of PyTorch does not have it.
    """
    global _chosen
    if name is not None and name not in KERNELS:
        raise ValueError(Errors.E108.format(found=name, known=", ".join(KERNELS)))
    if name == "onednn" and not available():
        raise ValueError(Errors.E110.format(version=torch.__version__))
    _chosen = name


def current() -> str:
    """RETURNS (str): The kernel in use for float32 on the CPU; chosen now if it was not yet."""
    if _chosen is None:
        use(os.environ.get(ENVIRONMENT) or _race())
    return _chosen or "plain"


def available() -> bool:
    """RETURNS (bool): Whether this PyTorch has oneDNN and its linear layer."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


class _OneDnnLinear(torch.autograd.Function):
    """The linear layer and its three gradients, all by oneDNN."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _onednn(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        g = g.contiguous()
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        return (
            _onednn(g, weight.t()) if needs_x else None,
            _weight_gradient(g, x) if needs_weight else None,
            g.sum(0) if needs_bias else None,
        )


def _weight_gradient(g: Tensor, x: Tensor) -> Tensor:
    """(T, out), (T, in) -> (out, in): gᵀ x.

    oneDNN wants its first operand in rows, so one of the two must be copied: the narrower one.
    """
    if g.shape[1] <= x.shape[1]:
        return _onednn(g.t().contiguous(), x.t())
    return _onednn(x.t().contiguous(), g.t()).t()


def _onednn(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, activation: str = "none"
) -> Tensor:
    """(T, in), (out, in) -> (T, out)"""
    algorithm = "none" if activation == "gelu" else ""  # GELU: exact, not by tanh
    bias = bias if bias is None else bias.contiguous()  # the operator ignores a bias's stride
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], algorithm)


def _suits_onednn(x: Tensor, weight: Tensor) -> bool:
    return (
        x.dtype == weight.dtype == torch.float32
        and x.device.type == weight.device.type == "cpu"
        and not is_traced()  # compilers take this operator for constant weights only
        and x.numel() > 0
        and not torch.is_autocast_enabled("cpu")
        and current() == "onednn"
    )


def _has_bf16() -> bool:
    """RETURNS (bool): Whether oneDNN multiplies bfloat16 here: not with AVX2 alone, for one."""
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return supported is not None and bool(supported())


def _needs_gradient(*tensors: Tensor | None) -> bool:
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


@torch.no_grad()
def _race(rounds: int = 6) -> str:
    """Run both kernels on a small layer, a few milliseconds each; the best rounds decide."""
    if not available():
        return "plain"
    x, weight, bias = torch.ones(256, 384), torch.ones(384, 384), torch.ones(384)
    plain, onednn = F.linear(x, weight, bias), _onednn(x, weight, bias)
    if not torch.allclose(plain, onednn):
        return "plain"
    best = {"plain": float("inf"), "onednn": float("inf")}
    runners: dict[str, Callable[..., Tensor]] = {"plain": F.linear, "onednn": _onednn}
    for _ in range(rounds):
        for name, runner in runners.items():
            start = time.perf_counter()
            runner(x, weight, bias)
            best[name] = min(best[name], time.perf_counter() - start)
    return "onednn" if best["onednn"] < best["plain"] else "plain"
