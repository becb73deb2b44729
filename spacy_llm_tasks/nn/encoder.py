"""The Transformer encoder: embeddings and a stack of blocks over a packed batch.

    pieces (T,) -> Embeddings (T, W) -> Block 1 .. Block depth (T, W) -> norm, if asked (T, W)

Every row of the result has read its whole sequence, in both directions, and no other one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import Errors
from . import kernels
from .block import Block
from .config import TransformerConfig
from .embeddings import Embeddings
from .norms import make_norm
from .packing import Packing


class EncoderOutput(NamedTuple):
    """What an encoder makes of a packed batch.

    last (Tensor): (T, W) the final rows.
    layers (tuple): Where all layers were asked for: (T, W) after the embeddings and after each
        block, depth + 1 in all and before a final norm; else empty.
    """

    last: Tensor
    layers: tuple[Tensor, ...] = ()


class TransformerEncoder(nn.Module):
    """Reads sequences of piece ids into one vector per piece.

    config (TransformerConfig): The model's shape.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.final_norm = make_norm(config) if config.final_norm else None
        self.reset_parameters()

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
        if pieces.shape != (packing.n_rows,):
            raise ValueError(Errors.E106.format(n_pieces=len(pieces), n_rows=packing.n_rows))
        hidden = self.embeddings(pieces, packing, segments=segments)
        layers = [hidden]
        last = self.climb(hidden, packing, self.blocks, keep=layers if all_layers else None)
        return EncoderOutput(self.finish(last), tuple(layers) if all_layers else ())

    def climb(
        self,
        hidden: Tensor,
        packing: Packing,
        blocks: Iterable[nn.Module],
        *,
        keep: list[Tensor] | None = None,
    ) -> Tensor:
        """Send rows through blocks, of this encoder or others of its kind.

        hidden (Tensor): (T, W) rows after the embeddings or after some block.
        packing (Packing): Their sequences.
        blocks (Iterable[Block]): The blocks, in order.
        keep (list[Tensor]): Takes the rows after each block.
        RETURNS (Tensor): (T, W) the rows after the last block.
        """
        n_rows = packing.n_rows
        spare = kernels.n_rows_for(n_rows, hidden.device) - n_rows
        if spare:
            hidden = F.pad(hidden, (0, 0, 0, spare))
        for block in blocks:
            if n_rows:
                hidden = block(hidden, packing)
            if keep is not None:
                keep.append(hidden[:n_rows])
        return hidden[:n_rows]

    def finish(self, hidden: Tensor) -> Tensor:
        """RETURNS (Tensor): (T, W) the rows after the final norm, if there is one."""
        return hidden if self.final_norm is None else self.final_norm(hidden)

    def layer_of(self, parameter_name: str) -> int:
        """The depth a parameter sits at, for learning rates that fall from top to bottom.

        parameter_name (str): As `named_parameters` spells it.
        RETURNS (int): 0 for embeddings, 1 to depth for blocks, depth for the final norm.
        """
        room, _, rest = parameter_name.partition(".")
        if room == "embeddings":
            return 0
        return int(rest.split(".")[0]) + 1 if room == "blocks" else self.config.depth

    def set_dropout(self, rate: float | None) -> None:
        """Set every dropout at run time.

        rate (float | None): From 0 to below 1; None: the rates of the config.
        """
        set_dropout(self, self.config, rate)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all weights afresh: normal matrices and tables, zero biases, unit norms.

        With pre-norm the layers that write to the residual start smaller by sqrt(2 depth), so that
        its variance does not grow with depth (Radford et al. 2019, GPT-2, section 2.3).
        """
        std = self.config.init_std
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=std)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        if self.config.norm_position == "pre":
            scaled = std / math.sqrt(2 * self.config.depth)
            for name, parameter in self.named_parameters():
                if name.endswith(("attention.output.weight", "feedforward.down.weight")):
                    nn.init.normal_(parameter, std=scaled)


def set_dropout(module: nn.Module, config: TransformerConfig, rate: float | None) -> None:
    """Set every dropout below a module.

    module (nn.Module): An encoder, or blocks of one.
    config (TransformerConfig): Its config.
    rate (float | None): From 0 to below 1; None: the rates of the config.
    """
    for name, part in module.named_modules():
        if isinstance(part, nn.Dropout):
            attention = name.endswith("attention.dropout")
            own = config.attention_dropout if attention else config.dropout
            part.p = own if rate is None else rate
