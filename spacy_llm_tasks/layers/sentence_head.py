"""One vector for each text: the rows of a doc, or of a text of the head's own, pooled.

    v = P pool(rows)

with an optional projection P. Docs and texts go the same way, so their vectors can be compared
(the two sides of a siamese network: Reimers & Gurevych 2019, https://arxiv.org/abs/1908.10084).
"""

from functools import partial
from typing import Literal

import torch
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d
from torch import Tensor, nn

from ..nn.dropout import Dropout
from .checks import at_least, rate
from .segments import segment_max, segment_mean, segment_weighted_mean
from .task_head import HeadBatch, task_model
from .text_views import text_view
from .views import ask_for

SentencePooling = Literal["mean", "cls", "max", "weighted"]
_VIEWS = {"mean": "mean", "cls": "cls", "max": "pieces", "weighted": "pieces"}


class SentenceHead(nn.Module):
    """Pool and project.

    width (int): W, the width of the rows.
    n_labels (int): Not used: vectors have no labels.
    pooling (str): How rows become a vector.
    vector_width (int | None): D, the width of the projection; None for no projection.
    dropout (float): Rate on the pooled vector, unless the pipeline sets another.
    """

    def __init__(
        self,
        *,
        width: int,
        n_labels: int,
        pooling: SentencePooling,
        vector_width: int | None,
        dropout: float,
    ) -> None:
        super().__init__()
        self.pooling = pooling
        self.weights = nn.Linear(width, 1) if pooling == "weighted" else None
        self.projection = None if vector_width is None else nn.Linear(width, vector_width)
        self.vector_width = width if vector_width is None else vector_width
        self.dropout = Dropout(dropout)
        self.default_dropout = dropout

    def set_dropout(self, rate: float | None) -> None:
        """The dropout of the blocks below is enough where nothing is asked for: noise on the vector
        itself would move what it is compared with."""
        self.dropout.p = self.default_dropout

    def forward(self, batch: HeadBatch) -> Tensor:
        """RETURNS (Tensor): (B + P, D) vectors of the B docs, then of the P texts."""
        vectors = [self._pool(batch.rows, batch.row_docs, len(batch.lengths))]
        if batch.text_rows is not None:
            vectors.append(self._pool(*text_view(batch, _VIEWS[self.pooling])))
        return self.project(self.dropout(torch.cat(vectors)))

    def project(self, vectors: Tensor) -> Tensor:
        """(N, W) -> (N, D)"""
        return vectors if self.projection is None else self.projection(vectors)

    def _pool(self, rows: Tensor, owner: Tensor, n_texts: int) -> Tensor:
        if self.pooling == "max":
            return segment_max(rows, owner, n_texts)
        if self.weights is None:
            return segment_mean(rows, owner, n_texts)
        return segment_weighted_mean(rows, self.weights(rows).squeeze(1), owner, n_texts)


def build_sentence_head_v1(
    tok2vec: Model[list[Doc], list[Floats2d]],
    pooling: SentencePooling = "mean",
    vector_width: int | None = None,
    dropout: float = 0.0,
) -> Model[list[Doc], Tensor]:
    """Build the sentence head (registered as `spacy_llm_tasks.SentenceHead.v1`).

    tok2vec (Model[List[Doc], List[Floats2d]]): The upstream, a `trf_encoder`.
    pooling (str): "mean" over all pieces, special ones included, as sentence-transformers pools;
        "cls"; "max" or "weighted" (learned weights) over the pieces.
    vector_width (int | None): Width of a learned projection; null for none.
    dropout (float): Rate on the pooled vector.
    RAISES (ValueError): if the upstream is another library's.
    """
    if vector_width is not None:
        at_least("vector_width", vector_width, 1)
    rate("dropout", dropout)
    ask_for(tok2vec, _VIEWS[pooling])
    build = partial(SentenceHead, pooling=pooling, vector_width=vector_width, dropout=dropout)
    return task_model(tok2vec, build)
