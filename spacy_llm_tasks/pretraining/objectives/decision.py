"""A small network that decides something about each row it is given."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...nn.config import TransformerConfig
from ...nn.dropout import Dropout
from ...nn.initial import draw_weights
from ...nn.linear import Linear


class DecisionHead(nn.Module):
    """A layer of the trunk's width, an activation, dropout, and one logit for each answer.

    With tanh this is BERT's pooler and the classifier on it; with GELU, ELECTRA's discriminator.

    config (TransformerConfig): The trunk's: its width W, dropout and the spread of new weights.
    n_answers (int): A, the answers there are.
    activation (str): "tanh" or "gelu".
    """

    def __init__(self, config: TransformerConfig, *, n_answers: int, activation: str) -> None:
        super().__init__()
        self.activation = activation
        self.dense = Linear(config.width, config.width)
        self.dropout = Dropout(config.dropout if activation == "tanh" else 0.0)
        self.decide = Linear(config.width, n_answers)
        draw_weights(self, std=config.init_std)

    def forward(self, rows: Tensor) -> Tensor:
        """(n, W) -> (n, A) float32 logits"""
        hidden = self.dense(rows)
        hidden = torch.tanh(hidden) if self.activation == "tanh" else F.gelu(hidden)
        return self.decide(self.dropout(hidden)).float()
