"""Offsets without the blanks that a vocabulary keeps in its pieces.

Byte-level pieces hold the space before a word, and pieces of Unigram the mark "▁" for it. Neither
is part of a spaCy token; with them, a piece would also belong to the whitespace token in front. The
`tokenizers` library's own trimming looks at the piece instead of the text, and moves one character
too far where it has put a space of its own in front.
"""

import numpy as np

from .pieces import Ints1d, bounds_of

# Of byte-level pieces, which spell all other blanks with pieces of their own.
SPACE = (0x20,)
# All white space of Unicode, which normalizers for Unigram turn into U+0020 or leave out.
BLANKS = (*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B))
BLANKS += (0x2028, 0x2029, 0x202F, 0x205F, 0x3000)


def without_blanks(
    texts: list[str], starts: Ints1d, ends: Ints1d, lengths: Ints1d, *, blanks: tuple[int, ...]
) -> tuple[Ints1d, Ints1d]:
    """Trim blanks off both ends of the offsets, vectorised over the batch.

    texts (list of str): B texts.
    starts (int64 array): first character of each piece. *Shape: (T,)*
    ends (int64 array): one past the last character. *Shape: (T,)*
    lengths (int64 array): pieces in each text. *Shape: (B,)*
    blanks (tuple of int): code points to leave out.
    RETURNS (tuple of int64 arrays): `(starts, ends)`; a piece of blanks only is empty.
        *Shape: (T,), (T,)*
    """
    codes = np.frombuffer("".join(texts).encode("utf-32-le"), dtype=np.uint32)
    if not len(codes) or not len(starts):
        return starts, ends
    is_blank = codes == blanks[0] if len(blanks) == 1 else np.isin(codes, blanks)
    places = np.arange(len(codes), dtype=np.int64)
    # For each character, the first place at or after it without a blank, and the end of the last
    # stretch at or before it without a blank.
    following = np.where(is_blank, len(codes), places)
    following = np.minimum.accumulate(following[::-1])[::-1]
    preceding = np.maximum.accumulate(np.where(is_blank, 0, places + 1))
    sizes = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    shift = np.repeat(bounds_of(sizes)[:-1], lengths)
    filled = np.flatnonzero(ends > starts)
    first, last = starts + shift, ends + shift
    new_last = last.copy()
    first[filled] = np.minimum(following[first[filled]], last[filled])
    new_last[filled] = np.maximum(preceding[last[filled] - 1], first[filled])
    return first - shift, new_last - shift
