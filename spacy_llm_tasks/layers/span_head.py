"""Scores for every short span and label: the efficient global pointer.

A span from token i to token j scores  q_i · k_j / sqrt(d)  for being an entity at all, with rotary
positions in q and k so that the score knows the distance, plus a start score of i and an end score
of j for each label (Su et al. 2022, arXiv 2208.03054). Only spans of at most `max_span` tokens are
scored, so memory grows linearly with the text: a band (N, S, L), not a square.
"""

from collections.abc import Sequence
from functools import partial

import torch
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d
from torch import Tensor, nn

from ..errors import Errors
from ..nn import kernels
from ..nn.dropout import Dropout
from ..nn.linear import Linear
from ..nn.positions import Rotary
from .checks import at_least, rate
from .features import HashedFeatures
from .task_head import HeadBatch, task_model

# Score of a cell that is no span: past the end of its doc.
NO_SPAN = -1e4


class SpanHead(nn.Module):
    """Band of span scores.

    width (int): W, the width of the rows.
    n_labels (int): L.
    head_width (int): d, the width of the span queries and keys.
    hidden_width (int): Width of the layer between the rows and the scores.
    feature_width (int): Width of the embedded lexical attributes.
    n_features (int): Number of lexical attributes, 0 for none.
    dropout (float): Rate on the rows and on the hidden layer, unless the pipeline sets another.
    """

    def __init__(
        self,
        *,
        width: int,
        n_labels: int,
        head_width: int,
        hidden_width: int,
        feature_width: int,
        n_features: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.head_width = head_width
        self.max_span = 1  # set by the task, which learns it from the training data
        self.features = HashedFeatures(n_features, feature_width) if n_features else None
        n_inputs = width + (feature_width if n_features else 0)
        self.dropout = Dropout(dropout)
        self.hidden = nn.Sequential(Linear(n_inputs, hidden_width), nn.GELU())
        self.pointers = Linear(hidden_width, 2 * head_width)
        self.starts = Linear(hidden_width, n_labels)
        self.ends = Linear(hidden_width, n_labels)
        self.rotary = Rotary(head_width)
        self.default_dropout = dropout

    def set_dropout(self, rate: float | None) -> None:
        self.dropout.p = self.default_dropout if rate is None else rate

    def forward(self, batch: HeadBatch) -> Tensor:
        """Score spans.

        batch (HeadBatch): Token rows of a batch.
        RETURNS (Tensor): (N, S, L), at [i, o, l] the score of the span from token i to i + o with
            label l; `NO_SPAN` where that is past the doc's end.
        """
        rows = batch.rows
        if not len(rows):
            return rows.new_zeros((0, self.max_span, self.starts.out_features))
        if self.features is not None and batch.features is not None:
            rows = torch.cat([rows, self.features(batch.features)], dim=1)
        n_rows, rows = len(rows), kernels.with_spare_rows(rows)
        hidden = self.dropout(self.hidden(self.dropout(rows)))  # (N or more, hidden)
        starts, ends = self.starts(hidden)[:n_rows], self.ends(hidden)[:n_rows]  # (N, L) each
        query, key = self.pointers(hidden)[:n_rows].chunk(2, dim=-1)  # (N, d) each
        query, key = self.rotary(query, batch.packing), self.rotary(key, batch.packing)
        spans = band(query, key, self.max_span) * self.head_width**-0.5  # (N, S)
        scores = spans.unsqueeze(2) + starts.unsqueeze(1)
        scores = scores + shifted(ends, self.max_span)  # (N, S, L)
        return scores.masked_fill(~inside(batch, self.max_span).unsqueeze(2), NO_SPAN)


def band(query: Tensor, key: Tensor, size: int) -> Tensor:
    """Products of each query with the keys at and just after its place.

    query, key (Tensor): (N, d).
    size (int): S, how many keys.
    RETURNS (Tensor): (N, S), at [i, o] the product of query i and key i + o, 0 past the end.

    Works on blocks of S queries against the 2S - 1 keys they can meet, and reads the band off
    each block as a skewed view: twice the work that is needed, but all of it matrix products.
    """
    n_rows, width = query.shape
    n_blocks = -(-n_rows // size)
    padded = n_blocks * size
    query = nn.functional.pad(query, (0, 0, 0, padded - n_rows)).view(n_blocks, size, width)
    key = nn.functional.pad(key, (0, 0, 0, padded + size - 1 - n_rows))
    key = key.unfold(0, 2 * size - 1, size)  # (blocks, d, 2S - 1)
    scores = torch.bmm(query, key)  # (blocks, S, 2S - 1)
    n_keys = 2 * size - 1
    skewed = scores.as_strided((n_blocks, size, size), (size * n_keys, n_keys + 1, 1))
    return skewed.reshape(padded, size)[:n_rows]


def shifted(values: Tensor, size: int) -> Tensor:
    """RETURNS (Tensor): (N, S, L), at [i, o] the values (N, L) of row i + o, 0 past the end."""
    padded = nn.functional.pad(values, (0, 0, 0, size - 1))
    return padded.unfold(0, size, 1).transpose(1, 2)


def inside(batch: HeadBatch, size: int) -> Tensor:
    """RETURNS (Tensor): (N, S) bool, whether row i + o still belongs to the doc of row i."""
    lengths = torch.from_numpy(batch.lengths).to(batch.rows.device)
    ends = torch.repeat_interleave(lengths.cumsum(0), lengths)  # (N,)
    offsets = torch.arange(size, device=ends.device)
    place = torch.arange(len(ends), device=ends.device).unsqueeze(1) + offsets
    return place < ends.unsqueeze(1)


def build_span_head_v1(
    tok2vec: Model[list[Doc], list[Floats2d]],
    head_width: int = 64,
    hidden_width: int = 256,
    features: Sequence[str] = ("SHAPE", "PREFIX", "SUFFIX"),
    feature_width: int = 96,
    dropout: float = 0.1,
) -> Model[list[Doc], Tensor]:
    """Build the span-scoring head (registered as `spacy_llm_tasks.SpanHead.v1`).

    tok2vec (Model[List[Doc], List[Floats2d]]): The upstream, one row per token.
    head_width (int): Width of the span queries and keys; even.
    hidden_width (int): Width of the layer between rows and scores.
    features (Sequence[str]): Lexical attributes the head reads beside the rows; empty for none.
    feature_width (int): Width of their embedding.
    dropout (float): Rate in training, if the pipeline's `[training] dropout` never sets one.
    RAISES (ValueError): if a size or the rate is out of range.
    """
    at_least("head_width", head_width, 2)
    if head_width % 2:
        raise ValueError(Errors.E425.format(name="head_width", expected="even", found=head_width))
    at_least("hidden_width", hidden_width, 1)
    at_least("feature_width", feature_width, 1)
    rate("dropout", dropout)
    build = partial(
        SpanHead,
        head_width=head_width,
        hidden_width=hidden_width,
        feature_width=feature_width,
        n_features=len(features),
        dropout=dropout,
    )
    return task_model(tok2vec, build, features=features)
