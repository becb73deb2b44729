"""Cut long documents into overlapping windows, and decide which window each piece is read from.

Every window but those of short documents is full: the last one is moved left instead of being cut,
because a state computed from a few left-over pieces has next to no context. Where windows overlap,
a piece is read from the window in which it is farthest from an edge (its "maximum context", the
rule of the SQuAD baselines of Devlin et al. 2019, https://arxiv.org/abs/1810.04805); of two equally
good windows, the earlier.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import Errors
from .pieces import Ints1d, bounds_of, ranges


@dataclass(frozen=True)
class Windows:
    """K windows over the pieces of B documents, in the order of the documents.

    doc (int64 array): index of each window's document. *Shape: (K,)*
    start (int64 array): first piece, counted from the start of the document. *Shape: (K,)*
    length (int64 array): pieces in the window. *Shape: (K,)*
    keep_first (int64 array): first piece that is read from this window, counted from the start of
        the document. *Shape: (K,)*
    keep_last (int64 array): one past the last piece that is read from it. *Shape: (K,)*

    The ranges `keep_first:keep_last` of a document's windows follow each other and cover it once.
    """

    doc: Ints1d
    start: Ints1d
    length: Ints1d
    keep_first: Ints1d
    keep_last: Ints1d

    def __len__(self) -> int:
        """RETURNS (int): K, the number of windows."""
        return len(self.doc)

    def rows_in(self, lengths: npt.ArrayLike) -> Ints1d:
        """Where the pieces of all windows, end to end, come from.

        lengths (array of int): pieces of each document, as given to `plan`. *Shape: (B,)*
        RETURNS (int64 array): rows of the packed pieces. *Shape: (sum of window lengths,)*
        """
        bounds = bounds_of(np.asarray(lengths, dtype=np.int64))
        return ranges(bounds[self.doc] + self.start, self.length)

    def rows_out(self, *, before: int = 0, after: int = 0) -> Ints1d:
        """Where each of the T packed pieces finds its state among the windows' states.

        before (int): rows that every window has in front of its pieces, such as one for `[CLS]`.
        after (int): rows that every window has behind its pieces, such as one for `[SEP]`.
        RETURNS (int64 array): rows of the windows' states, which are laid end to end with their
            extra rows. *Shape: (T,)*
        """
        bounds = bounds_of(self.length + (before + after))
        return ranges(
            bounds[:-1] + before + self.keep_first - self.start, self.keep_last - self.keep_first
        )


def plan(lengths: npt.ArrayLike, *, window: int, stride: int) -> Windows:
    """Lay windows over documents.

    A document of at most `window` pieces gets one window, also when it has no piece at all. A
    longer one gets windows of exactly `window` pieces that start `stride` pieces apart, the last
    one moved left to end with the document.

    lengths (array of int): pieces of each document. *Shape: (B,)*
    window (int): most pieces in a window, without the special pieces around it; at least 1.
    stride (int): pieces from the start of a window to the start of the next; 1 to `window`.
    RETURNS (Windows): the windows, with what is read from each. Takes memory for K windows only.
    RAISES (ValueError): if `window` or `stride` is out of bounds or not a whole number, or a length
        is negative.
    """
    for name, value in (("window", window), ("stride", stride)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise ValueError(Errors.E212.format(name=name, value=value))
    if window < 1:
        raise ValueError(Errors.E213.format(window=window))
    if not 1 <= stride <= window:
        raise ValueError(Errors.E214.format(stride=stride, window=window))
    totals = np.asarray(lengths, dtype=np.int64)
    if totals.size and totals.min() < 0:
        raise ValueError(Errors.E215.format(length=totals.min()))
    excess = np.maximum(totals - window, 0)
    counts = 1 + -(-excess // stride)
    doc = np.repeat(np.arange(len(totals), dtype=np.int64), counts)
    order = ranges(np.zeros_like(counts), counts)
    total = totals[doc]
    start = np.minimum(order * stride, excess[doc])
    length = np.minimum(total, window)
    # Of two neighbours that start at a < b, piece i is at least as far from the edges of the first
    # as long as it is no nearer to the second's centre: 2 * i <= a + b + window - 1. Starts
    # strictly increase within a document, so every range has at least one piece.
    keep_first = np.zeros_like(start)
    keep_last = total.copy()
    inner = np.flatnonzero(doc[1:] == doc[:-1])
    border = (start[inner] + start[inner + 1] + window - 1) // 2 + 1
    keep_last[inner] = border
    keep_first[inner + 1] = border
    return Windows(doc, start, length, keep_first, keep_last)
