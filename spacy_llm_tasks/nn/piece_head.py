"""The head that predicts pieces: rows of a Transformer to logits over the vocabulary.

    logits = f(h) Pᵀ + b                P: the piece table of the embeddings, used a second time

Sharing P ("tying", Press and Wolf 2017, https://arxiv.org/abs/1608.05859) saves the largest matrix
of a small model and trains it twice as fast. The table is handed in with each call, so that it is
stored once, with the embeddings. What f is depends on the model:

    masked pieces (BERT)     norm(act(W h))
    next piece (GPT-2)       h, or a linear layer where the table is narrower than the rows
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import Errors
from . import kernels
from .config import TransformerConfig
from .feedforward import GATE_OF, bend
from .initial import draw_weights
from .linear import Linear
from .norms import make_norm
from .piece_loss import piece_loss


class PieceHead(nn.Module):
    """Predicts a piece from each row.

    config (TransformerConfig): Of the Transformer below; E is its `embedding_width`. A gated
        activation leaves its gate out here, as in ModernBERT.
    transform (bool): Whether rows go through a layer, activation and norm of their own first.
    bias (bool): Whether each piece has a bias.
    """

    def __init__(self, config: TransformerConfig, *, transform: bool, bias: bool) -> None:
        super().__init__()
        width = config.embedding_width or config.width
        narrower = not transform and width != config.width
        self.config = config
        self.activation = GATE_OF.get(config.activation, config.activation)
        self.dense = Linear(config.width, width, bias=config.bias) if transform else None
        self.norm = make_norm(config, width) if transform else None
        self.project = Linear(config.width, width, bias=False) if narrower else None
        self.bias = nn.Parameter(torch.zeros(config.n_pieces)) if bias else None
        draw_weights(self, std=config.init_std)

    def forward(self, rows: Tensor, table: Tensor) -> Tensor:
        """Logits of all pieces.

        rows (Tensor): (n, W) final rows of the Transformer.
        table (Tensor): (n_pieces, E) its piece table.
        RETURNS (Tensor): (n, n_pieces).
        RAISES (ValueError): The table has another shape.
        """
        return kernels.linear(self._read(rows, table), table, self.bias)

    def score(self, rows: Tensor, table: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of predicting pieces and how many were predicted; see `piece_loss`.

        rows (Tensor): (n, W) final rows of the Transformer.
        table (Tensor): (n_pieces, E) its piece table.
        targets (Tensor): (n,) int64, the piece that each row should give.
        RETURNS (tuple[Tensor, Tensor]): The summed cross-entropy in nats (float32, also under
            autocast), and the number of rows whose best piece is the target.
        RAISES (ValueError): The table has another shape.
        """
        return piece_loss(self._read(rows, table), table, self.bias, targets)

    def loss_sum(self, rows: Tensor, table: Tensor, targets: Tensor) -> Tensor:
        """RETURNS (Tensor): The summed cross-entropy alone; see `score`."""
        return self.score(rows, table, targets)[0]

    def _read(self, rows: Tensor, table: Tensor) -> Tensor:
        """(n, W) -> (n, E)"""
        expected = (self.config.n_pieces, self.config.embedding_width)
        if table.shape != expected:
            raise ValueError(Errors.E128.format(found=tuple(table.shape), expected=expected))
        n = len(rows)
        if self.project is not None:
            return self.project(kernels.with_spare_rows(rows))[:n]
        if self.dense is not None and self.norm is not None:
            rows = self.dense(kernels.with_spare_rows(rows))
            return self.norm(bend(rows, self.activation))[:n]
        return rows
