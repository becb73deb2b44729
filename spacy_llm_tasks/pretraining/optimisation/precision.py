"""Training in fewer bits: products in 16 bits, weights and optimizer in float32.

    "fp32"  float32 everywhere
    "bf16"  products in bfloat16, which has the range of float32 and needs nothing else
    "fp16"  products in float16, whose small gradients vanish: the loss is scaled up before the
            backward pass and the gradients down after it, by a factor that is halved when they
            overflow and doubled when they have not for long (Micikevicius et al. 2018, section 3.2,
            https://arxiv.org/abs/1710.03740)

A step whose gradients are not finite is left out in every precision: one bad batch must not turn
all weights into NaN. All processes of a team see the same norm, so all leave out the same steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import Errors
from ..team.sharded import whole
from .optimizers import NamedOptimizer

PRECISIONS = ("fp32", "bf16", "fp16")


class MixedPrecision:
    """The backward pass and the step of one run, in the precision that it chose.

    A step is: `forward` and `backward` once for each micro-batch, then `clip`, then `step`.

    name (str): "fp32", "bf16" or "fp16".
    device (torch.device): Where the model is.
    RAISES (ValueError): No such precision, or not on this device.
    """

    def __init__(self, name: str, *, device: torch.device) -> None:
        if name not in PRECISIONS:
            known = ", ".join(PRECISIONS)
            raise ValueError(Errors.E740.format(kind="precision", found=name, known=known))
        if name == "fp16" and device.type != "cuda":
            raise ValueError(Errors.E748.format(device=device))
        self.name = name
        self.device = device
        self.scaler = torch.amp.GradScaler(device.type) if name == "fp16" else None
        self._norm: float | None = None

    def forward(self) -> AbstractContextManager[Any]:
        """RETURNS (AbstractContextManager): What to enter for a forward pass and its loss."""
        if self.name == "fp32":
            return nullcontext()
        dtype = torch.bfloat16 if self.name == "bf16" else torch.float16
        return torch.autocast(self.device.type, dtype=dtype)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss to those there are, scaled where the precision needs it."""
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()

    def clip(self, model: nn.Module, optimizer: NamedOptimizer, *, max_norm: float) -> float:
        """Undo the scaling of the gradients, and shorten them to a largest global norm.

        model (nn.Module): The model, wrapped or not.
        optimizer (NamedOptimizer): The optimizer that will be stepped.
        max_norm (float): The largest norm; 0: the norm is measured only.
        RETURNS (float): The norm before, over all parameters and all processes.
        """
        if self.scaler is not None:
            self.scaler.unscale_(optimizer)  # type: ignore[arg-type]
        norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm or math.inf)
        # of sharded gradients, each process has a part of the norm
        self._norm = float(whole(norm))
        return self._norm

    def step(self, optimizer: NamedOptimizer) -> bool:
        """Step the optimizer, unless the gradients that `clip` saw were not finite.

        RETURNS (bool): Whether there was a step.
        RAISES (RuntimeError): There was no `clip` since the last step.
        """
        if self._norm is None:
            raise RuntimeError(Errors.E754)
        is_finite, self._norm = math.isfinite(self._norm), None
        if self.scaler is None:
            if is_finite:
                optimizer.step()
        elif is_finite:
            self.scaler.step(optimizer)  # type: ignore[arg-type]
            self.scaler.update()
        else:
            # The scaler of a sharded part may not have seen the overflow of another one: say so.
            self.scaler.update(self.scaler.get_scale() * self.scaler.get_backoff_factor())
        return is_finite

    def state_dict(self) -> dict[str, float]:
        """RETURNS (dict): JSON types; empty if there is nothing to keep."""
        return {} if self.scaler is None else dict(self.scaler.state_dict())

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Go on from what `state_dict` gave; a state of another precision counts for nothing."""
        if self.scaler is not None and state:
            self.scaler.load_state_dict(dict(state))
