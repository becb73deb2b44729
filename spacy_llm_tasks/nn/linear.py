"""A linear layer y = x Wᵀ + b on the fastest product of this machine, exact or in fewer bits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from . import kernels
from .precision import Product, check, pack


class Linear(nn.Linear):
    """`torch.nn.Linear` by `kernels.linear`; same parameters and names.

    Predictions use weights that are prepared for them: laid out anew, and rounded if a `precision`
    below float32 was chosen. They are made at the first prediction, and anew when the weights have
    changed.
    """

    precision = "fp32"
    _packed: Product | None = None
    _packed_from: tuple[int, int] | None = None

    def forward(self, x: Tensor, *, narrow: bool = False) -> Tensor:
        """Apply the layer.

        x (Tensor): (..., in)
        narrow (bool): Whether the result may come in bfloat16 if the precision is below float32,
            since other products read it and nothing else.
        RETURNS (Tensor): (..., out)
        """
        product = self._product(x)
        if product is None:
            return kernels.linear(x, self.weight, self.bias)
        return product(x, narrow=narrow)

    def gelu(self, x: Tensor, *, narrow: bool = False) -> Tensor:
        """Apply the layer and the exact GELU behind it.

        x (Tensor): (..., in)
        narrow (bool): As for the layer alone.
        RETURNS (Tensor): (..., out)
        """
        product = self._product(x)
        if product is None:
            return kernels.linear_gelu(x, self.weight, self.bias)
        return product(x, gelu=True, narrow=narrow)

    def set_precision(self, precision: str) -> None:
        """Choose the precision of products without gradients. Drops the weights made before.

        precision (str): "fp32", "bf16" or "int8".
        RAISES (ValueError): if there is no such precision.
        """
        self.precision = check(precision)
        self._drop()

    def _product(self, x: Tensor) -> Product | None:
        """The prepared layer, where there is one to be used."""
        exact = self.precision == "fp32"
        if torch.is_grad_enabled() or (exact and self.training):
            self._drop()  # a step of training follows, which may not show in the version below
            return None
        if exact and not _suits_packing(x, self.weight):
            return None
        if kernels.is_traced():  # rounding becomes a part of the graph
            return pack(self.weight, self.bias, self.precision)
        made_from = (self.weight.data_ptr(), _version(self.weight))
        if self._packed_from != made_from:
            self._packed = pack(self.weight, self.bias, self.precision)
            self._packed_from = made_from
        return self._packed

    def _drop(self) -> None:
        if self._packed_from is not None:
            self._packed = self._packed_from = None

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles hold: the float32 weights, of which the others are made again."""
        return {**self.__dict__, "_packed": None, "_packed_from": None}


def set_precision(module: nn.Module, precision: str) -> None:
    """Choose the precision of all linear layers of a model, dropping weights made before.

    module (nn.Module): The model.
    precision (str): "fp32", "bf16" or "int8".
    RAISES (ValueError): if there is no such precision.
    """
    for layer in module.modules():
        if isinstance(layer, Linear):
            layer.set_precision(precision)


def _suits_packing(x: Tensor, weight: Tensor) -> bool:
    return (
        x.dtype == weight.dtype == torch.float32
        and x.device.type == weight.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
        and not kernels.is_traced()
        and kernels.current() == "onednn"
    )


def _version(weight: Tensor) -> int:
    """A number that grows when operators write to a tensor; some optimizers go past it."""
    return 0 if weight.is_inference() else weight._version
