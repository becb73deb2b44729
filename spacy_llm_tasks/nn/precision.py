"""Linear layers in fewer bits, for prediction: half the memory traffic, or a quarter of it.

    "bf16"  weights and inputs rounded to bfloat16 (8 bits of mantissa), summed in float32
    "int8"  weights as 8-bit integers with a scale for each output, chosen once; inputs as 8-bit
            integers with one scale, chosen from each batch ("dynamic": Jacob et al. 2018, section
            2, https://arxiv.org/abs/1712.05877; per-channel scales: Krishnamoorthi 2018, section 3,
            https://arxiv.org/abs/1806.08342)

Everything between the linear layers (norms, attention, residuals) stays in float32. The rounded
weights are made from the float32 ones when they are first needed and thrown away when those change:
a model keeps its float32 weights, is saved from them, and can be trained in float32 or bf16.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import Errors

PRECISIONS = ("fp32", "bf16", "int8")

Product = Callable[[Tensor], Tensor]


def check(precision: str) -> str:
    """RETURNS (str): The precision. RAISES (ValueError): if there is no such one."""
    if precision not in PRECISIONS:
        raise ValueError(Errors.E123.format(found=precision, known=", ".join(PRECISIONS)))
    return precision


def pack(weight: Tensor, bias: Tensor | None, precision: str) -> Product:
    """Round the weights of a linear layer.

    weight (Tensor): (out, in) float32.
    bias (Tensor | None): (out,) float32.
    precision (str): "bf16" or "int8".
    RETURNS (Callable): (T, in) float32 -> (T, out) float32, without gradients.
    RAISES (ValueError): if this device or this PyTorch has no such product.
    """
    weight = weight.detach()
    bias = None if bias is None else bias.detach()
    return _Bf16(weight, bias) if check(precision) == "bf16" else _Int8(weight, bias)


class _Bf16:
    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight = weight.to(torch.bfloat16)
        self.bias = None if bias is None else bias.to(torch.bfloat16)

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x.to(torch.bfloat16), self.weight, self.bias).to(x.dtype)


class _Int8:
    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        engines = [name for name in torch.backends.quantized.supported_engines if name != "none"]
        if weight.device.type != "cpu" or not engines:
            raise ValueError(Errors.E124.format(device=weight.device))
        scales = weight.abs().amax(dim=1).clamp(min=torch.finfo(torch.float32).tiny) / 127
        zeros = torch.zeros(len(weight), dtype=torch.int64)
        with warnings.catch_warnings():  # deprecated as a kind of tensor; the product is not
            warnings.simplefilter("ignore", UserWarning)
            rounded = torch.quantize_per_channel(weight, scales, zeros, axis=0, dtype=torch.qint8)
            self.packed: Any = torch.ops.quantized.linear_prepack(rounded, bias)
        # Processors without VNNI add two 8-bit products up in 16 bits: inputs then get 7.
        self.reduce_range = not getattr(torch.cpu, "_is_vnni_supported", bool)()

    def __call__(self, x: Tensor) -> Tensor:
        return torch.ops.quantized.linear_dynamic(
            x.contiguous(), self.packed, reduce_range=self.reduce_range
        )
