"""One tag per token: a linear layer over the rows, for the fast NER decoder."""

from collections.abc import Sequence
from functools import partial

import torch
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d
from torch import Tensor, nn

from ..nn.dropout import Dropout
from .checks import at_least, rate
from .features import HashedFeatures
from .task_head import HeadBatch, task_model


class TaggerHead(nn.Module):
    """Scores of BILUO tags.

    width (int): W, the width of the rows.
    n_labels (int): L, entity labels; there are 4 L + 1 tags: O, then B, I, L, U of each label.
    feature_width (int): Width of the embedded lexical attributes.
    n_features (int): Number of lexical attributes, 0 for none.
    dropout (float): Rate on the rows, unless the pipeline sets another.
    """

    def __init__(
        self, *, width: int, n_labels: int, feature_width: int, n_features: int, dropout: float
    ) -> None:
        super().__init__()
        self.features = HashedFeatures(n_features, feature_width) if n_features else None
        self.dropout = Dropout(dropout)
        self.default_dropout = dropout
        self.tags = nn.Linear(width + (feature_width if n_features else 0), 4 * n_labels + 1)

    def set_dropout(self, rate: float | None) -> None:
        self.dropout.p = self.default_dropout if rate is None else rate

    def forward(self, batch: HeadBatch) -> Tensor:
        """RETURNS (Tensor): (N, 4 L + 1) tag scores of the token rows of a batch."""
        rows = batch.rows
        if self.features is not None and batch.features is not None:
            rows = torch.cat([rows, self.features(batch.features)], dim=1)
        return self.tags(self.dropout(rows))


def build_tagger_head_v1(
    tok2vec: Model[list[Doc], list[Floats2d]],
    features: Sequence[str] = ("SHAPE", "PREFIX", "SUFFIX"),
    feature_width: int = 96,
    dropout: float = 0.1,
) -> Model[list[Doc], Tensor]:
    """Build the tagging head (registered as `spacy_llm_tasks.TaggerHead.v1`).

    tok2vec (Model[List[Doc], List[Floats2d]]): The upstream, one row per token.
    features (Sequence[str]): Lexical attributes the head reads beside the rows; empty for none.
    feature_width (int): Width of their embedding.
    dropout (float): Rate in training, if the pipeline's `[training] dropout` never sets one.
    """
    at_least("feature_width", feature_width, 1)
    rate("dropout", dropout)
    build = partial(
        TaggerHead, feature_width=feature_width, n_features=len(features), dropout=dropout
    )
    return task_model(tok2vec, build, features=features)
