"""How finely a tokenizer cuts texts: the usual numbers to compare vocabularies by.

Fertility, the mean number of pieces per word, and the share of words that are cut at all follow
Rust et al. 2021 (https://arxiv.org/abs/2012.15613). Words are stretches between white space,
whatever the tokenizer, so that any two of them are measured alike; for scripts without spaces
between words, characters per piece are the number to look at.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from .alignment import align
from .tokenizer import PieceTokenizer

_WORD = re.compile(r"\S+")
_BATCH_CHARACTERS = 1_000_000


@dataclass(frozen=True)
class Fertility:
    """Counts over texts, and the rates that follow. A rate of nothing is 0.

    n_texts (int): texts.
    n_words (int): stretches between white space.
    n_characters (int): characters, white space included.
    n_pieces (int): pieces, special ones around the texts not included.
    n_unknown (int): pieces that stand for what the vocabulary cannot spell.
    n_split (int): words that more than one piece covers.
    """

    n_texts: int
    n_words: int
    n_characters: int
    n_pieces: int
    n_unknown: int
    n_split: int

    @property
    def pieces_per_word(self) -> float:
        """RETURNS (float): the fertility; 1 if every word is one piece."""
        return self.n_pieces / self.n_words if self.n_words else 0.0

    @property
    def characters_per_piece(self) -> float:
        """RETURNS (float): how much text a piece stands for."""
        return self.n_characters / self.n_pieces if self.n_pieces else 0.0

    @property
    def unknown_rate(self) -> float:
        """RETURNS (float): share of the pieces that are unknown, 0 to 1."""
        return self.n_unknown / self.n_pieces if self.n_pieces else 0.0

    @property
    def split_rate(self) -> float:
        """RETURNS (float): share of the words that are cut, 0 to 1."""
        return self.n_split / self.n_words if self.n_words else 0.0


def measure(tokenizer: PieceTokenizer, texts: Iterable[str]) -> Fertility:
    """Count words and pieces.

    tokenizer (PieceTokenizer): cuts the texts.
    texts (iterable of str): the texts; read once, about a million characters at a time.
    RETURNS (Fertility): the counts.
    RAISES (ValueError): if something else than a string is among the texts.
    """
    n_texts = n_words = n_characters = n_pieces = n_unknown = n_split = 0
    unknown = tokenizer.special.unk
    for batch in _batches(texts):
        pieces = tokenizer.encode(batch)
        spans = [[match.span() for match in _WORD.finditer(text)] for text in batch]
        borders = np.array([span for found in spans for span in found], dtype=np.int64)
        borders = borders.reshape(-1, 2)
        first, last = align(pieces, borders[:, 0], borders[:, 1], [len(found) for found in spans])
        n_texts += len(batch)
        n_words += len(borders)
        n_characters += sum(map(len, batch))
        n_pieces += len(pieces)
        n_split += int((last - first > 1).sum())
        if unknown is not None:
            n_unknown += int((pieces.ids == unknown).sum())
    return Fertility(n_texts, n_words, n_characters, n_pieces, n_unknown, n_split)


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text) if isinstance(text, str) else 0
        if size >= _BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
