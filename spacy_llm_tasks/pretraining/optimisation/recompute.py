"""Less memory for more time: blocks forget what is inside them, and compute it again when the
gradient comes back (Chen et al. 2016, https://arxiv.org/abs/1604.06174)."""

from __future__ import annotations

from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint


def recompute_blocks(model: nn.Module) -> None:
    """Have every block below a model keep its input only, for the backward pass.

    What is computed again draws the same dropout, but at the rates of that later moment.

    model (nn.Module): Changed in place; modules and parameters keep their names.
    """
    for name, module in model.named_modules():
        if name.split(".")[-1] == "blocks" and isinstance(module, nn.ModuleList):
            for block in module:
                forward = partial(checkpoint, block.forward, use_reentrant=False)
                block.forward = forward  # type: ignore[method-assign, assignment]
