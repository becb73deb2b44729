"""Cross-entropy over a large vocabulary, without the matrix of all logits.

For rows h (n, E), the piece table P (V, E), biases b (V,) and targets t (n,):

    z = h Pᵀ + b        loss = sum over rows of  log(sum_v exp z_v) - z_t
    g = dL/dz = softmax(z) - onehot(t)
    dL/dh = g P         dL/dP = gᵀ h         dL/db = sum of the rows of g

With 30,000 pieces z takes 120 kB a row, and plain autograd keeps it, its softmax and its gradient
for all rows at once. Here a chunk of rows goes all the way to its gradients in the forward pass,
while its logits are in the cache, and the next chunk reuses the memory; the backward pass only
multiplies by dL/dloss. (The same idea for GPUs: Hsu et al. 2024, https://arxiv.org/abs/2410.10989.)

Under autocast the three products run in its precision; softmax, loss and sums are in float32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from . import kernels

# Logits held at once. On a CPU they stay below the 32 MiB that the allocator hands out again
# without asking the system for fresh pages, which costs as much as the product.
CELLS_ON_CPU = 2**23
CELLS_ELSEWHERE = 2**26
# Rows of dL/dP that are added up at once on a CPU, for the same reason.
PIECES_ON_CPU = 8192
ROW_STEP = 64


def piece_loss(
    rows: Tensor, table: Tensor, bias: Tensor | None, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """The summed cross-entropy of predicting pieces, and how many are right.

    rows (Tensor): (n, E)
    table (Tensor): (V, E) the vectors of all pieces.
    bias (Tensor | None): (V,)
    targets (Tensor): (n,) int64, the piece that each row should give.
    RETURNS (tuple[Tensor, Tensor]): The sum of the losses in nats, in float32 at least, with
        gradients for rows, table and bias; and the number of rows whose highest logit is the
        target's, int64.
    """
    needs = tuple(t is not None and t.requires_grad for t in (rows, table, bias))
    if torch.is_grad_enabled() and any(needs):
        return _PieceLoss.apply(rows, table, bias, targets)
    with torch.no_grad():
        sweep = _Sweep(rows, table, bias, needs=(False, False, False))
        return sweep.run(targets)


class _PieceLoss(torch.autograd.Function):
    """The loss, with gradients that are ready when it is."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, table: Tensor, bias: Tensor | None, targets: Tensor
    ) -> tuple[Tensor, Tensor]:
        sweep = _Sweep(rows, table, bias, needs=ctx.needs_input_grad[:3])
        total, hits = sweep.run(targets)
        ctx.save_for_backward(sweep.d_rows, sweep.d_table, sweep.d_bias)
        ctx.dtypes = [None if t is None else t.dtype for t in (rows, table, bias)]
        ctx.mark_non_differentiable(hits)
        return total, hits

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_total: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
        pairs = zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        scaled = (None if d is None else (d * d_total).to(dtype) for d, dtype in pairs)
        return *scaled, None


class _Sweep:
    """One pass over the rows, a chunk at a time, that adds up loss and gradients.

    rows, table, bias (Tensor): As for `piece_loss`.
    needs (tuple): Which of their gradients to compute.
    """

    def __init__(
        self, rows: Tensor, table: Tensor, bias: Tensor | None, *, needs: tuple[bool, ...]
    ) -> None:
        device = rows.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        self.rows = rows.to(dtype or rows.dtype).contiguous()
        self.table = table.to(dtype or table.dtype).contiguous()
        self.bias = None if bias is None else bias.to(dtype or bias.dtype)
        self.exact = torch.promote_types(self.rows.dtype, torch.float32)
        self.d_rows = torch.empty_like(rows, dtype=self.exact) if needs[0] else None
        self.d_table = torch.zeros_like(table, dtype=self.exact) if needs[1] else None
        self.d_bias = None
        if bias is not None and needs[2]:
            self.d_bias = torch.zeros_like(bias, dtype=self.exact)
        n_pieces, on_cpu = len(table), device == "cpu"
        cells = CELLS_ON_CPU if on_cpu else CELLS_ELSEWHERE
        self.n_rows = max(ROW_STEP, cells // n_pieces // ROW_STEP * ROW_STEP)
        self.n_pieces = PIECES_ON_CPU if on_cpu else n_pieces

    def run(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """RETURNS (tuple[Tensor, Tensor]): The loss and the hits of all rows."""
        total = torch.zeros((), dtype=self.exact, device=self.rows.device)
        hits = torch.zeros((), dtype=torch.int64, device=self.rows.device)
        for start in range(0, len(targets), self.n_rows):
            part = slice(start, start + self.n_rows)
            loss, right = self._chunk(part, targets[part, None])
            total += loss
            hits += right
        return total, hits

    def _chunk(self, part: slice, targets: Tensor) -> tuple[Tensor, Tensor]:
        n = len(targets)
        rows = kernels.with_spare_rows(self.rows[part])  # nothing is read off the rows of zeros
        logits = kernels.linear(rows, self.table, self.bias).to(self.exact)
        best, choice = logits.max(dim=1)
        target_logits = logits[:n].gather(1, targets)[:, 0]
        shares = logits.softmax(dim=1)
        # log(sum exp z) by way of the highest share, which is at least 1/V: nothing underflows
        log_sums = best - shares.gather(1, choice[:, None])[:, 0].log()
        self._add_gradients(part, rows, shares, targets)
        loss = (log_sums[:n] - target_logits).sum()
        return loss, (choice[:n] == targets[:, 0]).sum()

    def _add_gradients(self, part: slice, rows: Tensor, g: Tensor, targets: Tensor) -> None:
        """Turn the shares into dL/dz, in place, and that into the three gradients."""
        n = len(targets)
        if self.d_rows is None and self.d_table is None and self.d_bias is None:
            return
        g[:n].scatter_add_(1, targets, torch.full_like(targets, -1, dtype=g.dtype))
        g[n:] = 0
        if self.d_bias is not None:
            self.d_bias += g.sum(0)
        g = g.to(rows.dtype)
        if self.d_rows is not None:
            self.d_rows[part] = kernels.linear(g, self.table.t())[:n]
        if self.d_table is None:
            return
        for start in range(0, len(self.d_table), self.n_pieces):
            pieces = slice(start, start + self.n_pieces)
            self.d_table[pieces] += kernels.linear(g[:, pieces].t().contiguous(), rows.t())
