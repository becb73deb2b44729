"""The torch side of the encoder layer: packed sequences in, one row per token, piece or doc out."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import Errors
from ..nn.config import TransformerConfig
from ..nn.encoder import TransformerEncoder
from ..nn.packing import Packing
from ..tokenization.pieces import bounds_of
from ..tokenization.sequences import Sequences
from .doc_batch import DocBatch
from .segments import index_on, segment_mean

# Positions per forward pass in prediction: large enough to fill the cores, small enough for the
# activations of one feed-forward layer to stay near the cache.
ROWS_PER_PASS = 2048


class View(NamedTuple):
    """What a listener asks of a pass.

    kind (str): "tokens" (N, W): the mean of each token's pieces, zeros where it has none;
        "pieces" (T, W); "cls" (B, W): the state of the first special piece, averaged over windows;
        "mean" (B, W): the mean over all positions, special pieces included;
        "none": nothing, for a listener that only knows the way to the encoder.
    layer (int): -1 for the encoder's output, 0 for the embeddings, k for the output of block k.
    """

    kind: str = "tokens"
    layer: int = -1


TOKENS = View()
NONE = View("none")


class DocEncoder(nn.Module):
    """A TransformerEncoder that reads a DocBatch.

    config (dict): The fields of a `TransformerConfig`.
    """

    def __init__(self, *, config: dict[str, Any]) -> None:
        super().__init__()
        self.transformer = TransformerEncoder(TransformerConfig.from_dict(config))

    @property
    def config(self) -> TransformerConfig:
        return self.transformer.config

    @property
    def depth(self) -> int:
        return self.config.depth

    def layer_of(self, name: str) -> int:
        return self.transformer.layer_of(name.removeprefix("transformer."))

    def set_dropout(self, rate: float | None) -> None:
        self.transformer.set_dropout(rate)

    def forward(self, batch: DocBatch, views: set[View]) -> dict[View, Tensor]:
        """Encode a batch once and read the wanted views off it.

        batch (DocBatch): The layout of the pass.
        views (set[View]): What to return.
        RETURNS (dict[View, Tensor]): One float tensor per view, on the module's device.
        RAISES (ValueError): if a view is of a layer that the encoder does not have.
        """
        for view in views:
            if not -1 <= view.layer <= self.depth:
                raise ValueError(Errors.E424.format(found=view.layer, depth=self.depth))
        layers = sorted({view.layer for view in views})
        states = self._states(batch.ids, batch.sequence_lengths, layers)
        return {view: self._read(batch, states[view.layer], view.kind) for view in views}

    def read(self, sequences: Sequences) -> Tensor:
        """Encode sequences of texts or pairs.

        sequences (Sequences): Their layout.
        RETURNS (Tensor): (R, W) the state of every position.
        """
        # A table with one segment (RoBERTa's) knows no second text.
        segments = sequences.segments if self.config.n_segments > 1 else None
        return self._states(sequences.ids, sequences.lengths, [-1], segments)[-1]

    def _states(
        self,
        ids: np.ndarray,
        lengths: np.ndarray,
        layers: list[int],
        segments: np.ndarray | None = None,
    ) -> dict[int, Tensor]:
        """The states (R, W) of the wanted layers, a bounded number of rows at a time."""
        device = next(self.parameters()).device
        pieces = _to_device(ids, device)
        kinds = None if segments is None else _to_device(segments, device)
        chunks = [(0, len(lengths))] if self.training else _chunks(lengths)
        bounds = bounds_of(lengths)
        parts: dict[int, list[Tensor]] = {layer: [] for layer in layers}
        for first, last in chunks:
            packing = Packing.from_lengths(lengths[first:last], device=device)
            rows = slice(int(bounds[first]), int(bounds[last]))
            output = self.transformer(
                pieces[rows],
                packing,
                segments=None if kinds is None else kinds[rows],
                all_layers=layers != [-1],
            )
            for layer in layers:
                parts[layer].append(output.last if layer == -1 else output.layers[layer])
        return {layer: p[0] if len(p) == 1 else torch.cat(p) for layer, p in parts.items()}

    def _read(self, batch: DocBatch, states: Tensor, kind: str) -> Tensor:
        if kind == "cls":
            first = states.index_select(0, index_on(batch.sequence_starts, states))
            return segment_mean(first, index_on(batch.sequence_doc, states), batch.n_docs)
        if kind == "mean":
            owner = np.repeat(batch.sequence_doc, batch.sequence_lengths)
            return segment_mean(states, index_on(owner, states), batch.n_docs)
        pieces = states.index_select(0, index_on(batch.piece_rows, states))  # (T, W)
        return pieces if kind == "pieces" else _pool_tokens(batch, pieces)


def _to_device(array: np.ndarray, device: torch.device) -> Tensor:
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def _chunks(lengths: np.ndarray) -> list[tuple[int, int]]:
    """Runs of sequences of about `ROWS_PER_PASS` rows each: (first, last), half open."""
    ends = np.cumsum(lengths)
    pass_of = (ends - 1) // ROWS_PER_PASS
    bounds = [0, *(np.flatnonzero(np.diff(pass_of)) + 1).tolist(), len(ends)]
    return list(zip(bounds[:-1], bounds[1:], strict=True))


def _pool_tokens(batch: DocBatch, pieces: Tensor) -> Tensor:
    """Mean over the pieces of each token (N, W). Most tokens have one piece: these are gathered,
    only the others are summed."""
    counts = batch.token_last - batch.token_first
    if not len(counts) or not len(pieces):
        return pieces.new_zeros((len(counts), pieces.shape[1]))
    rows = pieces.index_select(0, index_on(np.minimum(batch.token_first, len(pieces) - 1), pieces))
    if (counts == 1).all():
        return rows
    extra = np.maximum(counts - 1, 0)
    token = np.repeat(np.arange(len(counts)), extra)
    offset = np.arange(len(token)) - np.repeat(np.cumsum(extra) - extra, extra)
    others = pieces.index_select(0, index_on(batch.token_first[token] + 1 + offset, pieces))
    scale = torch.from_numpy((counts > 0) / np.maximum(counts, 1)).to(pieces)
    return rows.index_add(0, index_on(token, pieces), others) * scale.unsqueeze(1)
