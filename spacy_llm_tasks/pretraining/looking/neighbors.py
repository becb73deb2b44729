"""Which pieces have vectors like a word's: the quickest look at what a piece table has learned.

    similarity(w, p) = cos(t(w), t(p))              t: rows of the piece table

A word of several pieces is the mean of their rows. The table knows no context: a piece has one row
for all its meanings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ...errors import Errors
from ...tokenization.tokenizer import PieceTokenizer
from ...weights.checkpoint import load_encoder
from ...weights.decoders import load_decoder
from ...weights.seq2seq import load_seq2seq
from .folder import kind_in, pieces_of, readable

TABLE = "embeddings.pieces.weight"


class Neighbor(NamedTuple):
    """A piece near a word.

    piece (int): Its id.
    name (str): Its name in the vocabulary.
    similarity (float): Cosine, from -1 to 1.
    """

    piece: int
    name: str
    similarity: float


class Neighborhood(NamedTuple):
    """The pieces near a word.

    word (str): The word.
    pieces (list[str]): Names of its own pieces; where there are several, the neighbours are those
        of their mean.
    neighbors (list[Neighbor]): Nearest first.
    """

    word: str
    pieces: list[str]
    neighbors: list[Neighbor]


def find_neighbors(
    folder: str | Path, words: Sequence[str], *, top: int = 10
) -> list[Neighborhood]:
    """Find the pieces whose vectors are nearest to those of words.

    folder (str | Path): A published model with its tokenizer.
    words (Sequence[str]): Words, cut as inside a sentence.
    top (int): How many pieces for each word, at least 1. The word's own and special ones are left
        out.
    RETURNS (list[Neighborhood]): One for each word.
    RAISES (FileNotFoundError): The folder holds no checkpoint or no tokenizer.
    RAISES (ValueError): A word is empty, or the vocabulary cannot spell it.
    """
    if top < 1:
        raise ValueError(Errors.E706.format(name="top", expected="at least 1", found=top))
    table = read_table(folder)
    tokenizer = PieceTokenizer.from_folder(folder)
    own = [_own_pieces(word, tokenizer, folder=Path(folder), n_rows=len(table)) for word in words]
    units = F.normalize(table, dim=1)
    centers = torch.stack([table[ids].mean(dim=0) for ids in own])
    similarities = F.normalize(centers, dim=1) @ units.t()
    similarities[:, ~_has_text(tokenizer, len(table))] = -torch.inf
    for line, ids in zip(similarities, own, strict=True):
        line[ids] = -torch.inf
    return [
        Neighborhood(word, readable(ids, tokenizer), _best(line, tokenizer, top))
        for word, ids, line in zip(words, own, similarities, strict=True)
    ]


def read_table(folder: str | Path) -> Tensor:
    """The piece table of a checkpoint.

    folder (str | Path): The checkpoint.
    RETURNS (Tensor): (n_pieces, E) float32, one row a piece; of an encoder-decoder with two tables,
        the encoder's.
    RAISES (FileNotFoundError): It holds none.
    RAISES (ValueError): It cannot be used.
    """
    kind = kind_in(folder)
    if kind == "seq2seq":
        return load_seq2seq(folder).state[f"encoder.{TABLE}"]
    checkpoint = load_encoder(folder) if kind == "encoder" else load_decoder(folder)
    return checkpoint.state[TABLE]


def _own_pieces(word: str, tokenizer: PieceTokenizer, *, folder: Path, n_rows: int) -> list[int]:
    # Byte-level vocabularies have other pieces for a word after a space, and know these better.
    text = f" {word}" if tokenizer.kind == "bpe" and word.strip() else word
    ids = pieces_of(text, tokenizer)
    if tokenizer.special.unk in ids:
        raise ValueError(Errors.E789.format(word=word))
    if max(ids) >= n_rows:
        found = {"path": folder, "piece": max(ids), "n_pieces": n_rows}
        raise ValueError(Errors.E785.format(**found))
    return ids


def _has_text(tokenizer: PieceTokenizer, n_rows: int) -> Tensor:
    """(n_rows,) False for special pieces and for rows that no piece has."""
    special = {*astuple(tokenizer.special), *tokenizer.others}
    names = tokenizer.spell(range(n_rows))
    return torch.tensor([bool(name) and i not in special for i, name in enumerate(names)])


def _best(similarities: Tensor, tokenizer: PieceTokenizer, top: int) -> list[Neighbor]:
    n_eligible = int(similarities.isfinite().sum())
    best = similarities.topk(min(top, n_eligible))
    ids = best.indices.tolist()
    found = zip(ids, readable(ids, tokenizer), best.values.tolist(), strict=True)
    return [Neighbor(*line) for line in found]
