"""Lay texts and pairs of texts out as the sequences that a model reads, windows included.

    a text    [CLS] text [SEP]
    a pair    [CLS] first [SEP] second [SEP]           (RoBERTa: two separators in the middle)

as a checkpoint's own tokenizer lays them out (Devlin et al. 2019, figure 1,
https://arxiv.org/abs/1810.04805). What does not fit into one sequence is read in several: the first
text of a pair is repeated in each, the last text moves through them in overlapping windows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import Errors
from .pieces import Ints1d, Pieces, bounds_of, ranges
from .tokenizer import PieceTokenizer
from .windows import plan

SPECIAL = -1
# A pair whose first text leaves less room than this for the second cannot be read sensibly.
LEAST_ROOM = 16


@dataclass(frozen=True)
class Sequences:
    """K sequences end to end, R positions in all, sorted by length.

    ids (int64 array): piece ids. *Shape: (R,)*
    segments (int64 array): 0 up to the first separator, 1 behind it (second texts of pairs).
        *Shape: (R,)*
    lengths (int64 array): positions of each sequence. *Shape: (K,)*
    item (int64 array): the text or pair that each sequence is of. *Shape: (K,)*
    part (int64 array): whether a position is a piece of the first text (0), of the second (1), or
        none of either (`SPECIAL`). *Shape: (R,)*
    starts, ends (int64 arrays): the characters of each piece in its own text, end exclusive; 0 for
        special pieces. *Shape: (R,)*
    chosen (bool array): whether this is the window to read the piece from, the one in which it is
        farthest from an edge. Each piece of each item is chosen once. *Shape: (R,)*
    """

    ids: Ints1d
    segments: Ints1d
    lengths: Ints1d
    item: Ints1d
    part: Ints1d
    starts: Ints1d
    ends: Ints1d
    chosen: np.ndarray

    def __len__(self) -> int:
        """RETURNS (int): K, the number of sequences."""
        return len(self.lengths)

    @property
    def bounds(self) -> Ints1d:
        """RETURNS (int64 array): sequence k owns the rows `bounds[k]:bounds[k + 1]`, its first row
        is that of `[CLS]`. *Shape: (K + 1,)*"""
        return bounds_of(self.lengths)

    def parts(self, max_rows: int) -> "Iterator[Sequences]":
        """Cut into runs of whole sequences of about `max_rows` positions each, the last of which
        may pass it. YIELDS (Sequences): The runs; `item` keeps its numbers."""
        bounds = self.bounds
        run = (bounds[1:] - 1) // max_rows
        cuts = [0, *(np.flatnonzero(np.diff(run)) + 1).tolist(), len(self.lengths)]
        for first, last in zip(cuts[:-1], cuts[1:], strict=True):
            yield self.take(np.arange(first, last))

    def take(self, chosen: Ints1d) -> "Sequences":
        """RETURNS (Sequences): Some of the sequences, in the order given; `item` keeps its
        numbers."""
        rows = ranges(self.bounds[chosen], self.lengths[chosen])
        return Sequences(
            self.ids[rows],
            self.segments[rows],
            self.lengths[chosen],
            self.item[chosen],
            self.part[rows],
            self.starts[rows],
            self.ends[rows],
            self.chosen[rows],
        )

    def of_each(self, n_items: int) -> "list[Sequences]":
        """RETURNS (list[Sequences]): Those of each text or pair, which is their item 0."""
        order = np.argsort(self.item, kind="stable")
        cuts = np.searchsorted(self.item[order], np.arange(1, n_items))
        found = [self.take(chosen) for chosen in np.split(order, cuts)]
        return [replace(one, item=np.zeros_like(one.item)) for one in found]

    @classmethod
    def chain(cls, parts: "Sequence[Sequences]") -> "Sequences":
        """RETURNS (Sequences): Layouts of one text or pair each, one behind the other; the k-th of
        them is item k."""
        columns = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("ids", "segments", "lengths", "part", "starts", "ends", "chosen")
        }
        item = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        return cls(**columns, item=item)


def lay_out(
    inputs: Sequence[str] | Sequence[tuple[str, str]],
    tokenizer: PieceTokenizer,
    *,
    max_length: int,
    overlap: float = 0.25,
) -> Sequences:
    """Cut texts or pairs into pieces and lay them out.

    inputs (sequence of str or of tuple): Texts, or pairs of texts; not both.
    tokenizer (PieceTokenizer): Makes the pieces.
    max_length (int): Most positions in a sequence, special pieces included.
    overlap (float): Share of a window that the next one repeats.
    RETURNS (Sequences): The layout.
    RAISES (ValueError): If it is neither texts nor pairs, or a first text leaves no room for its
        second.
    """
    pairs = _are_pairs(inputs)
    first = tokenizer.encode([pair[0] for pair in inputs] if pairs else [""] * len(inputs))
    last = tokenizer.encode([pair[1] for pair in inputs] if pairs else inputs)  # type: ignore[arg-type]
    # positions before the text that moves, and in each sequence besides it
    before = 1 + (first.lengths + tokenizer.n_between if pairs else np.zeros_like(first.lengths))
    room = max_length - before - 1
    least = LEAST_ROOM if pairs else 1
    short = np.flatnonzero((room < least) & (room < last.lengths))
    if len(short):
        i = int(short[0])
        most = max_length - tokenizer.n_between - 2 - LEAST_ROOM
        raise ValueError(Errors.E216.format(item=i, found=first.lengths[i], most=most))
    windows = _windows(last.lengths, room, overlap)

    item, start, length, *_ = windows
    order = np.lexsort((start, item, before[item] + length))
    item, start, length, keep_first, keep_last = (column[order] for column in windows)
    before = before[item]
    sequence_lengths = before + length + 1
    opening = bounds_of(sequence_lengths)[:-1]
    moving = opening + before

    total = int(sequence_lengths.sum())
    ids = np.full(total, tokenizer.special.sep, dtype=np.int64)
    part = np.full(total, SPECIAL, dtype=np.int64)
    starts, ends = np.zeros(total, dtype=np.int64), np.zeros(total, dtype=np.int64)
    segments = np.zeros(total, dtype=np.int64)
    chosen = np.zeros(total, dtype=bool)
    ids[opening] = tokenizer.special.cls

    def put(pieces: Pieces, rows: Ints1d, sources: Ints1d, value: int) -> None:
        ids[rows], part[rows] = pieces.ids[sources], value
        starts[rows], ends[rows] = pieces.starts[sources], pieces.ends[sources]

    rows = ranges(moving, length)
    put(last, rows, ranges(last.bounds[item] + start, length), 1 if pairs else 0)
    chosen[ranges(moving + keep_first - start, keep_last - keep_first)] = True
    if pairs:
        n_first = first.lengths[item]
        rows = ranges(opening + 1, n_first)
        put(first, rows, ranges(first.bounds[item], n_first), 0)
        # The first text is the same in all windows of an item: its states are read from the first.
        chosen[rows] = np.repeat(start == 0, n_first)
        segments[ranges(moving, length + 1)] = 1
    return Sequences(ids, segments, sequence_lengths, item, part, starts, ends, chosen)


def _are_pairs(inputs: Sequence[str] | Sequence[tuple[str, str]]) -> bool:
    if isinstance(inputs, str):
        raise ValueError(Errors.E217.format(found="a single string"))
    kinds = {isinstance(x, tuple | list) for x in inputs}
    if len(kinds) > 1:
        raise ValueError(Errors.E217.format(found="both"))
    for x in inputs:
        if isinstance(x, tuple | list) and len(x) != 2:
            raise ValueError(Errors.E217.format(found=f"a tuple of {len(x)}"))
    return kinds == {True}


def _windows(lengths: Ints1d, room: Ints1d, overlap: float) -> tuple[Ints1d, ...]:
    """Windows of each text in the room that its own first text leaves; one `plan` per room."""
    sizes = np.maximum(room, 1)  # an empty text fits where there is no room at all
    found = [(np.zeros(0, dtype=np.int64),) * 5]
    for size in np.unique(sizes).tolist():
        items = np.flatnonzero(sizes == size)
        cut = plan(lengths[items], window=size, stride=max(1, size - int(size * overlap)))
        found.append((items[cut.doc], cut.start, cut.length, cut.keep_first, cut.keep_last))
    return tuple(np.concatenate(columns) for columns in zip(*found, strict=True))
