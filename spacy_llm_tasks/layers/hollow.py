"""Modules without weights, to load weights into.

A module draws random numbers for its weights when it is made, and pages of memory for them. Where
saved weights take their place a moment later, both are thrown away: for an encoder of 22 million
parameters, a fifth of a second. A hollow module has parameters of the right shapes on PyTorch's
meta device. What it works out itself and does not save (slopes, frequencies) is there as always.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class _OnMeta(TorchFunctionMode):
    """Parameters come from `torch.empty`, whose content nobody may rely on: it gets no memory."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.empty:
            kwargs = {**kwargs, "device": "meta"}
        return func(*args, **kwargs)


@contextmanager
def hollow() -> Iterator[None]:
    """Let modules that are made meanwhile be hollow. Nothing is drawn from random generators."""
    with _OnMeta():
        yield
