"""Causal language modelling: tell each piece from those before it (Radford et al. 2019, GPT-2)."""

from __future__ import annotations

import numpy as np
import torch

from ...nn.config import TransformerConfig
from ...nn.decoder import TransformerDecoder
from ...nn.piece_head import PieceHead
from ...tokenization.pieces import bounds_of
from ..pieces.chunks import Chunks
from ..pieces.special import SpecialIds
from .checks import check_number
from .framing import frame
from .objective import Kind
from .predictions import predict
from .prepared import LossSum, Prepared


class CausalLM:
    """A decoder learns to go on with a text.

        reads      cls  the  cat  sat
        predicts   the  cat  sat  sep

    `cls` opens every chunk. The first piece of a document is predicted from it; that of a chunk
    from the middle of one is not, since nothing is there to tell it from. `sep` is predicted where
    the chunk ends its document, so that the decoder learns to stop.

    weight (float): Its share in a mixture.
    """

    name = "causal"
    kind: Kind = "decoder"
    framing = 1
    is_likelihood = True
    reads_all = True

    def __init__(self, *, weight: float = 1.0) -> None:
        check_number(self.name, "weight", weight, above=0)
        self.weight = weight

    def prepare(
        self, chunks: Chunks, special: SpecialIds, *, rng: np.random.Generator, progress: float
    ) -> Prepared:
        """Open chunks with `cls` and shift them by one; see `Objective.prepare`."""
        framed = frame(chunks, special, closed=False)
        ends = bounds_of(framed.lengths)[1:] - 1  # the row of each chunk's last piece
        following = np.empty_like(framed.pieces)
        following[:-1] = framed.pieces[1:]
        following[ends] = special.sep
        predicts = np.ones(len(following), dtype=bool)
        if chunks.starts_document is not None:
            predicts[framed.starts] = chunks.starts_document
        if chunks.ends_document is not None:
            predicts[ends] = chunks.ends_document
        rows = np.flatnonzero(predicts)
        return Prepared(
            pieces=torch.from_numpy(framed.pieces),
            lengths=torch.from_numpy(framed.lengths),
            target_rows=torch.from_numpy(rows),
            targets=torch.from_numpy(following[rows]),
        )

    def make_head(self, config: TransformerConfig) -> PieceHead:
        """RETURNS (PieceHead): GPT-2's: the product with the piece table alone."""
        return PieceHead(config, transform=False, bias=False)

    def loss(self, trunk: TransformerDecoder, head: PieceHead, prepared: Prepared) -> LossSum:
        """Predict each next piece; see `Objective.loss`."""
        hidden = trunk(prepared.pieces, prepared.packing)
        rows = hidden.index_select(0, prepared.target_rows)
        return predict(head, rows, trunk.piece_table, prepared.targets)
