"""Less memory for more time: blocks forget what is inside them, and compute it again when the
gradient comes back (Chen et al. 2016, https://arxiv.org/abs/1604.06174)."""

from __future__ import annotations

from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper


def recompute_blocks(model: nn.Module) -> None:
    """Have every block below a model keep its input only, for the backward pass.

    model (nn.Module): Changed in place. The names of its parameters stay what they are in its
        `state_dict`.
    """
    for name, module in list(model.named_modules()):
        if name.split(".")[-1] == "blocks" and isinstance(module, nn.ModuleList):
            for place, block in enumerate(module):
                module[place] = checkpoint_wrapper(block)
