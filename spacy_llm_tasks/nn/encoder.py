"""The Transformer encoder: embeddings and a stack of blocks over a packed batch.

    pieces (T,) -> Embeddings (T, W) -> Block 1 .. Block depth (T, W) -> norm, if asked (T, W)

Every row of the result has read its whole sequence, in both directions, and no other one.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from .config import TransformerConfig
from .packing import Packing
from .stack import Stack, set_dropout

__all__ = ["EncoderOutput", "TransformerEncoder", "set_dropout"]


class EncoderOutput(NamedTuple):
    """What an encoder makes of a packed batch.

    last (Tensor): (T, W) the final rows.
    layers (tuple): Where all layers were asked for: (T, W) after the embeddings and after each
        block, depth + 1 in all and before a final norm; else empty.
    """

    last: Tensor
    layers: tuple[Tensor, ...] = ()


class TransformerEncoder(Stack):
    """Reads sequences of piece ids into one vector per piece.

    config (TransformerConfig): The model's shape.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)

    def forward(
        self,
        pieces: Tensor,
        packing: Packing,
        *,
        segments: Tensor | None = None,
        all_layers: bool = False,
    ) -> EncoderOutput:
        """Encode a packed batch.

        pieces (Tensor): (T,) int64, the piece ids of all sequences, end to end.
        packing (Packing): The lengths of those sequences, on the same device.
        segments (Tensor | None): (T,) int64, segment ids; None: all 0.
        all_layers (bool): Whether to keep the rows after every layer.
        RETURNS (EncoderOutput): One row per piece, in the order given.
        RAISES (ValueError): The packing is of another batch, or a sequence is too long.
        """
        hidden = self.embed(pieces, packing, segments=segments)
        layers = [hidden]
        last = self.climb(hidden, packing, self.blocks, keep=layers if all_layers else None)
        return EncoderOutput(self.finish(last), tuple(layers) if all_layers else ())
