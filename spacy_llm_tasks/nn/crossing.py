"""Which rows of a memory each sequence may look at: sequence i of one batch sees sequence i of
another.

A decoder's queries attend to an encoder's rows (the memory). Both are packed, and a query sequence
and its memory are seldom equally long. Attention needs groups in which both are padded a little:

    queries   a a a b b b b c           memory   A A B B B C C C C C
    group 1   a a a .   A A .           group 2  c   C C C C C
              b b b b   B B B

so a crossing is two packings, of queries and of memory, with the same sequences in each group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..errors import Errors
from .packing import BUCKET, MAX_CELLS, MAX_ROWS, Packing

# The longest memory of a group is at most so many times as long as its shortest, and a bucket more.
MEMORY_SPREAD = 1.25


@dataclass(frozen=True, eq=False)
class Crossing:
    """Pairs of sequences, grouped for attention.

    queries (Packing): The sequences that look.
    memory (Packing): The sequences that are looked at, in the same groups.
    """

    queries: Packing
    memory: Packing

    @classmethod
    def from_packings(cls, packing: Packing, memory_packing: Packing) -> Crossing:
        """Pair the sequences of two batches.

        packing (Packing): Of the queries.
        memory_packing (Packing): Of the memory, with as many sequences.
        RETURNS (Crossing): The crossing, on the device of the packings.
        RAISES (ValueError): The batches differ in their number of sequences.
        """
        if packing.n_sequences != memory_packing.n_sequences:
            found = {"n_queries": packing.n_sequences, "n_memory": memory_packing.n_sequences}
            raise ValueError(Errors.E131.format(**found))
        groups = _pair_groups(packing.sizes, memory_packing.sizes)
        crossing = cls(
            queries=Packing.from_groups(packing.sizes, groups),
            memory=Packing.from_groups(memory_packing.sizes, groups),
        )
        return crossing.to(packing.lengths.device)

    def to(self, device: torch.device | str) -> Crossing:
        """RETURNS (Crossing): The same crossing with its tensors on another device."""
        return Crossing(queries=self.queries.to(device), memory=self.memory.to(device))


def _pair_groups(queries: np.ndarray, memory: np.ndarray) -> list[np.ndarray]:
    """Cut the pairs into groups of near-equal queries and similar memories."""
    buckets = -(-queries // BUCKET)
    order = np.lexsort((memory, buckets))
    groups: list[list[int]] = []
    longest_query = 0
    for i in order:
        longest_query = max(longest_query, int(queries[i]))
        if not groups or not _belongs(int(i), groups[-1], buckets, memory, longest_query):
            groups.append([])
            longest_query = int(queries[i])
        groups[-1].append(int(i))
    return [np.array(group) for group in groups]


def _belongs(
    i: int, group: list[int], buckets: np.ndarray, memory: np.ndarray, longest_query: int
) -> bool:
    """Whether pair i may join: sorted as they come, its memory is the longest so far."""
    length, n = int(memory[i]), len(group) + 1
    return (
        buckets[i] == buckets[group[0]]
        and length <= MEMORY_SPREAD * memory[group[0]] + BUCKET
        and n * max(longest_query, length) <= MAX_ROWS
        and n * longest_query * length <= MAX_CELLS
    )
