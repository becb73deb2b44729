"""The Transformer decoder: like the encoder, but no row has read what comes after it.

    pieces (T,) -> Embeddings (T, W) -> Block 1 .. Block depth (T, W) -> norm, if asked (T, W)

Row i of a sequence is made from pieces 0 to i, so it can be trained to predict piece i + 1 of every
sequence at once (GPT: Radford et al. 2018). With `cross`, each block also reads a memory: the rows
an encoder has made of another text (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762).
"""

from __future__ import annotations

from functools import partial

from torch import Tensor

from ..errors import Errors
from . import kernels
from .cache import Cache
from .config import TransformerConfig
from .crossing import Crossing
from .packing import Packing
from .stack import Stack


class TransformerDecoder(Stack):
    """Reads sequences of piece ids, from left to right, into one vector per piece.

    config (TransformerConfig): The model's shape.
    cross (bool): Whether it reads a memory.
    """

    def __init__(self, config: TransformerConfig, *, cross: bool = False) -> None:
        super().__init__(config, causal=True, cross=cross)

    def forward(
        self,
        pieces: Tensor,
        packing: Packing,
        *,
        memory: Tensor | None = None,
        crossing: Crossing | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Decode a packed batch.

        pieces (Tensor): (T,) int64, the piece ids of all sequences, end to end.
        packing (Packing): The lengths of those sequences, on the same device.
        memory (Tensor | None): (S, W) packed rows to read.
        crossing (Crossing | None): Which of them each sequence reads.
        cache (Cache | None): What was kept of earlier calls: the pieces then continue one sequence,
            and are added to the cache. Without gradients.
        RETURNS (Tensor): (T, W), one row per piece, in the order given.
        RAISES (ValueError): The packing or the crossing is of another batch, a sequence is too
            long, a memory is missing or not read, or a cache is given with several sequences.
        """
        if cache is not None:
            packing = _continued(packing, cache)
        if memory is not None and crossing is not None:
            _check_rows(packing, memory, crossing)
            memory = kernels.with_spare_rows(memory)
        layers = [None] * len(self.blocks) if cache is None else cache.layers
        blocks = [
            partial(block, memory=memory, crossing=crossing, cache=layer)
            for block, layer in zip(self.blocks, layers, strict=True)
        ]
        return self.finish(self.climb(self.embed(pieces, packing), packing, blocks))


def _continued(packing: Packing, cache: Cache) -> Packing:
    if packing.n_sequences != 1:
        raise ValueError(Errors.E132.format(found=packing.n_sequences))
    return packing.after(cache.length)


def _check_rows(packing: Packing, memory: Tensor, crossing: Crossing) -> None:
    found = (packing.n_rows, len(memory))
    expected = (crossing.queries.n_rows, crossing.memory.n_rows)
    if found != expected:
        raise ValueError(Errors.E130.format(found=found, expected=expected))
