"""The small numbers of a training run, apart from weights, optimizer and random states."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Run:
    """What changes from step to step, besides weights, optimizer, batches and random states.

    step (int): The last step done, -1 before the first.
    words (int): Words seen in training.
    seconds (float): Time used by earlier processes of this run.
    results (list): `(score, step)` of every evaluation.
    losses (dict): Summed by component since the last evaluation.
    """

    step: int = -1
    words: int = 0
    seconds: float = 0.0
    results: list[tuple[float, int]] = field(default_factory=list)
    losses: dict[str, Any] = field(default_factory=dict)

    def is_over(self, *, patience: int, max_steps: int) -> bool:
        """RETURNS (bool): Whether to stop after this step, by spaCy's two rules."""
        # For equal scores the earliest step counts as the best one.
        best_step = -max((score, -step) for score, step in self.results)[1]
        if patience and self.step - best_step >= patience:
            return True
        return bool(max_steps and self.step >= max_steps)

    def to_state(self, seconds: float) -> dict[str, Any]:
        # A loss may be a numpy scalar, in whose precision later ones are added to it.
        losses = {
            k: [float(v), v.dtype.name if hasattr(v, "dtype") else None]
            for k, v in self.losses.items()
        }
        return {
            "step": self.step,
            "words": self.words,
            "seconds": seconds,
            "results": [[float(score), step] for score, step in self.results],
            "losses": losses,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Run":
        losses = {
            k: v if dtype is None else np.dtype(dtype).type(v)
            for k, (v, dtype) in state["losses"].items()
        }
        results = [(score, step) for score, step in state["results"]]
        return cls(state["step"], state["words"], state["seconds"], results, losses)
