"""The torch side of the encoder layer: packed sequences in, one row per token, piece or doc out."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..errors import Errors
from ..nn.block import Block
from ..nn.compiled import compile_blocks
from ..nn.config import TransformerConfig
from ..nn.encoder import TransformerEncoder, set_dropout
from ..nn.packing import Packing
from ..nn.transfer import send
from ..tokenization.pieces import bounds_of
from ..tokenization.sequences import Sequences
from .doc_batch import DocBatch
from .segments import index_on, segment_mean

# Positions per forward pass in prediction: large enough to fill the cores, small enough for the
# activations of one feed-forward layer to stay near the cache.
ROWS_PER_PASS = 2048
# A GPU is full with that many; more would only take memory.
GPU_ROWS_PER_PASS = 2**15


class View(NamedTuple):
    """What a listener asks of a pass.

    kind (str): "tokens" (N, W): the mean of each token's pieces, zeros where it has none;
        "pieces" (T, W); "cls" (B, W): the state of the first special piece, averaged over windows;
        "mean" (B, W): the mean over all positions, special pieces included;
        "none": nothing, for a listener that only knows the way to the encoder.
    layer (int): -1 for the encoder's output, 0 for the embeddings, k for the output of block k.
    branch (str): Whose last blocks to go through; "" for those that all share.
    """

    kind: str = "tokens"
    layer: int = -1
    branch: str = ""


TOKENS = View()
NONE = "none"


class DocEncoder(nn.Module):
    """A TransformerEncoder that reads a DocBatch.

    A branch is a copy of its last blocks that belongs to one listener: the tasks of a pipeline then
    share the blocks below, and each has its own above.

    config (dict): The fields of a `TransformerConfig`.
    branches (dict): The number of private blocks of each branch.
    """

    def __init__(self, *, config: dict[str, Any], branches: dict[str, int] | None = None) -> None:
        super().__init__()
        self.transformer = TransformerEncoder(TransformerConfig.from_dict(config))
        self.branches = nn.ModuleDict()
        # In training, rows whose activations are kept at a time; None for all.
        self.recompute_rows: int | None = None
        # In training, products are in this precision, and the rest and the weights in float32.
        self.training_precision = "fp32"
        self.compiled = False
        for name, n_blocks in (branches or {}).items():
            self.add_branch(name, n_blocks)

    @property
    def config(self) -> TransformerConfig:
        return self.transformer.config

    @property
    def depth(self) -> int:
        return self.config.depth

    def layer_of(self, name: str) -> int:
        room, _, rest = name.partition(".")
        if room != "branches":
            return self.transformer.layer_of(rest)
        branch, number, *_ = rest.split(".")
        return self.depth - len(self._branch(branch)) + int(number) + 1

    def set_dropout(self, rate: float | None) -> None:
        self.transformer.set_dropout(rate)
        set_dropout(self.branches, self.config, rate)

    def add_branch(self, name: str, n_blocks: int) -> None:
        """Give a listener last blocks of its own, copies of the shared ones as they are now.

        name (str): Its name, without a dot.
        n_blocks (int): How many.
        RAISES (ValueError): if the encoder has not so many, or the name has a dot.
        """
        if not 0 < n_blocks <= self.depth or "." in name:
            raise ValueError(Errors.E125.format(name=name, found=n_blocks, depth=self.depth))
        self.branches[name] = deepcopy(self.transformer.blocks[self.depth - n_blocks :])
        if self.compiled:
            compile_blocks(self.branches[name].modules())

    def compile_blocks(self) -> None:
        """Send all blocks, and those of later branches, through `torch.compile`."""
        self.compiled = True
        compile_blocks(self.modules())

    def _branch(self, name: str) -> list[Block]:
        return list(self.branches[name]) if name else []  # type: ignore[call-overload]

    def path(self, branch: str) -> list[Block]:
        """RETURNS (list): All blocks that a branch goes through, "" for the shared one."""
        own = self._branch(branch)
        return [*self.transformer.blocks[: self.depth - len(own)], *own]

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
        wanted = sorted({(view.layer, view.branch) for view in views})
        step = partial(self._encode, wanted=wanted)
        found = self._in_parts(step, batch.sequence_lengths, _tensor(batch.ids))
        states = dict(zip(wanted, found, strict=True))
        return {
            view: read_view(batch, states[view.layer, view.branch], view.kind) for view in views
        }

    def read(self, sequences: Sequences, *, branch: str = "", until: int | None = None) -> Tensor:
        """Encode sequences of texts or pairs.

        sequences (Sequences): Their layout.
        branch (str): Whose last blocks to go through.
        until (int): Stop behind this block, without the final norm; None for the whole encoder.
        RETURNS (Tensor): (R, W) the state of every position.
        """
        # A table with one segment (RoBERTa's) knows no second text.
        segments = _tensor(sequences.segments) if self.config.n_segments > 1 else None
        whole = until is None and not branch
        blocks = None if whole else self.path(branch)[:until]
        step = partial(self._read_text, blocks=blocks, ends=until is None)
        return self._in_parts(step, sequences.lengths, _tensor(sequences.ids), segments)[0]

    def read_on(
        self,
        lower: Tensor,
        lengths: np.ndarray,
        *,
        after: int,
        branch: str = "",
        until: int | None = None,
    ) -> Tensor:
        """Send rows that are half read through the other half.

        lower (Tensor): (R, W) rows of sequences after block `after`.
        lengths (ndarray): (K,) positions of each sequence. They may be others than those that the
            lower blocks saw: from here on, these read each other.
        after (int): The block.
        branch (str): Whose last blocks to go through.
        until (int): As for `read`.
        RETURNS (Tensor): (R, W) the encoder's output.
        """
        blocks = self.path(branch)[after:until]
        step = partial(self._read_on, blocks=blocks, ends=until is None)
        return self._in_parts(step, lengths, lower)[0]

    def _encode(
        self, packing: Packing, pieces: Tensor, *, wanted: Sequence[tuple[int, str]]
    ) -> tuple[Tensor, ...]:
        output = self.transformer(pieces, packing, all_layers=wanted != [(-1, "")])
        states = []
        for layer, branch in wanted:
            own = self._branch(branch)
            if own:
                (state,) = self._read_on(packing, output.layers[self.depth - len(own)], blocks=own)
                states.append(state)
            else:
                states.append(output.last if layer == -1 else output.layers[layer])
        return tuple(states)

    def _read_text(
        self,
        packing: Packing,
        pieces: Tensor,
        segments: Tensor | None,
        *,
        blocks: list[Block] | None,
        ends: bool,
    ) -> tuple[Tensor]:
        if blocks is None:
            return (self.transformer(pieces, packing, segments=segments).last,)
        hidden = self.transformer.embeddings(pieces, packing, segments=segments)
        return self._read_on(packing, hidden, blocks=blocks, ends=ends)

    def _read_on(
        self, packing: Packing, hidden: Tensor, *, blocks: list[Block], ends: bool = True
    ) -> tuple[Tensor]:
        hidden = self.transformer.climb(hidden, packing, blocks)
        return (self.transformer.finish(hidden) if ends else hidden,)

    def _in_parts(
        self, step: Callable[..., tuple[Tensor, ...]], lengths: np.ndarray, *rows: Tensor | None
    ) -> list[Tensor]:
        """Run a step over sequences, a bounded number of rows at a time.

        In training all rows are read at once, or, with `recompute_rows`, part by part: of each part
        only the result is kept, and the way there is gone again for the gradient. (Chen et al.
        2016, https://arxiv.org/abs/1604.06174; with a loss over a large batch of sentence vectors,
        it is what Gao et al. 2021, https://arxiv.org/abs/2101.06983, do.)

        step (Callable): Takes a packing and rows, gives (R, W) tensors.
        lengths (ndarray): (K,) rows of each sequence.
        rows (Tensor): Each (R, ...), or None.
        RETURNS (list[Tensor]): What the step gives, put together.
        """
        device = next(self.parameters()).device
        limit = self.recompute_rows if self.training else _rows_per_pass(device)
        bounds = bounds_of(lengths)
        chunks = [(0, len(lengths))] if limit is None else _chunks(lengths, limit)
        parts = []
        for first, last in chunks:
            packing = Packing.from_lengths(lengths[first:last], device=device)
            rows_of = slice(int(bounds[first]), int(bounds[last]))
            mine = [None if r is None else send(r[rows_of], device) for r in rows]
            with self._products(device):
                if self.training and len(chunks) > 1:
                    parts.append(checkpoint(step, packing, *mine, use_reentrant=False))
                else:
                    parts.append(step(packing, *mine))
        states = [p[0] if len(p) == 1 else torch.cat(p) for p in zip(*parts, strict=True)]
        return [state.float() for state in states]

    def _products(self, device: torch.device) -> AbstractContextManager:
        """The precision of products in here (Micikevicius et al. 2018, arXiv 1710.03740)."""
        if self.training and self.training_precision == "bf16":
            return torch.autocast(device.type, dtype=torch.bfloat16)
        return nullcontext()


def read_view(batch: DocBatch, states: Tensor, kind: str) -> Tensor:
    """Read what a listener asks for off the states of a pass.

    batch (DocBatch): The layout of the pass.
    states (Tensor): (R, W) the state of every position.
    kind (str): See `View`.
    RETURNS (Tensor): (N, W), (T, W) or (B, W).
    """
    if kind == "cls":
        first = states.index_select(0, index_on(batch.sequence_starts, states))
        return segment_mean(first, index_on(batch.sequence_doc, states), batch.n_docs)
    if kind == "mean":
        owner = np.repeat(batch.sequence_doc, batch.sequence_lengths)
        return segment_mean(states, index_on(owner, states), batch.n_docs)
    pieces = states.index_select(0, index_on(batch.piece_rows, states))  # (T, W)
    return pieces if kind == "pieces" else _pool_tokens(batch, pieces)


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array)


def _rows_per_pass(device: torch.device) -> int:
    return GPU_ROWS_PER_PASS if device.type == "cuda" else ROWS_PER_PASS


def _chunks(lengths: np.ndarray, n_rows: int) -> list[tuple[int, int]]:
    """Runs of sequences of about `n_rows` rows each: (first, last), half open."""
    ends = np.cumsum(lengths)
    pass_of = (ends - 1) // n_rows
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
    share = torch.from_numpy((counts > 0) / np.maximum(counts, 1)).to(pieces.dtype)
    scale = send(share, pieces.device)
    return rows.index_add(0, index_on(token, pieces), others) * scale.unsqueeze(1)
