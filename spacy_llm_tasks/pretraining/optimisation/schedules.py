"""How the learning rate rises and falls over a run: a factor from 0 to 1 for each moment of it.

All but "triangle" rise from 0 in a straight line during warm-up, then:

    "constant"  stays at 1
    "linear"    falls in a straight line to the end (BERT: Devlin et al. 2019, appendix A.2)
    "cosine"    falls along half a wave (Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983)
    "wsd"       stays at 1, then falls at the end: warm-up, stable, decay (Hu et al. 2024,
                https://arxiv.org/abs/2404.06395), as 1 - sqrt(x) for the share x of the decay that
                has passed (Hägele et al. 2024, https://arxiv.org/abs/2405.18392). It may be ended
                at any time, and continued from before the decay.

"triangle" rises in a straight line until the decay starts and falls in one from there: the one
cycle of Geiping & Goldstein 2023 (https://arxiv.org/abs/2212.14034) for short runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...errors import Errors

SCHEDULES = ("linear", "cosine", "wsd", "triangle", "constant")


@dataclass(frozen=True)
class Schedule:
    """A factor for the learning rates. See `make_schedule`, which checks the settings.

    name (str): One of SCHEDULES.
    warmup (float): Share of the run in which the rate rises.
    decay (float): Share of the run at its end in which "wsd" and "triangle" fall.
    floor (float): The factor at the end.
    """

    name: str
    warmup: float
    decay: float
    floor: float

    def __call__(self, progress: float) -> float:
        """The factor at a moment of the run.

        progress (float): Share of the run that is done; below 0 counts as 0, above 1 as 1.
        RETURNS (float): From 0 to 1.
        """
        progress = min(1.0, max(0.0, progress))
        rise = 1.0 - self.decay if self.name == "triangle" else self.warmup
        if progress < rise:
            return progress / rise
        fall = self.decay if self.name in ("wsd", "triangle") else 1.0 - rise
        passed = 1.0 - (1.0 - progress) / fall if fall > 0 else 0.0
        return self.floor + (1.0 - self.floor) * self._height(max(0.0, passed))

    def _height(self, passed: float) -> float:
        """RETURNS (float): What is left above the floor when a share of the fall has passed."""
        if self.name == "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * passed))
        if self.name == "wsd":
            return 1.0 - math.sqrt(passed)
        return 1.0 if self.name == "constant" else 1.0 - passed


def make_schedule(
    name: str, *, warmup: float = 0.0, decay: float = 0.0, floor: float = 0.0
) -> Schedule:
    """Make a schedule.

    name (str): "linear", "cosine", "wsd", "triangle" or "constant".
    warmup (float): Share of the run in which the rate rises; "triangle" has none of its own.
    decay (float): Share of the run at its end in which "wsd" and "triangle" fall.
    floor (float): The factor at the end; "constant" never falls.
    RETURNS (Schedule): Progress from 0 to 1 -> factor from 0 to 1.
    RAISES (ValueError): No such schedule, or a number is out of range.
    """
    if name not in SCHEDULES:
        known = ", ".join(SCHEDULES)
        raise ValueError(Errors.E740.format(kind="schedule", found=name, known=known))
    longest = 1.0 - warmup if name == "wsd" else 1.0
    limits = (("warmup", warmup, 1.0), ("decay", decay, longest), ("floor", floor, 1.0))
    for setting, value, high in limits:
        if not 0.0 <= value <= high:
            found = {"what": f"schedule.{setting}", "value": value, "low": 0, "high": high}
            raise ValueError(Errors.E741.format(**found))
    return Schedule(name, warmup, decay, floor)
