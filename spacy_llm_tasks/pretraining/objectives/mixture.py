"""Several objectives for one trunk: which of them a step trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from ...errors import Errors

MODES = ("draw", "sum")
# Sets the generators of these draws apart from those that other parts of a run seed.
_STREAM = 2**31 + 2


class Mixture:
    """Objectives and their weights.

    With "draw" each step trains one objective, drawn with its weight's share of all weights as the
    chance. With "sum" each step trains all of them, and their mean losses are added up times their
    weights. Either way the expected gradient is the weighted one; drawing costs one pass a step.

    weights (Mapping[str, float]): By the objective's name, above 0.
    mode (str): "draw" or "sum".
    seed (int): Decides what is drawn.
    """

    def __init__(
        self, weights: Mapping[str, float], *, mode: Literal["draw", "sum"], seed: int
    ) -> None:
        if mode not in MODES:
            raise ValueError(Errors.E736.format(found=mode, known=", ".join(MODES)))
        if not weights or min(weights.values()) <= 0:
            raise ValueError(Errors.E737.format(found=dict(weights)))
        self.weights = dict(weights)
        self.mode = mode
        self.seed = seed
        shares = np.array(list(weights.values()), dtype=np.float64)
        self._up_to = np.cumsum(shares / shares.sum())

    def names(self, n: int) -> tuple[str, ...]:
        """Which objectives a step trains.

        n (int): The number of the step, from 0; the same one always gives the same.
        RETURNS (tuple[str, ...]): Their names.
        """
        known = tuple(self.weights)
        if self.mode == "sum":
            return known
        drawn = np.random.default_rng([self.seed, n, _STREAM]).random()
        place = int(np.searchsorted(self._up_to, drawn, side="right"))
        return (known[min(place, len(known) - 1)],)  # against rounding of the sum

    @property
    def factors(self) -> dict[str, float]:
        """RETURNS (dict[str, float]): What each mean loss is multiplied with: its weight with
        "sum"; 1 with "draw", where the weight is in the chance already."""
        return self.weights if self.mode == "sum" else dict.fromkeys(self.weights, 1.0)
