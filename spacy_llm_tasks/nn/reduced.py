"""Layers that keep their weights in fewer bits only: small in files and in memory.

    "bf16"  bfloat16, 2 bytes a weight
    "int8"  whole numbers from -127 to 127, 1 byte a weight, and for each row its largest absolute
            weight in float32; a step of a row is a 127th of that

`precision` chooses how a model with float32 weights computes; here these are gone. The products are
the same to the bit: rounding to bfloat16 twice is rounding once, and the largest weight of a row,
which is kept as it was, gives the scale and the whole numbers that `precision` would have chosen.

What is small already stays in float32: norms, biases, tables of positions and segments.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .embeddings import Embeddings
from .linear import Linear
from .precision import LARGEST, Product, check, pack


class ReducedLinear(Linear):
    """A linear layer for predictions alone.

    source (nn.Linear): The layer whose weights it rounds.
    precision (str): "bf16" or "int8".
    """

    largest: Tensor | None

    def __init__(self, source: nn.Linear, precision: str) -> None:
        nn.Module.__init__(self)  # without the float32 weights that the other one would make
        self.in_features, self.out_features = source.in_features, source.out_features
        self.precision = check(precision)
        _hold(self, source.weight, precision)
        bias = None if source.bias is None else source.bias.detach()
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)

    def _product(self, x: Tensor) -> Product | None:
        # One layer at a time, and only until its numbers are laid out for the product.
        if self._packed is None:
            self._packed = pack(_widened(self.weight, self.largest), self.bias, self.precision)
            self._packed_from = (self.weight.data_ptr(), 0)
        return self._packed


class ReducedEmbedding(nn.Module):
    """A table whose rows are widened as they are looked up.

    source (nn.Embedding): The table that it rounds.
    precision (str): "bf16" or "int8".
    """

    weight: Tensor
    largest: Tensor | None

    def __init__(self, source: nn.Embedding, precision: str) -> None:
        super().__init__()
        self.precision = check(precision)
        _hold(self, source.weight, precision)

    def forward(self, pieces: Tensor) -> Tensor:
        """(T,) int64 -> (T, W) float32"""
        largest = None if self.largest is None else self.largest.index_select(0, pieces)
        return _widened(self.weight.index_select(0, pieces), largest)


def reduce(module: nn.Module, *, linear: str, embeddings: str) -> None:
    """Replace all linear layers and piece tables below a module by ones in fewer bits.

    A module of the meta device gets layers of that device: the shapes to load weights into.

    module (nn.Module): The module; its linear layers must be below it.
    linear (str): "bf16" or "int8", for linear layers.
    embeddings (str): "fp32", "bf16" or "int8", for tables of pieces.
    """
    for parent in list(module.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, Linear) and not isinstance(layer, ReducedLinear):
                setattr(parent, name, ReducedLinear(layer, linear))
        if isinstance(parent, Embeddings) and embeddings != "fp32":
            parent.pieces = ReducedEmbedding(parent.pieces, embeddings)  # type: ignore[assignment]


def _hold(layer: nn.Module, weight: Tensor, precision: str) -> None:
    """Give a layer the rounded weights, (rows, W), and for whole numbers what a step is."""
    rounded, largest = _rounded(weight.detach(), precision)
    layer.weight = nn.Parameter(rounded, requires_grad=False)
    layer.register_buffer("largest", largest)


def _rounded(weight: Tensor, precision: str) -> tuple[Tensor, Tensor | None]:
    """(rows, W) -> (rows, W) of the precision, and for int8 (rows,) the largest of each row."""
    if precision == "bf16":
        return weight.to(torch.bfloat16), None
    largest = weight.abs().amax(dim=1)
    levels = (weight / _steps(largest)[:, None]).round().clamp(-LARGEST, LARGEST)
    return levels.to(torch.int8), largest


def _widened(weight: Tensor, largest: Tensor | None) -> Tensor:
    """(n, W) and (n,) -> (n, W) float32. Those at the end of the range are the largest itself, not
    127 times its rounded 127th: from it, the same scale is found again."""
    if largest is None:
        return weight.to(torch.float32)
    levels = weight.to(torch.float32)
    at_end = levels.abs() == LARGEST
    exact = largest[:, None]
    return torch.where(at_end, levels.sign() * exact, levels * _steps(exact))


def _steps(largest: Tensor) -> Tensor:
    return largest.clamp(min=torch.finfo(torch.float32).tiny) / LARGEST
