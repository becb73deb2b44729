"""Category scores of a doc: its rows pooled to one vector, and that vector scored.

    scores = S [v; GELU(U v)] + n-grams        v = dropout(pool(rows))

The vector is scored as it is and through one hidden layer, side by side: the first learns fast from
few examples, the second bends where a plane is not enough (the two halves of "wide and deep", Cheng
et al. 2016, arXiv 1606.07792). The n-grams cost almost nothing and carry what a small encoder
loses, the exact words: the idea of fastText (Joulin et al. 2016, arXiv 1607.01759) and of spaCy's
TextCatEnsemble.
"""

from functools import partial
from typing import Literal

import torch
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d
from torch import Tensor, nn
from torch.nn import functional

from ..nn.dropout import Dropout
from .checks import at_least, rate
from .segments import segment_max, segment_mean, segment_weighted_mean
from .task_head import HeadBatch, task_model
from .views import ask_for

Pooling = Literal["mean", "max", "attention", "cls", "pieces"]

# The attribute whose hashes make the n-grams, and the number of their buckets.
NGRAM_ATTR = "LOWER"
N_BUCKETS = 2**18
# Adam moves a weight by about the learning rate, however often its n-gram occurs. At the rates of
# a head, weights of rare n-grams would hardly leave 0 in a run of some hundred steps.
NGRAM_GAIN = 16.0


class TextCatHead(nn.Module):
    """Pool and score.

    width (int): W, the width of the rows.
    n_labels (int): L.
    pooling (str): How the rows of a doc become one. "cls" and "pieces" are means too, over the
        rows that a listener of that kind gives.
    hidden_width (int | None): Width of the hidden layer, 0 for none, None for W.
    ngram_size (int): Longest n-gram of the bag, 0 for no bag.
    dropout (float): Rate on the pooled vector and the hidden layer, unless the pipeline sets
        another.
    """

    def __init__(
        self,
        *,
        width: int,
        n_labels: int,
        pooling: Pooling,
        hidden_width: int | None,
        ngram_size: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.pooling = pooling
        self.attention = nn.Linear(width, 1) if pooling == "attention" else None
        n_hidden = width if hidden_width is None else hidden_width
        self.hidden = nn.Linear(width, n_hidden) if n_hidden else None
        self.dropout = Dropout(dropout)
        self.default_dropout = dropout
        self.scores = nn.Linear(width + n_hidden, n_labels)
        self.ngram_size = ngram_size
        self.ngrams = nn.EmbeddingBag(N_BUCKETS, n_labels, mode="sum") if ngram_size else None
        if self.ngrams is not None:
            nn.init.zeros_(self.ngrams.weight)

    def set_dropout(self, rate: float | None) -> None:
        self.dropout.p = self.default_dropout if rate is None else rate

    def forward(self, batch: HeadBatch) -> Tensor:
        """RETURNS (Tensor): (B, L) scores, before softmax or sigmoid; docs may be empty."""
        vectors = self.dropout(self._pool(batch))  # (B, W)
        if self.hidden is not None:
            bent = self.dropout(functional.gelu(self.hidden(vectors)))
            vectors = torch.cat([vectors, bent], dim=1)
        scores = self.scores(vectors)
        if self.ngrams is not None and batch.features is not None:
            buckets, offsets = self._ngrams(batch)
            counts = torch.diff(offsets, append=offsets.new_tensor([len(buckets)]))
            scale = NGRAM_GAIN / counts.clamp(min=1).to(scores).sqrt()  # counts of unit length
            scores = scores + self.ngrams(buckets, offsets) * scale.unsqueeze(1)
        return scores

    def _pool(self, batch: HeadBatch) -> Tensor:
        rows, docs, n_docs = batch.rows, batch.row_docs, len(batch.lengths)
        if self.pooling == "max":
            return segment_max(rows, docs, n_docs)
        if self.attention is None:
            return segment_mean(rows, docs, n_docs)
        return segment_weighted_mean(rows, self.attention(rows).squeeze(1), docs, n_docs)

    def _ngrams(self, batch: HeadBatch) -> tuple[Tensor, Tensor]:
        """Buckets of all n-grams of the batch, doc by doc, and where each doc's begin."""
        words = batch.features[:, 0]  # type: ignore[index]
        lengths = torch.from_numpy(batch.token_lengths).to(words.device)
        docs = torch.repeat_interleave(lengths)
        grams, owners, gram = [words], [docs], words
        for size in range(2, self.ngram_size + 1):
            # Mix in the next word; multiplication by an odd constant spreads 64-bit hashes.
            gram = gram[:-1] * 0x9E3779B1 + words[size - 1 :]
            same = docs[size - 1 :] == docs[: len(gram)]
            grams.append(gram[same])
            owners.append(docs[: len(gram)][same])
        owner, order = torch.cat(owners).sort(stable=True)
        buckets = (torch.cat(grams)[order] >> 20) % N_BUCKETS
        offsets = torch.searchsorted(owner, torch.arange(len(lengths), device=owner.device))
        return buckets, offsets


def build_textcat_head_v1(
    tok2vec: Model[list[Doc], list[Floats2d]],
    pooling: Pooling = "attention",
    hidden_width: int | None = None,
    ngram_size: int = 0,
    dropout: float = 0.1,
) -> Model[list[Doc], Tensor]:
    """Build the text classification head (registered as `spacy_llm_tasks.TextCatHead.v1`).

    tok2vec (Model[List[Doc], List[Floats2d]]): The upstream.
    pooling (str): "mean", "max" or "attention" over the token rows of any upstream; "cls" or
        "pieces" (mean over pieces) over rows that only a `trf_encoder` gives.
    hidden_width (int | None): Width of a hidden layer beside the pooled rows, 0 for none, null for
        one as wide as the rows.
    ngram_size (int): Longest n-gram of the bag, 0 for none. With few documents it learns
        them by heart before the encoder has learned anything: for thousands of documents.
    dropout (float): Rate in training, if the pipeline's `[training] dropout` never sets one.
    RAISES (ValueError): if the pooling needs an upstream that this one is not.
    """
    if hidden_width is not None:
        at_least("hidden_width", hidden_width, 0)
    at_least("ngram_size", ngram_size, 0)
    rate("dropout", dropout)
    if pooling in ("cls", "pieces"):
        ask_for(tok2vec, pooling)
    build = partial(
        TextCatHead,
        pooling=pooling,
        hidden_width=hidden_width,
        ngram_size=ngram_size,
        dropout=dropout,
    )
    return task_model(tok2vec, build, features=[NGRAM_ATTR] if ngram_size else [])
