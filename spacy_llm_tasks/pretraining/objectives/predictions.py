"""The loss of predicted pieces and how many are right, from the rows that predict and no others."""

from __future__ import annotations

from torch import Tensor

from ...nn.piece_head import PieceHead
from .prepared import LossSum


def predict(head: PieceHead, rows: Tensor, table: Tensor, targets: Tensor) -> LossSum:
    """Score predictions of pieces.

    head (PieceHead): Rows to logits.
    rows (Tensor): (n, W) the selected rows.
    table (Tensor): (n_pieces, E) the piece table that the head is tied to.
    targets (Tensor): (n,) int64, the right pieces.
    RETURNS (LossSum): The summed cross-entropy, and the `accuracy`.
    """
    total, hits = head.score(rows, table, targets)
    return LossSum(total, len(targets), {"accuracy": (float(hits), float(len(targets)))})
