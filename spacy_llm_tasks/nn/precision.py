"""Products of linear layers for prediction, with weights that are prepared once.

    "fp32"  as they are, laid out for oneDNN (see `kernels`); nothing to prepare without it
    "bf16"  weights and inputs rounded to bfloat16 (8 bits of mantissa), summed in float32
    "int8"  weights as 8-bit integers with a scale for each output, chosen once; inputs as 8-bit
            integers with a scale for each row, chosen when they come ("dynamic": Jacob et al. 2018,
            section 2, https://arxiv.org/abs/1712.05877; scales by channel: Krishnamoorthi 2018,
            section 3, https://arxiv.org/abs/1806.08342, and by row: Dettmers et al. 2022, section
            2.1, https://arxiv.org/abs/2208.07339)

In fewer bits, norms and residuals stay in float32; what only another product reads, such as the
heads of attention, may be bfloat16. Prepared weights are made from the float32 ones when they are
first needed and thrown away when those change: a model keeps its float32 weights, is saved from
them, and can be trained in float32 or bf16.
"""

from __future__ import annotations

import warnings
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import Errors
from . import kernels

PRECISIONS = ("fp32", "bf16", "int8")
# Integers of inputs are stored without a sign: this one stands for 0.
ZERO = 128
LARGEST = 127


class Product(Protocol):
    """A linear layer without gradients, with prepared weights."""

    def __call__(self, x: Tensor, *, gelu: bool = False, narrow: bool = False) -> Tensor:
        """(..., in) float32 or bfloat16 -> (..., out) float32; bfloat16 is allowed if `narrow`."""


def check(precision: str) -> str:
    """RETURNS (str): The precision. RAISES (ValueError): if there is no such one."""
    if precision not in PRECISIONS:
        raise ValueError(Errors.E123.format(found=precision, known=", ".join(PRECISIONS)))
    return precision


def pack(weight: Tensor, bias: Tensor | None, precision: str) -> Product | None:
    """Prepare the weights of a linear layer.

    weight (Tensor): (out, in) float32.
    bias (Tensor | None): (out,) float32.
    precision (str): "fp32", "bf16" or "int8".
    RETURNS (Product | None): The layer; None where nothing is gained over `kernels.linear`.
    RAISES (ValueError): if this device or this PyTorch has no such product.
    """
    weight = weight.detach()
    bias = None if bias is None else bias.detach().contiguous()
    if check(precision) == "fp32":
        packed = kernels.prepack(weight)
        return None if packed is None else _Fp32(packed, bias)
    if precision == "bf16":
        return _Bf16(weight, bias)
    if weight.device.type == "cpu" and _has_int8():
        return _Int8(weight, bias)
    return _Int8ByBatch(weight, bias)


def narrows(precision: str, device: torch.device) -> bool:
    """RETURNS (bool): Whether rows between two products of this precision are better off in
    bfloat16: with "int8" only where the processor multiplies it fast."""
    if precision == "int8" and device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return precision != "fp32"


class _Fp32:
    def __init__(self, packed: Tensor, bias: Tensor | None) -> None:
        self.packed = packed
        self.bias = bias

    def __call__(self, x: Tensor, *, gelu: bool = False, narrow: bool = False) -> Tensor:
        return kernels.packed_linear(x, self.packed, self.bias, gelu=gelu)


class _Bf16:
    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        rounded = weight.to(torch.bfloat16)
        self.packed = kernels.prepack(rounded)
        self.weight: Any = rounded if self.packed is None else None
        self.bias = None if bias is None else bias.to(torch.bfloat16)

    def __call__(self, x: Tensor, *, gelu: bool = False, narrow: bool = False) -> Tensor:
        x = x.to(torch.bfloat16)
        if self.packed is not None:
            y = kernels.packed_linear(x, self.packed, self.bias, gelu=gelu)
        else:
            y = F.linear(x, self.weight, self.bias)
            y = F.gelu(y) if gelu else y
        return y if narrow else y.to(torch.float32)


class _Int8:
    """By oneDNN. With a scale for each row, a row's result does not depend on its batch."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        scales, rounded = _quantised(weight)
        self.scales, self.bias = scales, bias
        self.zeros = torch.zeros(len(weight), dtype=torch.int64)
        self.packed = torch.ops.onednn.qlinear_prepack(rounded, None)
        self.narrows = narrows("int8", weight.device)

    def __call__(self, x: Tensor, *, gelu: bool = False, narrow: bool = False) -> Tensor:
        rows = x.reshape(-1, x.shape[-1]).to(torch.float32)
        shape = (*x.shape[:-1], len(self.scales))
        if not rows.numel():
            return rows.new_zeros(shape)
        # twice as fast as the largest of all absolute values
        steps = torch.maximum(rows.amax(1, keepdim=True), rows.amin(1, keepdim=True).neg_())
        steps = steps.clamp_(min=torch.finfo(torch.float32).tiny).div_(LARGEST)  # (T, 1)
        levels = _rounded(rows / steps)
        y = torch.ops.onednn.qlinear_pointwise(
            levels, 1.0, ZERO, self.packed, self.scales, self.zeros, None,
            1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        y = y.mul_(steps) if self.bias is None else torch.addcmul(self.bias, y, steps, out=y)
        if gelu:
            torch.ops.aten.gelu_(y)
        if narrow and self.narrows:
            y = y.to(torch.bfloat16)
        return y.view(shape)


class _Int8ByBatch:
    """By PyTorch's older kernels, for processors without VNNI: one scale for all rows."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        engines = [name for name in torch.backends.quantized.supported_engines if name != "none"]
        if weight.device.type != "cpu" or not engines:
            raise ValueError(Errors.E124.format(device=weight.device))
        scales, _ = _quantised(weight)
        zeros = torch.zeros(len(weight), dtype=torch.int64)
        with warnings.catch_warnings():  # deprecated as a kind of tensor; the product is not
            warnings.simplefilter("ignore", UserWarning)
            rounded = torch.quantize_per_channel(weight, scales, zeros, axis=0, dtype=torch.qint8)
            self.packed: Any = torch.ops.quantized.linear_prepack(rounded, bias)
        # Processors without VNNI add two 8-bit products up in 16 bits: inputs then get 7.
        self.reduce_range = not torch.cpu._is_vnni_supported()

    def __call__(self, x: Tensor, *, gelu: bool = False, narrow: bool = False) -> Tensor:
        y = torch.ops.quantized.linear_dynamic(
            x.to(torch.float32).contiguous(), self.packed, reduce_range=self.reduce_range
        )
        return F.gelu(y) if gelu else y


def _quantised(weight: Tensor) -> tuple[Tensor, Tensor]:
    """(out, in) -> (out,) float32 scales and (out, in) int8 weights, whose product they are."""
    tiny = torch.finfo(torch.float32).tiny
    scales = weight.abs().amax(dim=1).clamp(min=tiny) / LARGEST
    return scales, (weight / scales[:, None]).round().clamp(-LARGEST, LARGEST).to(torch.int8)


def _rounded(x: Tensor) -> Tensor:
    """(T, in), overwritten -> (T, in) uint8: the nearest whole numbers, and `ZERO` more."""
    signed = x.round_().to(torch.int8)  # four times as fast as to uint8
    return signed.view(torch.uint8).bitwise_xor_(ZERO)  # of two's complement: adds 128


def _has_int8() -> bool:
    return (
        torch.cpu._is_vnni_supported()
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.onednn, "qlinear_pointwise")
    )
