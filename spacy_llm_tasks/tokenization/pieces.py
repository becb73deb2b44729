"""What a tokenizer hands over: the pieces of a batch of texts, end to end in four arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints1d = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SpecialPieces:
    """Ids of the pieces that a model expects around and instead of text.

    cls (int): opens a sequence (`[CLS]` in BERT, `<s>` in RoBERTa).
    sep (int): closes a sequence and stands between two (`[SEP]`, `</s>`).
    pad (int): fills up a rectangular batch (`[PAD]`, `<pad>`).
    unk (int | None): stands for what the vocabulary cannot spell; byte-level vocabularies may
        have none.
    mask (int | None): stands for a hidden piece in pretraining (`[MASK]`, `<mask>`).
    """

    cls: int
    sep: int
    pad: int
    unk: int | None = None
    mask: int | None = None


@dataclass(frozen=True)
class Pieces:
    """The pieces of B texts, packed: all texts end to end, T pieces in total.

    ids (int64 array): piece ids. *Shape: (T,)*
    starts (int64 array): first character of each piece, an index into its own text. *Shape: (T,)*
    ends (int64 array): one past the last character. *Shape: (T,)*
    lengths (int64 array): pieces in each text, 0 for a text without any. *Shape: (B,)*

    Offsets are indices into the Python string, never decrease within a text, and stay within it.
    Several pieces may share one character (a byte-level vocabulary spells an emoji with up to four
    pieces), and a piece may be empty, `start == end` (a lone space of a byte-level vocabulary).
    """

    ids: Ints1d
    starts: Ints1d
    ends: Ints1d
    lengths: Ints1d

    def __len__(self) -> int:
        """RETURNS (int): T, the number of pieces of all texts together."""
        return len(self.ids)

    @property
    def bounds(self) -> Ints1d:
        """RETURNS (int64 array): text i owns rows `bounds[i]:bounds[i + 1]`. *Shape: (B + 1,)*"""
        return bounds_of(self.lengths)


def bounds_of(lengths: Sequence[int] | Ints1d) -> Ints1d:
    """Cumulate lengths to row bounds.

    lengths (sequence of int): rows of each item. *Shape: (B,)*
    RETURNS (int64 array): item i owns rows `bounds[i]:bounds[i + 1]`. *Shape: (B + 1,)*
    """
    bounds = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=bounds[1:])
    return bounds


def ranges(starts: Ints1d, lengths: Ints1d) -> Ints1d:
    """Concatenate the ranges `start, start + 1, ..., start + length - 1` without a Python loop.

    starts (int64 array): first value of each range. *Shape: (K,)*
    lengths (int64 array): number of values of each range, 0 allowed. *Shape: (K,)*
    RETURNS (int64 array): all ranges, end to end. *Shape: (sum of lengths,)*
    """
    bounds = bounds_of(lengths)
    return np.repeat(starts - bounds[:-1], lengths) + np.arange(bounds[-1], dtype=np.int64)
