"""From logits to the next piece: the best one, or one drawn from the better ones.

    temperature   divides the logits: below 1 the likely pieces gain, above 1 the unlikely ones
    top_k         keeps the k likeliest (Fan et al. 2018, https://arxiv.org/abs/1805.04833)
    top_p         keeps the fewest pieces whose probabilities sum to p, "nucleus sampling"
                  (Holtzman et al. 2020, https://arxiv.org/abs/1904.09751)

In that order; what is left is drawn by its probability.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import Errors


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a piece is chosen.

    temperature (float): At least 0; 0 takes the best piece.
    top_k (int | None): At least 1; None keeps all.
    top_p (float | None): Above 0, at most 1; None keeps all.
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        """RAISES (ValueError): A setting is out of range."""
        if not 0 <= self.temperature < float("inf"):
            _refuse("temperature", "a number of at least 0", self.temperature)
        if self.top_k is not None and self.top_k < 1:
            _refuse("top_k", "an integer of at least 1", self.top_k)
        if self.top_p is not None and not 0 < self.top_p <= 1:
            _refuse("top_p", "a number above 0 and at most 1", self.top_p)

    def choose(self, logits: Tensor, *, generator: torch.Generator | None = None) -> int:
        """Choose a piece.

        logits (Tensor): (n_pieces,)
        generator (Generator | None): Where the chance comes from, on the logits' device; None:
            torch's own.
        RETURNS (int): Its id.
        """
        if self.temperature == 0:
            return int(logits.argmax())
        chances = self.probabilities(logits)
        return int(torch.multinomial(chances, 1, generator=generator))

    def probabilities(self, logits: Tensor) -> Tensor:
        """The probabilities that a piece is drawn by, for a temperature above 0.

        logits (Tensor): (n_pieces,)
        RETURNS (Tensor): (n_pieces,) float32, 0 for those that were not kept.
        """
        scores, pieces = (logits.float() / self.temperature).sort(descending=True, stable=True)
        if self.top_k is not None:
            scores = scores[: self.top_k]
        chances = scores.softmax(dim=0)
        if self.top_p is not None:
            # A piece stays while those before it do not reach p: the first one always does.
            chances = chances.masked_fill(chances.cumsum(0) - chances >= self.top_p, 0.0)
        kept = chances / chances.sum()
        return torch.zeros_like(logits, dtype=kept.dtype).scatter(0, pieces[: len(kept)], kept)


def _refuse(name: str, expected: str, found: object) -> None:
    raise ValueError(Errors.E134.format(name=name, expected=expected, found=found))
