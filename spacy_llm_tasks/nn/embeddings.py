"""Piece ids to vectors: the sum of a piece, a position and a segment vector, normalised.

As in BERT (Devlin et al. 2019, figure 2, https://arxiv.org/abs/1810.04805). Tables narrower than
the blocks are widened by a linear layer, as in ELECTRA (Clark et al. 2020,
https://arxiv.org/abs/2003.10555).
"""

from __future__ import annotations

from torch import Tensor, nn

from ..errors import Errors
from .config import TransformerConfig
from .dropout import Dropout
from .linear import Linear
from .norms import make_norm
from .packing import Packing
from .positions import LearnedPositions, SinusoidalPositions


class Embeddings(nn.Module):
    """The first layer of a Transformer.

    config (TransformerConfig): Sizes, kind of positions, dropout.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.embedding_width or config.width
        self.scale = config.embedding_scale
        self.pieces = nn.Embedding(config.n_pieces, width)
        self.positions = _make_positions(config, width)
        self.segments = nn.Embedding(config.n_segments, width) if config.n_segments else None
        self.norm = make_norm(config, width) if config.embedding_norm else None
        self.dropout = Dropout(config.dropout)
        self.project = Linear(width, config.width) if width != config.width else None

    def forward(
        self, pieces: Tensor, packing: Packing, *, segments: Tensor | None = None
    ) -> Tensor:
        """Embed a packed batch.

        pieces (Tensor): (T,) int64, piece ids.
        packing (Packing): Knows the position of each piece.
        segments (Tensor | None): (T,) int64, segment ids; None: all 0.
        RETURNS (Tensor): (T, W).
        RAISES (ValueError): Segments for a model without them, or a sequence that is too long.
        """
        hidden = self.before_projection(pieces, packing, segments=segments)
        return hidden if self.project is None else self.project(hidden)

    def before_projection(
        self, pieces: Tensor, packing: Packing, *, segments: Tensor | None = None
    ) -> Tensor:
        """The same at the width of the tables, E, for a model of another width that shares them.

        RETURNS (Tensor): (T, E).
        """
        hidden = self.pieces(pieces)
        if self.scale is not None:
            hidden = hidden * self.scale
        if self.positions is not None:
            hidden = hidden + self.positions(packing)
        if self.segments is not None:
            # one row for all pieces is cheaper than a lookup, and the same
            table = self.segments.weight[0] if segments is None else self.segments(segments)
            hidden = hidden + table
        elif segments is not None:
            raise ValueError(Errors.E109)
        if self.norm is not None:
            hidden = self.norm(hidden)
        return self.dropout(hidden)


def _make_positions(config: TransformerConfig, width: int) -> nn.Module | None:
    """The positions that are added to embeddings; rotary and ALiBi live in attention."""
    if config.positions == "learned":
        return LearnedPositions(config.max_length, width, offset=config.position_offset)
    if config.positions == "sinusoidal":
        return SinusoidalPositions(width, order=config.sinusoidal_order)
    return None
