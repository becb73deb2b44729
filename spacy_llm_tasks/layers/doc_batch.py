"""From a batch of docs to the index arrays of one encoder pass. Numpy only, no loop per token.

A doc's text is cut into pieces once, the pieces into overlapping windows, and each window becomes
one sequence `[CLS] pieces [SEP]`. The sequences are sorted by length, because the packed attention
is fastest on runs of equal lengths. What comes out of the encoder is one row per position of these
sequences; the arrays here say which row belongs to which piece, token and doc.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from spacy.attrs import IDX, LENGTH
from spacy.tokens import Doc

from ..tokenization.alignment import align
from ..tokenization.pieces import bounds_of, ranges
from ..tokenization.tokenizer import PieceTokenizer
from ..tokenization.windows import plan


@dataclass(frozen=True)
class DocBatch:
    """Index arrays of one pass. R counts the positions of all sequences, special pieces included.

    token_lengths (B,), piece_lengths (B,): tokens and pieces of each doc.
    ids (R,): piece ids of the sequences, end to end, sequences sorted by length.
    sequence_lengths (K,): positions of each sequence.
    sequence_doc (K,): the doc of each sequence.
    piece_rows (T,): for each piece, in document order, the position whose state it takes.
    token_first, token_last (N,): the half-open range of pieces of each token.
    """

    token_lengths: np.ndarray
    piece_lengths: np.ndarray
    ids: np.ndarray
    sequence_lengths: np.ndarray
    sequence_doc: np.ndarray
    piece_rows: np.ndarray
    token_first: np.ndarray
    token_last: np.ndarray

    @property
    def n_docs(self) -> int:
        return len(self.token_lengths)

    @property
    def sequence_starts(self) -> np.ndarray:
        """RETURNS (ndarray): the first row, which is the [CLS] row, of each sequence (K,)."""
        return bounds_of(self.sequence_lengths)[:-1]


def prepare(
    docs: Sequence[Doc], tokenizer: PieceTokenizer, *, window: int, stride: int
) -> DocBatch:
    """Cut docs into pieces and windows and lay out one encoder pass.

    docs (Sequence[Doc]): Any docs: empty, whitespace only, of any length.
    window, stride (int): Window size and step in pieces, special pieces not counted.
    RETURNS (DocBatch): The layout.
    """
    pieces = tokenizer.encode([doc.text for doc in docs])
    token_lengths = np.fromiter((len(doc) for doc in docs), dtype=np.int64, count=len(docs))
    spans = np.concatenate([doc.to_array([IDX, LENGTH]) for doc in docs]).astype(np.int64)
    first, last = align(pieces, spans[:, 0], spans[:, 0] + spans[:, 1], token_lengths)
    windows = plan(pieces.lengths, window=window, stride=stride)

    order = np.argsort(windows.length, kind="stable")
    lengths, doc = windows.length[order], windows.doc[order]
    doc_starts = pieces.bounds[doc]
    piece_starts = doc_starts + windows.start[order]
    sequence_lengths = lengths + 2
    starts = bounds_of(sequence_lengths)[:-1]

    special = tokenizer.special
    ids = np.full(int(sequence_lengths.sum()), special.sep, dtype=np.int64)
    ids[starts] = special.cls
    ids[ranges(starts + 1, lengths)] = pieces.ids[ranges(piece_starts, lengths)]

    keep_first, keep_last = windows.keep_first[order], windows.keep_last[order]
    kept = keep_last - keep_first
    piece_rows = np.zeros(len(pieces.ids), dtype=np.int64)
    piece_rows[ranges(doc_starts + keep_first, kept)] = ranges(
        starts + 1 + keep_first - windows.start[order], kept
    )
    return DocBatch(
        token_lengths, pieces.lengths, ids, sequence_lengths, doc, piece_rows, first, last
    )
