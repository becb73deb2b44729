"""One optimizer step: losses of all micro-batches, normalised as if they were a single batch.

A step's loss for an objective is its sum over all predictions, on all machines and in all
accumulated micro-batches, divided by their global count, times the objective's weight. The count is
known before the first forward pass, so that it can be divided by from the start, and two machines
get the gradient that one gets from the same micro-batches, however unevenly predictions are spread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ...errors import Errors
from ..objectives.prepared import Prepared
from ..team.distributed import Team
from ..team.replicas import accumulating
from .average import Average
from .optimizers import NamedOptimizer
from .precision import MixedPrecision
from .tally import Tally


class Update:
    """Steps a model.

    model (nn.Module): A `PretrainingModel`, wrapped for the team.
    optimizer (NamedOptimizer): Over its parameters.
    weights (Mapping[str, float]): Of the objectives.
    precision (MixedPrecision): Of the passes.
    team (Team): The machines.
    clip_norm (float): Largest global norm of the gradients; 0: no clipping.
    average (Average | None): Follows the weights.
    culprits (Path): The file that micro-batches whose loss is no number are written to; in a team,
        each process that has some puts its rank into the name.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: NamedOptimizer,
        *,
        weights: Mapping[str, float],
        precision: MixedPrecision,
        team: Team,
        clip_norm: float,
        average: Average | None,
        culprits: Path,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.weights = weights
        self.precision = precision
        self.team = team
        self.clip_norm = clip_norm
        self.average = average
        self.culprits = culprits

    def __call__(self, batches: Mapping[str, Sequence[Prepared]], *, factor: float) -> Tally:
        """Do a step.

        batches (Mapping[str, Sequence[Prepared]]): This machine's micro-batches, by objective.
        factor (float): Of the highest learning rates, from the schedule.
        RETURNS (Tally): Sums and counts of the losses and of what was measured, of all machines;
            besides, "gradients norm" before clipping, and 1 as "gradients left_out" for a step
            that was left out because they were no finite numbers.
        RAISES (ValueError): A loss is no finite number. Nothing was stepped. In a team, the first
            process alone raises this, and the others `ToldByFirst`.
        """
        self.model.train()
        self.optimizer.scale_rates(factor)
        tally = Tally()
        names = list(batches)
        for name in names:
            share = self.weights[name] * self.team.factor(sum(part.count for part in batches[name]))
            for place, prepared in enumerate(batches[name]):
                is_last = name == names[-1] and place == len(batches[name]) - 1
                with accumulating(self.model, is_last=is_last):
                    with self.precision.forward():
                        losses = self.model(name, prepared.to(self.team.device))
                    tally.add(name, losses)
                    self.precision.backward(losses.total * share)
        self._check(tally, batches)
        tally = tally.over(self.team)
        norm = self.precision.clip(self.model, self.optimizer, max_norm=self.clip_norm)
        is_stepped = self.precision.step(self.optimizer)
        self.optimizer.zero_grad()
        if self.average is not None and is_stepped:
            self.average.update()
        if is_stepped:
            tally.note("gradients norm", norm)
        tally.note("gradients left_out", float(not is_stepped))
        return tally

    def _check(self, own: Tally, batches: Mapping[str, Sequence[Prepared]]) -> None:
        """Stop all processes if a loss of one of them is no number.

        own (Tally): What this process has counted.
        batches (Mapping): Its micro-batches.
        """
        names = [name for name in batches if not own.is_finite(name)]
        path = self.culprits
        if not self.team.is_alone:
            path = path.with_stem(f"{path.stem}-{self.team.rank}")
        found = [(names, path) for names, path in self.team.gather([names, str(path)]) if names]
        if not found:
            return
        self.optimizer.zero_grad()
        if names:
            arrays = {
                f"{name}/{place}/{key}": value
                for name in names
                for place, prepared in enumerate(batches[name])
                for key, value in _arrays(prepared)
            }
            np.savez(path, **arrays)  # type: ignore[arg-type]
        bad = sorted({name for names, _ in found for name in names})
        paths = ", ".join(path for _, path in found)
        raise self.team.alike(ValueError(Errors.E765.format(names=", ".join(bad), path=paths)))


def _arrays(prepared: Prepared) -> list[tuple[str, np.ndarray]]:
    values = vars(prepared).items()
    return [(k, v.cpu().numpy()) for k, v in values if isinstance(v, torch.Tensor)]
