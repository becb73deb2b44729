"""What a model makes of held-out text: the same micro-batches with the same masks, every time."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from .distributed import Team
from .feed import Feed
from .precision import MixedPrecision
from .tally import Tally, bits_per_byte, perplexity


class Evaluation:
    """Scores a model on held-out text.

    feed (Feed): Of the held-out text.
    n_batches (int): Micro-batches to read for each objective.
    weights (Mapping[str, float]): Of the objectives.
    precision (MixedPrecision): Of the forward pass.
    team (Team): Shares the micro-batches out.
    bytes_per_piece (float | None): Of the held-out text; None: bits per byte are left out.
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
        self.n_batches = n_batches
        self.weights = weights
        self.precision = precision
        self.team = team
        self.bytes_per_piece = bytes_per_piece

    @torch.no_grad()
    def __call__(self, model: nn.Module) -> dict[str, dict[str, float]]:
        """Read the held-out micro-batches.

        model (nn.Module): A `PretrainingModel`, wrapped for the team.
        RETURNS (dict[str, dict[str, float]]): By objective, its `loss` in nats per prediction,
            `perplexity`, for causal objectives `bits_per_byte`, and what else it measures.
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
                tally.add(name, losses, counts=number < self.n_batches)
        scores: dict[str, dict[str, float]] = {}
        for key, value in tally.over(self.team).means().items():
            name, _, measure = key.partition(" ")
            scores.setdefault(name, {})[measure] = value
        for name, found in scores.items():
            objective = self.feed.objectives[name]
            if objective.is_likelihood and "loss" in found:
                found["perplexity"] = perplexity(found["loss"])
            if objective.reads_all and self.bytes_per_piece is not None:
                found["bits_per_byte"] = bits_per_byte(found["loss"], self.bytes_per_piece)
        return scores

    def total(self, scores: Mapping[str, Mapping[str, float]]) -> float:
        """RETURNS (float): The weighted sum of the held-out losses, by which runs are judged."""
        return sum(weight * scores[name]["loss"] for name, weight in self.weights.items())
