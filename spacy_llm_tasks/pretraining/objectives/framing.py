"""Special pieces around chunks: `cls text sep`, for a whole micro-batch at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...tokenization.pieces import Ints1d, bounds_of
from ..pieces.chunks import Chunks
from ..pieces.special import SpecialIds


class Framed(NamedTuple):
    """Chunks between special pieces.

    pieces (int64 array): (T + k B,) ids, end to end; k special pieces around each chunk.
    lengths (int64 array): (B,) pieces of each, special ones included.
    starts (int64 array): (B,) the row of each one's first piece.
    text_rows (int64 array): (T,) the row of each piece of text.
    """

    pieces: Ints1d
    lengths: Ints1d
    starts: Ints1d
    text_rows: Ints1d


def frame(chunks: Chunks, special: SpecialIds, *, closed: bool = True) -> Framed:
    """Put a special piece in front of each chunk, and one behind it.

    chunks (Chunks): B chunks of T pieces in all.
    special (SpecialIds): `cls` and `sep` are used.
    closed (bool): Whether a `sep` follows.
    RETURNS (Framed): The sequences.
    """
    n_special = 2 if closed else 1
    lengths = chunks.lengths + n_special
    bounds = bounds_of(lengths)
    sequence = np.repeat(np.arange(len(chunks)), chunks.lengths)
    text_rows = np.arange(len(chunks.pieces)) + n_special * sequence + 1
    pieces = np.full(bounds[-1], special.cls, dtype=np.int64)
    pieces[text_rows] = chunks.pieces
    if closed:
        pieces[bounds[1:] - 1] = special.sep
    return Framed(pieces, lengths, bounds[:-1], text_rows)
