"""A micro-batch as an objective hands it to the model, and the loss that comes back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from ...nn.packing import Packing


@dataclass(frozen=True, eq=False, kw_only=True)
class Prepared:
    """What the trunk reads, and what is to be predicted of it. Tensors of numpy's memory at first.

    pieces (Tensor): (T,) int64, the sequences that the trunk reads, end to end.
    lengths (Tensor): (B,) int64, pieces of each; always on the CPU, where packings are made.
    target_rows (Tensor): (n,) int64, the rows that something is predicted from: of the decoder
        where there is one, else of the trunk.
    targets (Tensor): (n,) int64, what is to be predicted there.
    segments (Tensor | None): (T,) int64, segment ids.
    text_rows (Tensor | None): (m,) int64, the rows that hold text and no framing piece.
    decoder_pieces (Tensor | None): (S,) int64, what the decoder of an encoder-decoder reads.
    decoder_lengths (Tensor | None): (B,) int64, pieces of each; on the CPU.
    seed (int): For what is drawn during the forward pass.
    """

    pieces: Tensor
    lengths: Tensor
    target_rows: Tensor
    targets: Tensor
    segments: Tensor | None = None
    text_rows: Tensor | None = None
    decoder_pieces: Tensor | None = None
    decoder_lengths: Tensor | None = None
    seed: int = 0

    @property
    def count(self) -> int:
        """RETURNS (int): n, the number of predictions, known before the forward pass."""
        return len(self.targets)

    @cached_property
    def packing(self) -> Packing:
        """RETURNS (Packing): How the trunk's rows belong to sequences."""
        return Packing.from_lengths(self.lengths.numpy(), device=self.pieces.device)

    @cached_property
    def decoder_packing(self) -> Packing | None:
        """RETURNS (Packing | None): The same for the decoder's rows."""
        if self.decoder_lengths is None:
            return None
        return Packing.from_lengths(self.decoder_lengths.numpy(), device=self.pieces.device)

    def to(self, device: torch.device | str) -> Prepared:
        """RETURNS (Prepared): The same on another device, with its packings made."""
        moved = replace(
            self,
            pieces=self.pieces.to(device),
            target_rows=self.target_rows.to(device),
            targets=self.targets.to(device),
            segments=None if self.segments is None else self.segments.to(device),
            text_rows=None if self.text_rows is None else self.text_rows.to(device),
            decoder_pieces=None if self.decoder_pieces is None else self.decoder_pieces.to(device),
        )
        _ = moved.packing, moved.decoder_packing
        return moved


class LossSum(NamedTuple):
    """What a micro-batch costs. Means are taken by whoever adds micro-batches up.

    A tuple, because modules that spread a model over machines look for the tensors in what it
    returns, and look into tuples.

    total (Tensor): () the loss summed over its predictions, in nats, with gradients.
    count (int): The predictions; `Prepared.count`.
    metrics (dict[str, tuple[float, float]]): By name, the sum of a measure and what it is to be
        divided by.
    """

    total: Tensor
    count: int  # type: ignore[assignment]  # tuples have a method of this name
    metrics: dict[str, tuple[float, float]]
