"""How far a run is, apart from weights, optimizer and random states: the numbers of its state."""

from __future__ import annotations

import math
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
    batches (int): Micro-batches dealt out, over all machines: the next one has this number.
    pieces (int): Pieces read in training, over all machines.
    seconds (float): Time used by earlier processes of this run.
    best (float | None): The lowest held-out loss.
    best_step (int): The step of it.
    waited (int): Evaluations since then.
    """

    settings: TrainingSettings
    clock: Callable[[], float] = time.monotonic
    step: int = 0
    batches: int = 0
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
        return self._share_at(self.step)

    @property
    def ahead(self) -> float:
        """RETURNS (float): The same for the next step, which stands for all of its length: its
        middle. At its beginning the first step of a warm-up would have the rate 0, and be lost; at
        its end the last one would."""
        return self._share_at(self.step + 0.5)

    @property
    def is_over(self) -> bool:
        """RETURNS (bool): Whether the steps or minutes are used up, or patience is."""
        impatient = 0 < self.settings.patience <= self.waited
        return impatient or self.share >= 1.0

    def judge(self, loss: float) -> bool:
        """Take note of an evaluation.

        loss (float): The held-out loss.
        RETURNS (bool): Whether it is the lowest yet. What is no finite number never is.
        """
        if math.isfinite(loss) and (self.best is None or loss < self.best):
            self.best, self.best_step, self.waited = loss, self.step, 0
            return True
        self.waited += 1
        return False

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (dict): The numbers, fit for JSON; `restore` takes them."""
        names = ("step", "batches", "pieces", "best", "best_step", "waited")
        return {name: getattr(self, name) for name in names} | {"seconds": self.elapsed}

    def restore(self, values: dict[str, Any]) -> None:
        """Go on from what `to_dict` gave."""
        for name, value in values.items():
            setattr(self, name, value)
        self.started = self.clock()

    def _share_at(self, step: float) -> float:
        steps, minutes = self.settings.max_steps, self.settings.max_minutes
        by_steps = 0.0 if steps is None else step / steps
        by_minutes = 0.0 if minutes is None else self.elapsed / (60 * minutes)
        return min(1.0, max(by_steps, by_minutes))
