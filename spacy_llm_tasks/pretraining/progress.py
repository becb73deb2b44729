"""How far a run is, apart from weights, optimizer and random states: the numbers of its state."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .settings import TrainingSettings


@dataclass
class Progress:
    """What changes from step to step.

    settings (TrainingSettings): How long the run may be.
    clock (Callable): Seconds, growing.

    step (int): Steps done.
    pieces (int): Pieces read in training, over all machines.
    seconds (float): Time used by earlier processes of this run.
    best (float | None): The lowest held-out loss.
    best_step (int): The step of it.
    waited (int): Evaluations since then.
    """

    settings: TrainingSettings
    clock: Callable[[], float] = time.monotonic
    step: int = 0
    pieces: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_step: int = 0
    waited: int = 0
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()

    @property
    def elapsed(self) -> float:
        """RETURNS (float): Seconds used so far, by this process and those before it."""
        return self.seconds + self.clock() - self.started

    @property
    def share(self) -> float:
        """RETURNS (float): How much of the run is done, from 0 to 1: of its steps or of its
        minutes, whichever is further."""
        steps, minutes = self.settings.max_steps, self.settings.max_minutes
        shares = [
            *([self.step / steps] if steps else []),
            *([self.elapsed / (60 * minutes)] if minutes else []),
        ]
        return min(1.0, max(shares, default=0.0))

    @property
    def is_over(self) -> bool:
        """RETURNS (bool): Whether the steps or minutes are used up, or patience is."""
        impatient = 0 < self.settings.patience <= self.waited
        return impatient or self.share >= 1.0

    def judge(self, loss: float) -> bool:
        """Take note of an evaluation.

        loss (float): The held-out loss.
        RETURNS (bool): Whether it is the lowest yet.
        """
        if self.best is None or loss < self.best:
            self.best, self.best_step, self.waited = loss, self.step, 0
            return True
        self.waited += 1
        return False

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (dict): The numbers, fit for JSON; `restore` takes them."""
        names = ("step", "pieces", "best", "best_step", "waited")
        return {name: getattr(self, name) for name in names} | {"seconds": self.elapsed}

    def restore(self, values: dict[str, Any]) -> None:
        """Go on from what `to_dict` gave."""
        for name, value in values.items():
            setattr(self, name, value)
        self.started = self.clock()
