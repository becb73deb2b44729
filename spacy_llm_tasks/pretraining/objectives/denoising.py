"""Denoising: an encoder reads a text with holes, a decoder writes it whole (Lewis et al. 2020,
BART, https://arxiv.org/abs/1910.13461)."""

from __future__ import annotations

import numpy as np
import torch

from ...nn.config import TransformerConfig
from ...nn.piece_head import PieceHead
from ...nn.seq2seq import EncoderDecoder
from ..pieces.chunks import Chunks
from ..pieces.special import SpecialIds
from .checks import check_number
from .framing import frame
from .infilling import infill
from .masking import wanted
from .objective import Kind
from .predictions import predict
from .prepared import LossSum, Prepared


class Denoising:
    """An encoder-decoder learns to restore a text from which spans were taken.

        encoder reads      cls  the  mask  mat  sep
        decoder reads      sep  cls  the  cat  sat  on  the  mat
        decoder predicts   cls  the  cat  sat  on  the  mat  sep

    weight (float): Its share in a mixture.
    rate (float): Share of a chunk's pieces that are hidden, at most half.
    mean_span (float): Mean length of spans, in pieces.
    """

    name = "denoising"
    kind: Kind = "seq2seq"
    framing = 2
    is_likelihood = True
    reads_all = False

    def __init__(self, *, weight: float = 1.0, rate: float = 0.3, mean_span: float = 3.0) -> None:
        check_number(self.name, "weight", weight, above=0)
        check_number(self.name, "rate", rate, above=0, most=0.5)
        check_number(self.name, "mean_span", mean_span, above=0.1)
        self.weight = weight
        self.rate = rate
        self.mean_span = mean_span

    def prepare(
        self, chunks: Chunks, special: SpecialIds, *, rng: np.random.Generator, progress: float
    ) -> Prepared:
        """Put spans behind masks, and the whole text before the decoder; `Objective.prepare`."""
        mask = special.need_mask(self.name)
        framed = frame(chunks, special)
        source, source_lengths = infill(
            framed,
            ~special.among(chunks.pieces),
            wanted(chunks.lengths, self.rate),
            mask,
            mean_span=self.mean_span,
            rng=rng,
        )
        shifted = np.empty_like(framed.pieces)
        shifted[1:] = framed.pieces[:-1]
        shifted[framed.starts] = special.sep
        return Prepared(
            pieces=torch.from_numpy(source),
            lengths=torch.from_numpy(source_lengths),
            target_rows=torch.arange(len(shifted)),
            targets=torch.from_numpy(framed.pieces),
            decoder_pieces=torch.from_numpy(shifted),
            decoder_lengths=torch.from_numpy(framed.lengths),
        )

    def make_head(self, config: TransformerConfig) -> PieceHead:
        """RETURNS (PieceHead): BART's: the product with the piece table, and a bias."""
        return PieceHead(config, transform=False, bias=True)

    def loss(self, trunk: EncoderDecoder, head: PieceHead, prepared: Prepared) -> LossSum:
        """Predict the text; see `Objective.loss`."""
        rows = trunk(
            prepared.pieces, prepared.packing, prepared.decoder_pieces, prepared.decoder_packing
        )
        return predict(head, rows, trunk.piece_table, prepared.targets)
