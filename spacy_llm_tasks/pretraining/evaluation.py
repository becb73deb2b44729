"""What a model makes of held-out text: the same micro-batches with the same masks, every time."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn

from .feed import Feed
from .objectives.prepared import LossSum, Prepared
from .optimisation.precision import MixedPrecision
from .optimisation.tally import Tally, bits_per_byte, perplexity
from .team.distributed import Team
from .team.replicas import release

# The loss by pieces of text, while it is added up.
BY_TEXT = "nats_by_piece_of_text"


class Evaluation:
    """Scores a model on held-out text.

    feed (Feed): Of the held-out text.
    n_batches (int): Micro-batches to read for each objective, at most; 0: all.
    weights (Mapping[str, float]): Of the objectives.
    precision (MixedPrecision): Of the forward pass.
    team (Team): Shares the micro-batches out.
    bytes_per_piece (float | None): Of the held-out text; None: bits per byte are left out.

    Bits per byte are those of all predictions, ends of documents among them, by the bytes of the
    pieces that were predicted.
    """

    def __init__(
        self,
        feed: Feed,
        *,
        n_batches: int,
        weights: Mapping[str, float],
        precision: MixedPrecision,
        team: Team,
        bytes_per_piece: float | None = None,
    ) -> None:
        self.feed = feed
        self.n_batches = min(n_batches or feed.sampler.n_batches, feed.sampler.n_batches)
        self.weights = weights
        self.precision = precision
        self.team = team
        self.bytes_per_piece = bytes_per_piece

    @torch.no_grad()
    def __call__(self, model: nn.Module) -> dict[str, dict[str, float]]:
        """Read the held-out micro-batches.

        model (nn.Module): A `PretrainingModel`, wrapped for the team.
        RETURNS (dict[str, dict[str, float]]): By objective, its `loss` in nats per prediction,
            `perplexity`, for causal objectives `bits_per_byte`, and what else it measures. An
            objective that finds nothing to predict there is left out.
        """
        model.eval()
        tally = Tally()
        for name in self.weights:
            for start in range(0, self.n_batches, self.team.world):
                # A sharded model is asked equally often on all machines; the last ones may have to
                # read something twice, which does not count.
                number = start + self.team.rank
                prepared = self.feed.prepare(name, min(number, self.n_batches - 1), progress=1.0)
                with self.precision.forward():
                    losses = model(name, prepared.to(self.team.device))
                losses = self._with_text(name, prepared, losses)
                tally.add(name, losses, counts=number < self.n_batches)
        release(model)
        scores = tally.over(self.team).groups()
        for name, found in scores.items():
            if self.feed.objectives[name].is_likelihood:
                found["perplexity"] = perplexity(found["loss"])
            loss = found.pop(BY_TEXT, None)
            if loss is not None and self.bytes_per_piece is not None:
                found["bits_per_byte"] = bits_per_byte(loss, self.bytes_per_piece)
        return scores

    def total(self, scores: Mapping[str, Mapping[str, float]]) -> float:
        """The number by which runs are judged.

        scores (Mapping): What a call gave.
        RETURNS (float): The weighted sum of the held-out losses; NaN if there are none.
        """
        losses = [self.weights[name] * found["loss"] for name, found in scores.items()]
        return sum(losses) if losses else math.nan

    def _with_text(self, name: str, prepared: Prepared, losses: LossSum) -> LossSum:
        """Where the loss is that of a text, take note of how many of its pieces were predicted."""
        if not self.feed.objectives[name].reads_all:
            return losses
        n = int((prepared.targets != self.feed.special.sep).sum())
        measures = {**losses.metrics, BY_TEXT: (losses.total.item(), float(n))}
        return losses._replace(metrics=measures)
