"""Whether both sides give the same token rows where they read a token in the same window."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

import numpy
from spacy.language import Language

from ..tokenization.tokenizer import PieceTokenizer
from . import texts

# The peer's windows: tokens in one, and from one to the next.
WINDOW, STRIDE = 128, 96
# The windows of the long texts that are compared, all of them full.
N_WINDOWS = 5


def token_windows(tokenizer: PieceTokenizer, docs: Sequence[str], n_tokens: int) -> tuple[int, int]:
    """Windows of pieces that hold as many tokens as the peer's, on average.

    tokenizer (PieceTokenizer): Ours.
    docs (Sequence[str]): The texts.
    n_tokens (int): How many tokens they have.
    RETURNS (tuple[int, int]): Pieces in a window, and from one to the next.
    """
    share = len(tokenizer.encode(docs)) / max(1, n_tokens)
    return round(WINDOW * share), round(STRIDE * share)


def short_difference(ours: Language, peer: Language, docs: Sequence[str]) -> float | None:
    """Compare texts that both sides read in one window.

    ours (Language): Writes its rows to `doc.tensor`.
    peer (Language): Writes `doc._.trf_data`, whose rows are mean-pooled over the pieces of a
        token, as the peer's heads receive them.
    docs (Sequence[str]): Texts; those of more than 128 tokens are passed over.
    RETURNS (float | None): The largest absolute difference, `None` if no text was short enough.
    """
    short = [text for text in docs if len(ours.make_doc(text)) <= WINDOW]
    pairs = [_rows(ours, peer, text) for text in short]
    return max((_largest(mine - theirs) for mine, theirs in pairs), default=None)


def long_difference(ours: Language, peer: Language, tokenizer: PieceTokenizer) -> float | None:
    """Compare long texts whose windows agree: every token is one piece, every window full.

    Where windows overlap, the peer takes the mean of two readings and ours the better one; tokens
    in one window alone are compared.

    ours (Language): With the peer's windows, in pieces.
    peer (Language): As above.
    tokenizer (PieceTokenizer): Ours.
    RETURNS (float | None): The largest absolute difference, `None` if no English word is one piece.
    """
    n_tokens = WINDOW + (N_WINDOWS - 1) * STRIDE
    found = []
    for text in single_piece_texts(ours, tokenizer, n_tokens=n_tokens, n_texts=2):
        mine, theirs = _rows(ours, peer, text)
        starts = numpy.arange(N_WINDOWS)[:, None] * STRIDE
        place = numpy.arange(n_tokens)
        once = ((place >= starts) & (place < starts + WINDOW)).sum(axis=0) == 1
        found.append(_largest((mine - theirs)[once]))
    return max(found, default=None)


def single_piece_texts(
    nlp: Language, tokenizer: PieceTokenizer, *, n_tokens: int, n_texts: int
) -> list[str]:
    """RETURNS (list[str]): Texts of so many tokens, of one piece each; none if there is no such
    word."""
    words = [word for word in dict.fromkeys(texts.running_words()) if word.isalpha()]
    words = [word for word in words if len(nlp.make_doc(word)) == 1]  # not "cannot"
    known = [word for word, n in zip(words, tokenizer.encode(words).lengths, strict=True) if n == 1]
    endless = cycle(known)
    return [" ".join(islice(endless, n_tokens)) for _ in range(n_texts if known else 0)]


def _rows(ours: Language, peer: Language, text: str) -> tuple[Any, Any]:
    from spacy_transformers.layers import trfs2arrays
    from thinc.api import reduce_mean

    pool = trfs2arrays(reduce_mean(), 1.0)
    return ours(text).tensor, pool.predict([peer(text)._.trf_data])[0]


def _largest(difference: Any) -> float:
    return float(numpy.abs(difference).max(initial=0.0))
