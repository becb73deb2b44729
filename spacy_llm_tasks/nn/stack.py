"""Embeddings, a stack of blocks and a last norm: what encoders and decoders have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from ..errors import Errors
from . import kernels
from .block import Block
from .config import TransformerConfig
from .embeddings import Embeddings
from .initial import draw_weights, quiet_writers
from .norms import make_norm
from .packing import Packing


class Stack(nn.Module):
    """The parts of a Transformer and what is done with all of them; subclasses read with it.

    config (TransformerConfig): The model's shape.
    causal (bool): Whether a piece sees earlier ones only.
    cross (bool): Whether blocks read a memory too.
    """

    def __init__(
        self, config: TransformerConfig, *, causal: bool = False, cross: bool = False
    ) -> None:
        super().__init__()
        self.config = config
        self.cross = cross
        self.embeddings = Embeddings(config)
        self.blocks = nn.ModuleList(
            Block(config, causal=causal, cross=cross, first=i == 0) for i in range(config.depth)
        )
        self.final_norm = make_norm(config) if config.final_norm else None
        self.reset_parameters()

    @property
    def piece_table(self) -> Tensor:
        """RETURNS (Tensor): (n_pieces, E) the vectors of all pieces, for a head that is tied."""
        return self.embeddings.pieces.weight

    def embed(self, pieces: Tensor, packing: Packing, *, segments: Tensor | None = None) -> Tensor:
        """The rows that enter the first block.

        pieces (Tensor): (T,) int64, piece ids.
        packing (Packing): Their sequences.
        segments (Tensor | None): (T,) int64, segment ids; None: all 0.
        RETURNS (Tensor): (T, W).
        RAISES (ValueError): The packing is of another batch, or a sequence is too long.
        """
        if pieces.shape != (packing.n_rows,):
            raise ValueError(Errors.E106.format(n_pieces=len(pieces), n_rows=packing.n_rows))
        return self.embeddings(pieces, packing, segments=segments)

    def climb(
        self,
        hidden: Tensor,
        packing: Packing,
        blocks: Iterable[Callable[[Tensor, Packing], Tensor]],
        *,
        keep: list[Tensor] | None = None,
    ) -> Tensor:
        """Send rows through blocks, of this stack or others of its kind.

        hidden (Tensor): (T, W) rows after the embeddings or after some block.
        packing (Packing): Their sequences.
        blocks (Iterable[Block]): The blocks, in order.
        keep (list[Tensor]): Takes the rows after each block.
        RETURNS (Tensor): (T, W) the rows after the last block.
        """
        n_rows = packing.n_rows
        hidden = kernels.with_spare_rows(hidden)
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
        """Draw all weights afresh; see `initial`."""
        draw_weights(self, std=self.config.init_std)
        writers = (3 if self.cross else 2) * self.config.depth
        quiet_writers(self, self.config, n_writers=writers)


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
