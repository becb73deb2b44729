"""An average of the weights over the steps of a run, which often does better than the last ones.

The exponential moving average of Polyak & Juditsky's idea as used in Kingma & Ba 2015, section 7.2
(https://arxiv.org/abs/1412.6980), freed of its bias towards the zeros it starts from. With decay β
and weights w after step t:

    s = β s + (1 - β) w,   average = s / (1 - β^t)

which is kept in one array as   average = average + (1 - β) / (1 - β^t) (w - average).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ...errors import Errors
from ..team.names import fill, named_parameters

COUNT = "n_updates"


class Average:
    """The moving average of a model's trained weights.

    model (nn.Module): The model, wrapped or not; wrap it first.
    decay (float): β, from 0 to below 1. The average reaches back about 1 / (1 - β) steps.
    RAISES (ValueError): The decay is out of range.
    """

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        if not 0.0 <= decay < 1.0:
            found = {"what": "training.average", "value": decay, "low": 0, "high": "below 1"}
            raise ValueError(Errors.E741.format(**found))
        self.decay = decay
        self.parameters = {n: p for n, p in named_parameters(model) if p.requires_grad}
        self.weights = {n: p.detach().clone() for n, p in self.parameters.items()}
        self.n_updates = torch.zeros((), dtype=torch.int64)

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights of this moment in. To be called after each step of the optimizer."""
        self.n_updates += 1
        share = (1 - self.decay) / (1 - self.decay ** int(self.n_updates))
        for name, parameter in self.parameters.items():
            self.weights[name].lerp_(parameter.detach(), share)

    @contextmanager
    def swap(self) -> Iterator[None]:
        """While entered, the model has the averages; before and after, its own weights."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for name, parameter in self.parameters.items():
            own = parameter.detach().clone()
            parameter.copy_(self.weights[name])
            self.weights[name].copy_(own)

    def state_dict(self) -> dict[str, Tensor]:
        """RETURNS (dict[str, Tensor]): The live averages by parameter name, and their count."""
        return {**self.weights, COUNT: self.n_updates}

    def allocate(self, keys: Iterable[str]) -> None:
        """Make sure that a state fits. RAISES (ValueError): It is that of another model."""
        odd = set(keys) ^ set(self.state_dict())
        if odd:
            raise ValueError(Errors.E744.format(key=min(odd)))

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Replace the averages.

        state (Mapping[str, Tensor]): What `state_dict` gave, on any device.
        RAISES (ValueError): It belongs to another model.
        """
        self.allocate(state)
        fill(self.state_dict(), state)
