"""Heads as other runtimes want them: functions of rows.

    rows (N, W) [, lengths (B,)] [, features (N, F)]  ->  what the head gives

Rows are those of all docs, end to end, as the head's encoder gives them (one for each token, for
most heads); lengths are the rows of each doc; features are 64-bit hashes of lexical attributes.

    tags      TaggerHead     tag scores of each row
    spans     SpanHead       scores of spans, of at most so many tokens as the head was trained for
    scores    TextCatHead    category scores of each doc
    vectors   SentenceHead   a vector for each doc
    answers   AnswerHead     start and end scores of each row of question and text

What stays with Python: relation heads, which score the pairs that a plan for the batch lists, in
blocks that it cuts to bound memory; bags of n-grams, which sort the words of a batch; and heads
that this file does not know.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..layers.answer_head import AnswerHead
from ..layers.relation_head import RelationHead
from ..layers.segments import segment_max, segment_weighted_mean
from ..layers.sentence_head import SentenceHead
from ..layers.span_head import NO_SPAN, SpanHead
from ..layers.tagger_head import TaggerHead
from ..layers.textcat_head import TextCatHead
from ..nn.rotation import rotate_pairs

ROWS, LENGTHS, FEATURES = "rows", "lengths", "features"
# Why a head is not exported, for the user.
PLANNED = "scores what a plan in Python lists for each batch"
NGRAMS = "sorts the n-grams of a batch in Python"
UNKNOWN = "is a head that export does not know"


class RowHead(nn.Module):
    """A head as a function of tensors; subclasses say of which.

    head (nn.Module): A copy of the head.
    n_features (int): Lexical attributes that it reads.
    """

    output = ""
    reads_lengths = True

    def __init__(self, head: Any, n_features: int) -> None:
        super().__init__()
        self.head = head
        self.n_features = n_features

    @property
    def inputs(self) -> list[str]:
        """RETURNS (list[str]): The names of the inputs, in order."""
        names = [ROWS, *([LENGTHS] if self.reads_lengths else [])]
        return [*names, FEATURES] if self.n_features else names

    def with_features(self, rows: Tensor, features: Tensor | None) -> Tensor:
        """(N, W) -> (N, W + feature width), if there are features."""
        if features is None:
            return rows
        return torch.cat([rows, self.head.features(features)], dim=1)


class Tags(RowHead):
    """A TaggerHead."""

    output = "tags"
    reads_lengths = False

    def forward(self, rows: Tensor, features: Tensor | None = None) -> Tensor:
        """RETURNS (Tensor): (N, 4 L + 1)."""
        return self.head.tags(self.with_features(rows, features))


class Spans(RowHead):
    """A SpanHead. Its band is cut out of blocks of products, which other runtimes would copy: here
    the keys that each query meets are gathered, at a cost that is linear in N too."""

    output = "spans"

    def forward(self, rows: Tensor, lengths: Tensor, features: Tensor | None = None) -> Tensor:
        """RETURNS (Tensor): (N, S, L)."""
        head = self.head
        hidden = head.hidden(self.with_features(rows, features))
        place = torch.arange(rows.shape[0])
        starts, ends = _bounds(lengths, place)
        query, key = head.pointers(hidden).chunk(2, dim=-1)
        angles = (place - starts).unsqueeze(1) * head.rotary.frequencies
        query, key = (rotate_pairs(x, angles.cos(), angles.sin()) for x in (query, key))
        other = place.unsqueeze(1) + torch.arange(head.max_span)  # (N, S)
        is_inside = other < ends.unsqueeze(1)
        other = torch.minimum(other, ends.unsqueeze(1) - 1)
        spans = (query.unsqueeze(1) * key[other]).sum(dim=-1) * head.head_width**-0.5
        scores = spans.unsqueeze(2) + head.starts(hidden).unsqueeze(1) + head.ends(hidden)[other]
        return torch.where(is_inside.unsqueeze(2), scores, NO_SPAN)


class Scores(RowHead):
    """A TextCatHead without n-grams."""

    output = "scores"

    def forward(self, rows: Tensor, lengths: Tensor) -> Tensor:
        """RETURNS (Tensor): (B, L)."""
        head = self.head
        vectors = _pooled(rows, lengths, head.pooling, head.attention)
        if head.hidden is not None:
            vectors = torch.cat([vectors, F.gelu(head.hidden(vectors))], dim=1)
        return head.scores(vectors)


class Vectors(RowHead):
    """A SentenceHead, for docs."""

    output = "vectors"

    def forward(self, rows: Tensor, lengths: Tensor) -> Tensor:
        """RETURNS (Tensor): (B, D)."""
        return self.head.project(_pooled(rows, lengths, self.head.pooling, self.head.weights))


class Answers(RowHead):
    """An AnswerHead; its rows are those of `[CLS] question [SEP] text [SEP]`."""

    output = "answers"
    reads_lengths = False

    def forward(self, rows: Tensor) -> Tensor:
        """RETURNS (Tensor): (R, 2)."""
        return self.head.scores(rows)


KINDS: dict[type[nn.Module], type[RowHead]] = {
    TaggerHead: Tags,
    SpanHead: Spans,
    TextCatHead: Scores,
    SentenceHead: Vectors,
    AnswerHead: Answers,
}


class Choice(NamedTuple):
    """What becomes of a head.

    head (RowHead | None): The head as a function of tensors.
    reason (str): Why there is none.
    """

    head: RowHead | None
    reason: str = ""


def row_head(module: nn.Module, *, n_features: int) -> Choice:
    """Make a function of tensors of a head.

    module (nn.Module): The head's module.
    n_features (int): Lexical attributes that it reads.
    RETURNS (Choice): The function, in evaluation mode, with weights of its own; or why not.
    """
    if type(module) not in KINDS:
        return Choice(None, PLANNED if isinstance(module, RelationHead) else UNKNOWN)
    if isinstance(module, TextCatHead) and module.ngrams is not None:
        return Choice(None, NGRAMS)
    copied = deepcopy(module).cpu().eval()
    for parent in list(copied.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.EmbeddingBag):
                setattr(parent, name, _SummedEmbedding(child.weight))
    return Choice(KINDS[type(module)](copied, n_features))


class _SummedEmbedding(nn.Module):
    """What an EmbeddingBag of fixed size gives, by operators that all runtimes have."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, index: Tensor) -> Tensor:
        """(N, F) -> (N, width)"""
        return F.embedding(index, self.weight).sum(dim=1)


def _bounds(lengths: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """(B,), (N,) -> (N,) twice: the first row of each row's doc, and the one behind its last."""
    ends = lengths.cumsum(0)
    doc = (place.unsqueeze(1) >= ends).sum(dim=1)
    return (ends - lengths)[doc], ends[doc]


def _pooled(rows: Tensor, lengths: Tensor, pooling: str, weigh: nn.Module | None) -> Tensor:
    """(N, W) -> (B, W); zeros for a doc without rows"""
    n_docs = lengths.shape[0]  # len() would become a number that never changes
    doc = (torch.arange(rows.shape[0]).unsqueeze(1) >= lengths.cumsum(0)).sum(dim=1)
    if pooling == "max":
        return segment_max(rows, doc, n_docs)
    if weigh is not None:
        return segment_weighted_mean(rows, weigh(rows).squeeze(1), doc, n_docs)
    sums = rows.new_zeros((n_docs, rows.shape[1])).index_add(0, doc, rows)
    return sums / lengths.clamp(min=1).unsqueeze(1)
