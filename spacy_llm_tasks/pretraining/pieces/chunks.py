"""Documents cut into chunks, and chunks dealt out in micro-batches.

A document of n pieces gives n // length chunks of `length` pieces and one of the rest, unless that
is shorter than `min_pieces`. A chunk never reaches into another document.

The order is a pure function of the number of a micro-batch, so that a run goes on, or is split over
machines, without replaying anything. Lengths are rounded up to a multiple of 8 and sorted once; the
sorted row is cut into micro-batches at the same places in every epoch. What an epoch draws anew is
which chunk takes which place of its length, and the order of the micro-batches. So each of them
holds chunks of near-equal lengths, which attention can treat as one dense group, and every chunk is
seen exactly once an epoch, beside others each time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import Errors
from ...tokenization.pieces import Ints1d, bounds_of, ranges
from .piece_store import PieceStore
from .special import Bools1d

# Chunks whose framed lengths round up to the same multiple of this are of near-equal length.
# The groups of `nn.packing` are cut at these multiples too.
BUCKET = 8
# Sets the generators of orders apart from those that other parts of a run seed with two numbers.
_STREAM = 2**31 + 1


@dataclass(frozen=True, eq=False)
class Chunks:
    """B chunks, T pieces in all, without special pieces around them.

    pieces (int64 array): (T,) ids, end to end.
    lengths (int64 array): (B,) pieces of each, at least 1.
    starts_word (bool array): (T,) which pieces start a word.
    documents (int64 array): (B,) which document each is from.
    starts_document (bool array | None): (B,) which begin theirs; None: all.
    ends_document (bool array | None): (B,) which end theirs; None: all.
    """

    pieces: Ints1d
    lengths: Ints1d
    starts_word: Bools1d
    documents: Ints1d
    starts_document: Bools1d | None = None
    ends_document: Bools1d | None = None

    def __len__(self) -> int:
        """RETURNS (int): B, the number of chunks."""
        return len(self.lengths)

    @property
    def bounds(self) -> Ints1d:
        """RETURNS (int64 array): (B + 1,) chunk i owns pieces bounds[i]:bounds[i + 1]."""
        return bounds_of(self.lengths)


class ChunkIndex:
    """The chunks of a store, found by arithmetic on the documents' lengths.

    store (PieceStore): The documents.
    length (int): Pieces of a chunk at most.
    min_pieces (int): A rest that is shorter is left out.

    n_chunks (int): How many there are.
    n_dropped (int): Pieces that were left out.
    lengths (int32 array): (n_chunks,) pieces of each.
    """

    def __init__(self, store: PieceStore, *, length: int, min_pieces: int = 1) -> None:
        if not 1 <= min_pieces <= length:
            raise ValueError(Errors.E724.format(length=length, min_pieces=min_pieces))
        self.store = store
        self.length = length
        sizes = np.diff(store.bounds)
        rest = sizes % length
        has_rest = rest >= min_pieces
        self._first = bounds_of(sizes // length + has_rest)  # document i owns these chunks
        self.n_chunks = int(self._first[-1])
        self.n_dropped = int(rest[~has_rest].sum())
        self.lengths = np.full(self.n_chunks, length, dtype=np.int32)
        self.lengths[self._first[1:][has_rest] - 1] = rest[has_rest]

    def gather(self, numbers: Ints1d) -> Chunks:
        """Read chunks.

        numbers (int64 array): (B,) which ones.
        RETURNS (Chunks): They, in this order.
        """
        documents = np.searchsorted(self._first, numbers, side="right") - 1
        first, bounds = self._first[documents], self.store.bounds
        starts = bounds[documents] + (numbers - first) * self.length
        lengths = self.lengths[numbers].astype(np.int64)
        pieces, starts_word = self.store.gather(ranges(starts, lengths))
        return Chunks(
            pieces=pieces,
            lengths=lengths,
            starts_word=starts_word,
            documents=documents,
            starts_document=numbers == first,
            ends_document=starts + lengths == bounds[documents + 1],
        )


class ChunkSampler:
    """Deals out all chunks of an index, epoch after epoch.

    With R machines and A micro-batches for a step, machine r takes at step s the micro-batches
    s * R * A + r * A + a for a from 0 to below A: each is taken once, by one machine.

    index (ChunkIndex): The chunks.
    batch_pieces (int): Pieces of a micro-batch at most, those that frame chunks included.
    seed (int): Decides the order.
    framing (int): Special pieces that the objective puts around each chunk (its `framing`).

    n_batches (int): Micro-batches of an epoch.
    """

    def __init__(
        self, index: ChunkIndex, *, batch_pieces: int, seed: int, framing: int = 2
    ) -> None:
        if not index.n_chunks:
            raise ValueError(Errors.E726.format(folder=index.store.folder))
        longest = index.length + framing
        if batch_pieces < longest:
            raise ValueError(Errors.E727.format(batch_pieces=batch_pieces, longest=longest))
        self.index = index
        self.seed = seed
        # the sort of an epoch is over these: 16 bits make it a radix sort
        self._buckets = (-(-(index.lengths + framing) // BUCKET)).astype(np.uint16)
        sizes = np.minimum(np.sort(self._buckets).astype(np.int64) * BUCKET, longest)
        self._cuts = _cut(bounds_of(sizes), batch_pieces)
        self.n_batches = len(self._cuts) - 1
        self._epoch = -1
        self._chunks = self._batches = np.zeros(0, dtype=np.int64)

    def batch(self, n: int) -> Chunks:
        """RETURNS (Chunks): Micro-batch n of the endless row, from 0."""
        epoch, place = divmod(n, self.n_batches)
        if epoch != self._epoch:
            self._shuffle(epoch)
        number = self._batches[place]
        return self.index.gather(self._chunks[self._cuts[number] : self._cuts[number + 1]])

    def epoch_of(self, n: int) -> int:
        """RETURNS (int): The epoch, from 0, that micro-batch n belongs to."""
        return n // self.n_batches

    def _shuffle(self, epoch: int) -> None:
        rng = np.random.default_rng([self.seed, epoch, _STREAM])
        shuffled = rng.permutation(self.index.n_chunks)
        by_length = np.argsort(self._buckets[shuffled], kind="stable")
        self._chunks = shuffled[by_length]
        self._batches = rng.permutation(self.n_batches)
        self._epoch = epoch


def _cut(bounds: Ints1d, most: int) -> Ints1d:
    """Cut a row of chunks into the fewest runs of at most `most` pieces.

    bounds (int64 array): (K + 1,) the pieces before each chunk.
    most (int): At least the size of every single chunk.
    RETURNS (int64 array): Run i owns chunks cuts[i]:cuts[i + 1].
    """
    cuts = [0]
    while cuts[-1] < len(bounds) - 1:
        reach = bounds[cuts[-1]] + most
        cuts.append(int(np.searchsorted(bounds, reach, side="right")) - 1)
    return np.array(cuts, dtype=np.int64)
