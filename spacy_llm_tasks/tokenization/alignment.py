"""From the pieces of a batch to its tokens, by character offsets and without a loop.

A piece overlaps a token when it ends after the token's start and starts before the token's end.
Within one text, piece starts and piece ends never decrease, so the pieces that end after a position
are a tail of the text's rows and those that start before a position are a head: both borders are
binary searches, and their intersection is one contiguous range. To search the whole batch at once,
each text's offsets are shifted by a stride larger than any text, which keeps the packed arrays
sorted.
"""

import numpy as np
import numpy.typing as npt

from ..errors import Errors
from .pieces import Ints1d, Pieces


def align(
    pieces: Pieces,
    token_starts: npt.ArrayLike,
    token_ends: npt.ArrayLike,
    token_lengths: npt.ArrayLike,
) -> tuple[Ints1d, Ints1d]:
    """Find the packed rows of the pieces that each token is made of.

    A piece that covers parts of several tokens belongs to each of them. An empty piece
    (`start == end`) belongs to the token that has it strictly inside, and to none when it sits on a
    token border. A token without pieces (whitespace, characters that the tokenizer drops, an empty
    token) gets an empty range, `first == last`.

    pieces (Pieces): the packed pieces of B texts, T in total.
    token_starts (array of int): first character of each token, an index into its own text, packed
        over the same B texts. *Shape: (N,)*
    token_ends (array of int): one past the last character of each token. *Shape: (N,)*
    token_lengths (array of int): tokens in each text. *Shape: (B,)*
    RETURNS (tuple of int64 arrays): `(first, last)`: token i owns rows `first[i]:last[i]` of the
        packed pieces. *Shape: (N,), (N,)*
    RAISES (ValueError): if the arrays do not describe the same texts.
    """
    starts = np.asarray(token_starts, dtype=np.int64)
    ends = np.asarray(token_ends, dtype=np.int64)
    lengths = np.asarray(token_lengths, dtype=np.int64)
    if len(lengths) != len(pieces.lengths):
        raise ValueError(Errors.E210.format(tokens=len(lengths), pieces=len(pieces.lengths)))
    n_tokens = int(lengths.sum())
    if len(starts) != n_tokens or len(ends) != n_tokens:
        raise ValueError(Errors.E211.format(starts=len(starts), ends=len(ends), total=n_tokens))
    if not n_tokens:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    # One more than the last border of any text, so that a search never leaves its own text.
    stride = int(max(ends.max(), starts.max(), pieces.ends.max(initial=0))) + 1
    shifts = np.arange(len(lengths), dtype=np.int64) * stride
    token_shifts = np.repeat(shifts, lengths)
    piece_shifts = np.repeat(shifts, pieces.lengths)
    first = np.searchsorted(pieces.ends + piece_shifts, starts + token_shifts, side="right")
    last = np.searchsorted(pieces.starts + piece_shifts, ends + token_shifts, side="left")
    last = np.where(ends > starts, last, first)
    return first.astype(np.int64, copy=False), last.astype(np.int64, copy=False)
