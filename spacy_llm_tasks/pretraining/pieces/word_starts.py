"""Where words begin among pieces, told from the text under them and no tokenizer's own marks.

A piece goes on with the word before it if the characters on both sides of its first edge are
letters, digits or the marks that belong to them ("un|believ|able"), or if it shares a character
with the piece before (a byte-level vocabulary spells one with several). So "##", "Ġ" and "▁" need
not be known, and punctuation stands alone as in BERT. Ideographs are words of their own, because
nothing separates them from their neighbours.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ...tokenization.pieces import Pieces, bounds_of

_UNKNOWN, _OTHER, _WORD = 0, 1, 2
# Blocks of Chinese characters: those that BERT's tokenizer sets apart.
_IDEOGRAPHS = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)
_classes = np.zeros(0x110000, dtype=np.uint8)  # filled in as characters turn up


def starts_word(texts: Sequence[str], pieces: Pieces) -> npt.NDArray[np.bool_]:
    """Tell for each piece whether it starts a word.

    texts (Sequence[str]): B texts.
    pieces (Pieces): Their pieces, with offsets into them.
    RETURNS (bool array): (T,).
    """
    if not len(pieces):
        return np.zeros(0, dtype=bool)
    classes = _classes_of("".join(texts))
    sizes = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    shift = np.repeat(bounds_of(sizes)[:-1], pieces.lengths)
    starts, ends = pieces.starts + shift, pieces.ends + shift
    inside = np.ones(len(pieces), dtype=bool)  # not the first piece of its text
    inside[pieces.bounds[:-1][pieces.lengths > 0]] = False
    is_word = np.append(classes == _WORD, False)  # an empty piece may stand behind the last one
    joined = is_word[starts] & is_word[starts - 1] & (pieces.starts > 0)
    earlier_start, earlier_end = np.roll(starts, 1), np.roll(ends, 1)
    shared = earlier_end > starts
    # "▁" alone covers a space only, and the word that it announces follows at the same place
    announced = (earlier_start == earlier_end) & (earlier_end == starts)
    return ~(inside & (joined | shared | announced))


def _classes_of(text: str) -> npt.NDArray[np.uint8]:
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    classes = _classes[codes]
    if not classes.all():
        for code in np.unique(codes[classes == _UNKNOWN]).tolist():
            _classes[code] = _class_of(code)
        classes = _classes[codes]
    return classes


def _class_of(code: int) -> int:
    if any(low <= code <= high for low, high in _IDEOGRAPHS):
        return _OTHER
    return _WORD if unicodedata.category(chr(code))[0] in "LMN" else _OTHER
