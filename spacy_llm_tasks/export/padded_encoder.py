"""The encoder as other runtimes want it: padded piece ids and a mask in, a row per piece out.

    input_ids (B, L), attention_mask (B, L) [, token_type_ids (B, L)]  ->  states (B, L, W)

Inside, it is the very module that the pipeline runs. Its layers work on packed rows; here a row of
the batch that is padding is a row like any other, hidden from attention by the mask. Rows of
padding hold numbers without meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..layers.doc_encoder import DocEncoder
from ..layers.onnx_encoder import State
from ..layers.onnx_session import IDS, MASK, SEGMENTS
from ..nn.packing import Packing
from ..nn.positions import SinusoidalPositions

# Added to scores of keys that are padding: the weight behind it is exactly 0.
HIDDEN = -1e9


class PaddedEncoder(nn.Module):
    """The states that a pipeline's heads read, as a function of padded sequences.

    encoder (DocEncoder): The encoder, in float32.
    states (Sequence[State]): Which states to return, in this order.
    """

    def __init__(self, encoder: DocEncoder, states: Sequence[State]) -> None:
        super().__init__()
        self.encoder = encoder
        self.states = list(states)
        positions = encoder.transformer.embeddings.positions
        if isinstance(positions, SinusoidalPositions):
            # a graph cannot make a table longer
            positions(Packing.from_lengths([encoder.config.max_length]))

    @property
    def inputs(self) -> list[str]:
        """RETURNS (list[str]): The names of the inputs, in order."""
        return [IDS, MASK, SEGMENTS] if self.encoder.config.n_segments > 1 else [IDS, MASK]

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Encode padded sequences.

        input_ids (Tensor): (B, L) int64, piece ids.
        attention_mask (Tensor): (B, L) int64, 1 for pieces, 0 for padding, which comes last.
        token_type_ids (Tensor | None): (B, L) int64, segment ids, for a model that tells them.
        RETURNS (tuple): (B, L, W) of each state.
        """
        transformer = self.encoder.transformer
        n, length = input_ids.shape
        cells = _Cells.of(attention_mask, as_bool=transformer.config.positions == "alibi")
        segments = None if token_type_ids is None else token_type_ids.flatten()
        rows = transformer.embeddings(input_ids.flatten(), cells, segments=segments)
        # What the blocks up to each of them give; branches share the lower ones.
        after: dict[tuple[int, ...], Tensor] = {(): rows}
        found: dict[State, Tensor] = {}
        for branch in sorted({state.branch for state in self.states}):
            passed: tuple[int, ...] = ()
            found[State(0, branch)] = rows
            for number, block in enumerate(self.encoder.path(branch), start=1):
                below, passed = passed, (*passed, id(block))
                if passed not in after:
                    after[passed] = block(after[below], cells)
                found[State(number, branch)] = after[passed]
            found[State(-1, branch)] = transformer.finish(after[passed])
        return tuple(found[state].view(n, length, -1) for state in self.states)


@dataclass(frozen=True)
class _Group:
    """The one group of a batch, see `nn.packing.Group`."""

    mask: Tensor


@dataclass(frozen=True)
class _Cells:
    """Does for padded sequences what a `Packing` does for packed ones: what layers ask it is
    answered by operators alone, whatever the sizes of the batch."""

    shape: tuple[int, int]
    positions: Tensor
    groups: tuple[_Group, ...]
    max_length: int

    @classmethod
    def of(cls, mask: Tensor, *, as_bool: bool) -> Packing:
        """(B, L) -> what layers take for a packing of B * L rows."""
        n, length = mask.shape
        keys = mask.bool() if as_bool else (1.0 - mask.to(torch.float32)) * HIDDEN
        positions = torch.arange(length).expand(n, length).flatten()
        groups = (_Group(keys[:, None, None, :]),)
        return cls((n, length), positions, groups, length)  # type: ignore[return-value]

    @property
    def n_rows(self) -> int:
        return self.shape[0] * self.shape[1]

    def split(self, rows: Tensor) -> list[Tensor]:
        return [rows.view(*self.shape, *rows.shape[1:])]

    def merge(self, parts: Sequence[Tensor], *, spare: int = 0) -> Tensor:
        return parts[0].flatten(0, 1)
