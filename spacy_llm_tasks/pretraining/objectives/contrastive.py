"""Contrastive learning of text vectors without labels (Gao et al. 2021, SimCSE, section 3,
https://arxiv.org/abs/2104.08821)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import Errors
from ...nn.config import TransformerConfig
from ...nn.encoder import TransformerEncoder
from ...nn.initial import draw_weights
from ...nn.linear import Linear
from ...nn.packing import Packing
from ..pieces.chunks import Chunks
from ..pieces.special import SpecialIds
from .checks import check_choice, check_number
from .framing import frame
from .objective import Kind
from .prepared import LossSum, Prepared


class ContrastiveHead(nn.Module):
    """A layer and tanh on pooled rows, in training only: what the loss wears off is not the vector.

    config (TransformerConfig): The trunk's: its width W, and the spread of new weights.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.dense = Linear(config.width, config.width)
        draw_weights(self, std=config.init_std)

    def forward(self, vectors: Tensor) -> Tensor:
        """(n, W) -> (n, W)"""
        return torch.tanh(self.dense(vectors)) if self.training else vectors


class Contrastive:
    """An encoder learns to give a text, seen twice through different dropout, nearly one vector.

    Each chunk is read twice in one pass. Its two vectors must be more alike, by cosine, than the
    first one and the second ones of the other chunks of the micro-batch:

        loss_i = -log exp(cos(a_i, b_i) / t) / sum_j exp(cos(a_i, b_j) / t)

    Dropout is all that tells the two apart. In evaluation it is switched on too, with the
    micro-batch's own seed, so that repeated evaluations agree.

    weight (float): Its share in a mixture.
    temperature (float): t.
    pooling (str): "mean" of all rows of a chunk, or the row of "cls".
    dropout (float | None): The trunk's dropout rates while it reads for this objective; None: as
        they are.
    """

    name = "contrastive"
    kind: Kind = "encoder"
    framing = 2
    is_likelihood = False
    reads_all = False

    def __init__(
        self,
        *,
        weight: float = 1.0,
        temperature: float = 0.05,
        pooling: Literal["mean", "cls"] = "mean",
        dropout: float | None = None,
    ) -> None:
        check_number(self.name, "weight", weight, above=0)
        check_number(self.name, "temperature", temperature, above=0)
        check_choice(self.name, "pooling", pooling, ("mean", "cls"))
        if dropout is not None:
            check_number(self.name, "dropout", dropout, above=0, most=0.9)
        self.weight = weight
        self.temperature = temperature
        self.pooling = pooling
        self.dropout = dropout

    def prepare(
        self, chunks: Chunks, special: SpecialIds, *, rng: np.random.Generator, progress: float
    ) -> Prepared:
        """Frame chunks as `cls text sep`, all of them twice; see `Objective.prepare`.

        A single chunk has no others to differ from: such a micro-batch predicts nothing.
        """
        framed = frame(chunks, special)
        n = len(chunks) if len(chunks) > 1 else 0
        return Prepared(
            pieces=torch.from_numpy(np.tile(framed.pieces, 2)),
            lengths=torch.from_numpy(np.tile(framed.lengths, 2)),
            target_rows=torch.from_numpy(framed.starts[:n]),
            targets=torch.arange(n),
            seed=int(rng.integers(2**63)),
        )

    def make_head(self, config: TransformerConfig) -> ContrastiveHead:
        """Build the layer that is used in training.

        config (TransformerConfig): The trunk's.
        RETURNS (ContrastiveHead): The layer.
        RAISES (ValueError): Neither the trunk nor the objective has dropout.
        """
        self._check(config.dropout, config.attention_dropout)
        return ContrastiveHead(config)

    def loss(self, trunk: TransformerEncoder, head: ContrastiveHead, prepared: Prepared) -> LossSum:
        """Find each chunk's second vector; see `Objective.loss`. `accuracy` is measured too."""
        with self._noise(trunk, prepared):
            hidden = trunk(prepared.pieces, prepared.packing).last
        first, second = head(self._pool(hidden, prepared.packing)).chunk(2)
        # bfloat16 cannot tell cosines apart at this temperature
        with torch.autocast(hidden.device.type, enabled=False):
            a, b = F.normalize(first.float(), dim=1), F.normalize(second.float(), dim=1)
            logits = a @ b.T / self.temperature
        if not prepared.count:
            return LossSum(logits.sum() * 0.0, 0, {})
        total = F.cross_entropy(logits, prepared.targets, reduction="sum")
        right = (logits.argmax(-1) == prepared.targets).sum()
        return LossSum(total, prepared.count, {"accuracy": (float(right), float(prepared.count))})

    def _pool(self, hidden: Tensor, packing: Packing) -> Tensor:
        """(T, W) -> (B, W) float32"""
        if self.pooling == "cls":
            return hidden.index_select(0, packing.starts).float()
        owner = torch.repeat_interleave(packing.lengths, output_size=packing.n_rows)
        zeros = hidden.new_zeros((packing.n_sequences, hidden.shape[1]), dtype=torch.float32)
        return zeros.index_add(0, owner, hidden.float()) / packing.lengths[:, None]

    @contextmanager
    def _noise(self, trunk: TransformerEncoder, prepared: Prepared) -> Iterator[None]:
        """Dropout as the objective wants it; afterwards all is as it was."""
        device = prepared.pieces.device
        modes = [(part, part.training) for part in trunk.modules()]
        parts = [part for part, _ in modes if isinstance(part, nn.Dropout)]
        rates = [part.p for part in parts]
        is_training = trunk.training
        with torch.random.fork_rng(
            [device] if device.type == "cuda" else [], enabled=not is_training
        ):
            try:
                if self.dropout is not None:
                    trunk.set_dropout(self.dropout)
                self._check(*(part.p for part in parts))
                if not is_training:
                    torch.manual_seed(prepared.seed)
                    trunk.train()
                yield
            finally:
                for dropout, rate in zip(parts, rates, strict=True):
                    dropout.p = rate
                for part, mode in modes:
                    part.training = mode

    def _check(self, *rates: float) -> None:
        if self.dropout is None and not any(rates):
            raise ValueError(Errors.E731.format(objective=self.name))
