"""Packed batches: sequences end to end in one matrix, so that no arithmetic is spent on padding.

A batch of B sequences with T pieces in all is a matrix of T rows. Embeddings, linear layers, norms
and the feed-forward network treat every row alike and work on that matrix directly. Attention is
the only place where rows of one sequence meet, and it needs the shape (sequences, length, ...):

    rows      a a a b b b c c c c c d d d d          (T, W)
    groups    [a b]       [c d]                      near-equal lengths side by side
    attention a a a       c c c c c                  (sequences, length, W); only here does
              b b b       d d d d .                  padding exist, a few pieces of it, masked

`Packing.split` cuts the matrix into such groups and `Packing.merge` puts it together again. Where
the sequences of a group have one length, which is frequent in batches sorted by length, both are
views and cost nothing, and no mask is needed. Unsorted batches are reordered by one gather on the
way in and one on the way out.

A GPU has kernels that take the matrix as it is (`varlen_attention`): groups are made only where
somebody asks for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..errors import Errors
from .transfer import send

# Lengths that share a multiple of this may share a group, which is padded to that multiple: fewer,
# larger attention calls for a little padding, and lengths that fill a CPU's vectors. Attention over
# 32 rows takes 1.6 us a row, over 27 rows 2.6 us (12 heads of width 32, one core with AVX-512).
BUCKET = 16
# Attention sees at most this many padded rows, and this many padded (query, key) cells of a head,
# at once. This bounds its memory whatever the batch.
MAX_ROWS = 4096
MAX_CELLS = 2**20
# On a GPU a call costs more than its padding.
GPU_BUCKET, GPU_MAX_ROWS, GPU_MAX_CELLS = 64, 2**16, 2**24


@dataclass(frozen=True, eq=False)
class Group:
    """Sequences of near-equal lengths, adjacent in (reordered) rows.

    sequences (ndarray): (n,) which sequences of the batch, in the order of their rows.
    length (int): Length of the padded form: that of the longest one, or a few more.
    n_rows (int): Real rows of all of them.
    cells (Tensor | None): (n * length,) for each cell of the padded form, the row within the group
        that fills it (padding repeats the sequence's last row). None: no padding is needed.
    real (Tensor | None): (n_rows,) for each row, its cell in the padded form.
    mask (Tensor | None): (n, 1, 1, length) True where a key is real.
    """

    sequences: np.ndarray
    length: int
    n_rows: int
    cells: Tensor | None = None
    real: Tensor | None = None
    mask: Tensor | None = None

    def pad(self, rows: Tensor) -> Tensor:
        """(n_rows, ...) -> (n, length, ...): the group's rows, one sequence a line."""
        if self.cells is not None:
            rows = rows.index_select(0, self.cells)
        return rows.view(len(self.sequences), self.length, *rows.shape[1:])

    def unpad(self, padded: Tensor) -> Tensor:
        """(n, length, ...) -> (n_rows, ...): the real rows alone."""
        rows = padded.flatten(0, 1)
        return rows if self.real is None else rows.index_select(0, self.real)

    def to(self, device: torch.device | str) -> Group:
        """RETURNS (Group): The same group with its index tensors on another device."""
        if self.cells is None or self.real is None or self.mask is None:
            return self
        return replace(
            self,
            cells=send(self.cells, device),
            real=send(self.real, device),
            mask=send(self.mask, device),
        )


@dataclass(frozen=True, eq=False)
class Grouping:
    """The groups of a batch, and how its rows get there and back.

    groups (tuple): The groups attention runs on.
    order (Tensor | None): (T,) the row that comes k-th in group order. None: row order already.
    inverse (Tensor | None): (T,) the place in group order of each row.
    """

    groups: tuple[Group, ...]
    order: Tensor | None
    inverse: Tensor | None

    def to(self, device: torch.device | str) -> Grouping:
        """RETURNS (Grouping): The same groups with their tensors on another device."""
        return Grouping(
            groups=tuple(group.to(device) for group in self.groups),
            order=None if self.order is None else send(self.order, device),
            inverse=None if self.inverse is None else send(self.inverse, device),
        )


@dataclass(frozen=True, eq=False)
class Packing:
    """How the rows of a packed batch belong to sequences. Build it with `from_lengths`.

    sizes (ndarray): (B,) int64, pieces of each sequence.
    lengths (Tensor): (B,) the same as a tensor.
    starts (Tensor): (B,) int64, first row of each sequence.
    bounds (Tensor): (B + 1,) int32, the same and the row behind the last.
    positions (Tensor): (T,) int64, position of each row within its own sequence, from 0.
    max_length (int): Length of the longest sequence, 0 for an empty batch.
    chosen (tuple | None): The sequences of each group, where the caller has chosen them.
    """

    sizes: np.ndarray
    lengths: Tensor
    starts: Tensor
    bounds: Tensor
    positions: Tensor
    max_length: int
    chosen: tuple[np.ndarray, ...] | None = None

    @classmethod
    def from_lengths(
        cls, lengths: Sequence[int] | np.ndarray, *, device: torch.device | str | None = None
    ) -> Packing:
        """Describe a batch. Cheapest when the sequences come sorted by length, either way.

        lengths (Sequence[int]): (B,) pieces of each sequence, at least 1 each.
        device (torch.device | str | None): Where the index tensors go.
        RETURNS (Packing): The packing.
        RAISES (ValueError): A length is below 1 or no whole number.
        """
        packing = cls._arrange(_checked(lengths), None)
        return packing if device is None else packing.to(device)

    @classmethod
    def from_groups(
        cls, lengths: Sequence[int] | np.ndarray, groups: Sequence[np.ndarray]
    ) -> Packing:
        """Describe a batch whose groups are chosen by the caller.

        lengths (Sequence[int]): (B,) pieces of each sequence, at least 1 each.
        groups (Sequence[ndarray]): The sequences of each group; each sequence in one of them.
        RETURNS (Packing): The packing, on the CPU.
        RAISES (ValueError): A length is below 1 or no whole number.
        """
        return cls._arrange(_checked(lengths), tuple(groups))

    @classmethod
    def _arrange(cls, sizes: np.ndarray, groups: tuple[np.ndarray, ...] | None) -> Packing:
        bounds = np.concatenate([[0], np.cumsum(sizes)])
        return cls(
            sizes=sizes,
            lengths=torch.from_numpy(sizes),
            starts=torch.from_numpy(bounds[:-1]),
            bounds=torch.from_numpy(bounds.astype(np.int32)),
            positions=torch.from_numpy(_ranges(sizes)),
            max_length=int(sizes.max(initial=0)),
            chosen=groups,
        )

    @cached_property
    def grouping(self) -> Grouping:
        """RETURNS (Grouping): The groups attention runs on, on the device of the packing."""
        groups = self.chosen
        if groups is None:
            limits = (BUCKET, MAX_ROWS, MAX_CELLS)
            if self.lengths.device.type == "cuda":
                limits = (GPU_BUCKET, GPU_MAX_ROWS, GPU_MAX_CELLS)
            groups = tuple(_cut(self.sizes, *limits))
        return _arranged(self.sizes, groups).to(self.lengths.device)

    @property
    def groups(self) -> tuple[Group, ...]:
        """RETURNS (tuple): Those of `grouping`."""
        return self.grouping.groups

    @property
    def n_rows(self) -> int:
        """RETURNS (int): T, the rows of the packed matrix."""
        return len(self.positions)

    @property
    def n_sequences(self) -> int:
        """RETURNS (int): B, the sequences of the batch."""
        return len(self.lengths)

    def split(self, rows: Tensor) -> list[Tensor]:
        """(T, ...) -> for each group (n, length, ...)."""
        order = self.grouping.order
        if order is not None:
            rows = rows.index_select(0, order)
        parts = rows.split([group.n_rows for group in self.groups])
        return [group.pad(part) for group, part in zip(self.groups, parts, strict=True)]

    def merge(self, parts: Sequence[Tensor], *, spare: int = 0) -> Tensor:
        """For each group (n, length, ...) -> (T + spare, ...): undoes `split`, dropping padding.

        parts (Sequence[Tensor]): One for each group.
        spare (int): Rows of zeros behind the last.
        RETURNS (Tensor): The rows.
        """
        unpadded = [group.unpad(part) for group, part in zip(self.groups, parts, strict=True)]
        inverse = self.grouping.inverse
        if inverse is not None:
            unpadded = [torch.cat(unpadded).index_select(0, inverse)]
        if spare:
            unpadded.append(unpadded[0].new_zeros((spare, *unpadded[0].shape[1:])))
        return unpadded[0] if len(unpadded) == 1 else torch.cat(unpadded)

    def after(self, n: int) -> Packing:
        """RETURNS (Packing): The same packing of pieces that follow n others of their sequence."""
        if not n:
            return self
        return replace(self, positions=self.positions + n, max_length=self.max_length + n)

    def to(self, device: torch.device | str) -> Packing:
        """RETURNS (Packing): The same packing with its tensors on another device."""
        return replace(
            self,
            lengths=send(self.lengths, device),
            starts=send(self.starts, device),
            bounds=send(self.bounds, device),
            positions=send(self.positions, device),
        )


def _checked(lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    sizes = np.asarray(lengths)
    if sizes.size == 0:
        return np.zeros(0, dtype=np.int64)
    if sizes.ndim != 1 or sizes.dtype.kind not in "iu" or sizes.min() < 1:
        raise ValueError(Errors.E105.format(found=sizes.tolist()))
    return sizes.astype(np.int64)


def _ranges(sizes: np.ndarray) -> np.ndarray:
    """[2, 3] -> [0, 1, 0, 1, 2]: counts from 0 within each size."""
    return np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def _rows_of(starts: np.ndarray, sizes: np.ndarray, sequences: np.ndarray) -> np.ndarray:
    """The rows of the given sequences, one sequence after the other."""
    return np.repeat(starts[sequences], sizes[sequences]) + _ranges(sizes[sequences])


def _arranged(sizes: np.ndarray, groups: tuple[np.ndarray, ...]) -> Grouping:
    sequences = np.concatenate([*groups, np.zeros(0, dtype=np.int64)])
    made = tuple(_make_group(group, sizes[group]) for group in groups)
    if not (np.diff(sequences) < 0).any():
        return Grouping(made, order=None, inverse=None)
    order = _rows_of(np.cumsum(sizes) - sizes, sizes, sequences)
    inverse = torch.from_numpy(np.argsort(order))
    return Grouping(made, order=torch.from_numpy(order), inverse=inverse)


def _group_order(sizes: np.ndarray, bucket: int) -> np.ndarray:
    """An order of sequences that brings near-equal lengths together; their own if it does."""
    steps = np.diff(-(-sizes // bucket))
    if (steps >= 0).all() or (steps <= 0).all():
        return np.arange(len(sizes))
    return np.argsort(sizes, kind="stable")


def _cut(sizes: np.ndarray, bucket: int, max_rows: int, max_cells: int) -> list[np.ndarray]:
    """Order sequences, and cut wherever the bucket changes or a group would grow too large."""
    if not len(sizes):
        return []
    sequences = _group_order(sizes, bucket)
    buckets = -(-sizes[sequences] // bucket)
    runs = np.split(sequences, np.flatnonzero(np.diff(buckets)) + 1)
    groups: list[np.ndarray] = []
    for run in runs:
        length = int(sizes[run].max())
        n = max(1, min(max_rows // length, max_cells // length**2))
        groups.extend(run[i : i + n] for i in range(0, len(run), n))
    return groups


def _make_group(sequences: np.ndarray, sizes: np.ndarray) -> Group:
    length, n_rows = int(sizes.max()), int(sizes.sum())
    if n_rows == length * len(sizes):
        return Group(sequences, length, n_rows)
    length = -(-length // BUCKET) * BUCKET
    column = np.arange(length)
    filled = column < sizes[:, None]  # (n, length)
    first = (np.cumsum(sizes) - sizes)[:, None]
    cells = first + np.minimum(column, sizes[:, None] - 1)
    return Group(
        sequences,
        length,
        n_rows,
        cells=torch.from_numpy(cells.ravel()),
        real=torch.from_numpy(np.flatnonzero(filled)),
        mask=torch.from_numpy(filled)[:, None, None, :],
    )
