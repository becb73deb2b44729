"""Texts that the lower blocks have read, kept for the next question about them."""

from collections import OrderedDict
from typing import Any, NamedTuple

from torch import Tensor

from ..tokenization.sequences import Sequences

# About so many positions are kept: 100 MB for rows of 384 numbers.
MAX_ROWS = 65_536

Key = tuple[str, int, str]  # the text, the last block that has read it, and the branch


class LowerHalf(NamedTuple):
    """A text as the lower blocks leave it.

    sequences (Sequences): Its layout alone.
    rows (Tensor): (R, W) the state of every position.
    """

    sequences: Sequences
    rows: Tensor


class LowerHalves:
    """A bounded number of texts; the one that was not asked for for the longest time goes first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, LowerHalf] = OrderedDict()
        self._n_rows = 0

    def get(self, key: Key) -> LowerHalf | None:
        """RETURNS (LowerHalf): What was kept under a key, or None."""
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def keep(self, key: Key, half: LowerHalf) -> None:
        """Keep a text, unless it is larger than all the room there is."""
        if key in self._kept or len(half.rows) > MAX_ROWS:
            return
        # The rows may be a part of a larger tensor, which would be kept whole.
        self._kept[key] = half._replace(rows=half.rows.clone())
        self._n_rows += len(half.rows)
        while self._n_rows > MAX_ROWS:
            _, oldest = self._kept.popitem(last=False)
            self._n_rows -= len(oldest.rows)

    def clear(self) -> None:
        """Forget everything: the weights have changed."""
        self._kept.clear()
        self._n_rows = 0

    def __reduce__(self) -> tuple[Any, ...]:
        """A copied or pickled encoder reads for itself."""
        return LowerHalves, ()
