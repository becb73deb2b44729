"""What a machine could do: the rate of its float32 products; the work that models need."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..nn import kernels
from ..nn.config import TransformerConfig
from ..nn.presets import PRESETS
from ..pretraining.optimisation.allocator import keep_memory

# Large enough that nothing but the product counts, small enough for 32 MB of cache.
SIDE = 2048
PRODUCTS = 4


class MatmulPeak:
    """Multiplies square float32 matrices by the best kernel there is, four in a repetition.

    threads (int): torch threads.
    keep (bool): Whether the allocator keeps memory, as it does on the sides of pretraining.
    """

    def __init__(self, threads: int, *, keep: bool = True) -> None:
        torch.set_num_threads(threads)
        if keep:
            keep_memory()
        generator = torch.Generator().manual_seed(0)
        self.a = torch.randn(SIDE, SIDE, generator=generator)
        self.b = torch.randn(SIDE, SIDE, generator=generator)
        self(1)

    def __call__(self, n: int) -> dict[str, Any]:
        """RETURNS (dict): `flops` that were done, and by which `kernel`."""
        with torch.no_grad():
            for _ in range(n * PRODUCTS):
                kernels.linear(self.a, self.b)
        return {"flops": n * PRODUCTS * 2 * SIDE**3, "kernel": kernels.current()}


def training_flops(size: str, *, n_pieces: int, length: int, rate: float) -> float:
    """Floating-point operations that training needs for each piece that is read.

    Counted for a BERT of this size, of whose rows those are predicted that were hidden. With D
    blocks of width W, sequences of L pieces and V pieces in the vocabulary, the forward pass takes

        D (8 W² + 16 W² + 4 L W)  +  rate (2 W² + 2 V W)

    for projections, feed-forward network and attention, and for the head; the backward pass twice
    that. Embeddings, norms and the optimizer are left out.

    size (str): A key of `nn.presets.PRESETS`.
    n_pieces (int): V.
    length (int): L.
    rate (float): Share of the rows that are predicted.
    RETURNS (float): The number.
    """
    depth, width = PRESETS[size]["depth"], PRESETS[size]["width"]
    blocks = depth * (24 * width**2 + 4 * length * width)
    head = rate * (2 * width**2 + 2 * n_pieces * width)
    return 3 * (blocks + head)


def forward_flops(config: TransformerConfig, lengths: np.ndarray) -> float:
    """Floating-point operations that the blocks of an encoder need to read sequences.

    With D blocks of width W and an inner width of F (twice over where it is gated), a sequence of L
    pieces takes D (8 L W² + 4 L W F + 4 L² W). Embeddings, norms, and padding are left out.

    config (TransformerConfig): Of the encoder.
    lengths (ndarray): (K,) pieces of each sequence, special ones included.
    RETURNS (float): The number.
    """
    width, inner = config.width, config.ffn_width or 4 * config.width
    ways = 6 if config.gated else 4  # a product of (W, F) is 2 operations, and there are 2 or 3
    rows = float(lengths.sum()) * (8 * width**2 + ways * width * inner)
    return config.depth * (rows + 4 * width * float((lengths.astype(np.int64) ** 2).sum()))
