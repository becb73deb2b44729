"""A linear layer y = x Wᵀ + b on the fastest product of this machine, exact or in fewer bits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import kernels
from .precision import Product, check, pack


class Linear(nn.Linear):
    """`torch.nn.Linear` by `kernels.linear`; same parameters and names.

    With a `precision` below float32, products without gradients use weights in that precision.
    """

    precision = "fp32"
    _packed: Product | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)"""
        if self._is_exact:
            return kernels.linear(x, self.weight, self.bias)
        return self._in_fewer_bits(x)

    def gelu(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out), with the exact GELU behind it."""
        if self._is_exact:
            return kernels.linear_gelu(x, self.weight, self.bias)
        return F.gelu(self._in_fewer_bits(x))

    def set_precision(self, precision: str) -> None:
        """Choose the precision of products without gradients. Drops the weights made before.

        precision (str): "fp32", "bf16" or "int8".
        RAISES (ValueError): if there is no such precision.
        """
        self.precision = check(precision)
        self._packed = None

    @property
    def _is_exact(self) -> bool:
        return self.precision == "fp32" or torch.is_grad_enabled()

    def _in_fewer_bits(self, x: Tensor) -> Tensor:
        if self._packed is None:
            self._packed = pack(self.weight, self.bias, self.precision)
        return self._packed(x)

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles hold: the float32 weights, of which the others are made again."""
        return {**self.__dict__, "_packed": None}


def set_precision(module: nn.Module, precision: str) -> None:
    """Choose the precision of all linear layers of a model, dropping weights made before.

    module (nn.Module): The model.
    precision (str): "fp32", "bf16" or "int8".
    RAISES (ValueError): if there is no such precision.
    """
    for layer in module.modules():
        if isinstance(layer, Linear):
            layer.set_precision(precision)
