"""Pairs of texts that the lower blocks read apart, and only the upper ones together.

A question and a passage need each other only where meaning is worked out. With the lower blocks
reading each text alone, a passage goes through them once, however many questions are asked about
it. (DeFormer: Cao et al. 2020, https://arxiv.org/abs/2005.00697)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from ..errors import Errors
from ..tokenization.pieces import Ints1d, ranges
from ..tokenization.sequences import SPECIAL, Sequences


@dataclass(frozen=True)
class Joint:
    """The two layouts of N pairs.

    apart (Sequences): What the lower blocks read: every first text and every second one, alone.
    together (Sequences): What the upper blocks read: `[CLS] first [SEP] [CLS] second [SEP]`, a
        sequence for each window of the second. *Shape: (R,)*
    source (int64 array): the row of `apart` that each row of `together` goes on from. *Shape: (R,)*
    after (int): The last of the lower blocks.
    lower (Tensor): The rows of `apart`, if they have been read already.
    """

    apart: Sequences
    together: Sequences
    source: Ints1d
    after: int
    lower: Tensor | None = None

    def __len__(self) -> int:
        """RETURNS (int): The number of sequences that are read together."""
        return len(self.together)

    def parts(self, max_rows: int) -> Iterator["Joint"]:
        """Cut into runs of about `max_rows` rows each. YIELDS (Joint): The runs."""
        first = 0
        for part in self.together.parts(max_rows):
            last = first + len(part.ids)
            yield replace(self, together=part, source=self.source[first:last])
            first = last


def join(apart: Sequences, first: Sequence[int], second: Sequence[int], *, after: int) -> Joint:
    """Put texts together that were laid out apart.

    apart (Sequences): Their layout.
    first, second (Sequence[int]): (N,) the numbers of the texts of each pair.
    after (int): The last block that reads them apart.
    RETURNS (Joint): The layout of the pairs, sequences sorted by length.
    RAISES (ValueError): If a first text takes more than one window.
    """
    by_item = np.argsort(apart.item, kind="stable")
    n_texts = int(apart.item.max(initial=-1)) + 1
    opens = np.searchsorted(apart.item[by_item], np.arange(n_texts + 1))
    n_windows = np.diff(opens)
    a, b = np.array(first, dtype=np.int64), np.array(second, dtype=np.int64)
    long = np.flatnonzero(n_windows[a] > 1)
    if len(long):
        raise ValueError(Errors.E218.format(item=long[0]))
    n = n_windows[b]
    pair = np.repeat(np.arange(len(a)), n)
    one = by_item[opens[a[pair]]]
    other = by_item[ranges(opens[b], n)]
    lengths = apart.lengths[one] + apart.lengths[other]
    opening = np.concatenate([[True], pair[1:] != pair[:-1]]) if len(pair) else np.zeros(0, bool)

    order = np.argsort(lengths, kind="stable")
    pair, one, other, lengths, opening = (x[order] for x in (pair, one, other, lengths, opening))
    both = np.stack([one, other], axis=1).ravel()
    source = ranges(apart.bounds[both], apart.lengths[both])
    is_second = np.repeat(np.tile([False, True], len(pair)), apart.lengths[both])
    # The first text is the same in all windows of a pair: its states are read from one of them.
    is_read = np.repeat(opening, lengths) | is_second
    part = apart.part[source]
    together = Sequences(
        apart.ids[source],
        is_second.astype(np.int64),
        lengths,
        pair,
        np.where(part == SPECIAL, SPECIAL, is_second.astype(np.int64)),
        apart.starts[source],
        apart.ends[source],
        apart.chosen[source] & is_read,
    )
    return Joint(apart, together, source, after)
