"""What every pretraining objective offers to the training loop."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
from torch import nn

from ...nn.config import TransformerConfig
from ..pieces.chunks import Chunks
from ..pieces.special import SpecialIds
from .prepared import LossSum, Prepared

Kind = Literal["encoder", "decoder", "seq2seq"]


class Objective(Protocol):
    """Something a model can learn from text alone.

    An objective has settings and no state: the same chunks and the same generator give the same
    micro-batch, so that a run can be resumed and split over machines.

    name (str): Its name in configs and logs.
    kind (str): What it trains: "encoder", "decoder" or "seq2seq".
    framing (int): Special pieces that it puts around a chunk at most.
    is_likelihood (bool): Whether its loss is the negative log-likelihood of a piece.
    reads_all (bool): Whether its loss, summed, is that of the whole text.
    weight (float): Its share in a mixture.
    """

    name: str
    kind: Kind
    framing: int
    is_likelihood: bool
    reads_all: bool
    weight: float

    def prepare(
        self, chunks: Chunks, special: SpecialIds, *, rng: np.random.Generator, progress: float
    ) -> Prepared:
        """Frame and corrupt chunks, and choose what is to be predicted.

        chunks (Chunks): The text.
        special (SpecialIds): The special pieces.
        rng (Generator): The only source of chance.
        progress (float): Share of the run that is done, from 0 to 1.
        RETURNS (Prepared): The micro-batch, on the CPU.
        RAISES (ValueError): The vocabulary lacks a special piece that is needed.
        """

    def make_head(self, config: TransformerConfig) -> nn.Module:
        """Build what the objective adds to a trunk.

        config (TransformerConfig): The trunk's; of an encoder-decoder, the decoder's.
        RETURNS (nn.Module): New modules, trained with the trunk.
        RAISES (ValueError): The objective makes no sense for this trunk.
        """

    def loss(self, trunk: Any, head: Any, prepared: Prepared) -> LossSum:
        """Run trunk and head.

        trunk (nn.Module): A `TransformerEncoder`, `TransformerDecoder` or `EncoderDecoder`.
        head (nn.Module): From `make_head`.
        prepared (Prepared): From `prepare`, on the trunk's device.
        RETURNS (LossSum): Sums over the predictions.
        """
