"""Sums and counts of losses, so that means are taken once, over everything that was counted."""

from __future__ import annotations

import math

from ..objectives.prepared import LossSum
from ..team.distributed import Team

# Perplexity of a model that knows nothing is the size of its vocabulary; beyond this it says no
# more, and exp() would overflow.
MOST_NATS = 50.0


class Tally:
    """Losses and measures of objectives, by `"objective measure"`, as (sum, count)."""

    def __init__(self) -> None:
        self.sums: dict[str, tuple[float, float]] = {}

    def add(self, name: str, losses: LossSum, *, counts: bool = True) -> None:
        """Count what a micro-batch gave.

        name (str): The objective.
        losses (LossSum): Sums and counts.
        counts (bool): False: only take note that there is such a thing.
        """
        loss = (losses.total.detach().item(), losses.count)
        for measure, (total, count) in {"loss": loss, **losses.metrics}.items():
            self._count(f"{name} {measure}", total * counts, count * counts)

    def note(self, key: str, value: float) -> None:
        """Count one value of something that is measured once a step."""
        self._count(key, value, 1)

    def merge(self, other: Tally) -> None:
        """Count what another tally has counted."""
        for key, (total, count) in other.sums.items():
            self._count(key, total, count)

    def over(self, team: Team) -> Tally:
        """RETURNS (Tally): What all processes have counted, the same in each. All must call it."""
        found = Tally()
        for other in team.gather(self.sums):
            for key, (total, count) in other.items():
                found._count(key, total, count)
        return found

    def loss(self, name: str) -> float:
        """RETURNS (float): Mean loss of an objective, in nats; NaN where nothing was counted."""
        return self.means().get(f"{name} loss", math.nan)

    def is_finite(self, name: str) -> bool:
        """RETURNS (bool): Whether the loss of an objective is; one that predicted nothing too."""
        return math.isfinite(self.sums.get(f"{name} loss", (0.0, 0.0))[0])

    def groups(self) -> dict[str, dict[str, float]]:
        """RETURNS (dict[str, dict[str, float]]): The means by objective and measure."""
        groups: dict[str, dict[str, float]] = {}
        for key, value in self.means().items():
            name, _, measure = key.partition(" ")
            groups.setdefault(name, {})[measure] = value
        return groups

    def means(self) -> dict[str, float]:
        """RETURNS (dict[str, float]): The means by `"objective measure"`."""
        return {key: total / count for key, (total, count) in self.sums.items() if count}

    def _count(self, key: str, total: float, count: float) -> None:
        old_total, old_count = self.sums.get(key, (0.0, 0.0))
        self.sums[key] = (old_total + total, old_count + count)


def perplexity(loss: float) -> float:
    """RETURNS (float): exp(loss), the number of pieces between which the model wavers."""
    return math.exp(min(loss, MOST_NATS))


def bits_per_byte(loss: float, bytes_per_piece: float) -> float:
    """How many bits the model needs for a byte of text: comparable across tokenizers.

    loss (float): Nats per piece.
    bytes_per_piece (float): Bytes of the text in UTF-8, by its pieces.
    RETURNS (float): loss / ln 2 / bytes per piece.
    """
    return loss / math.log(2) / bytes_per_piece
