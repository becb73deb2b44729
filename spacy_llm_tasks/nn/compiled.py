"""Blocks through `torch.compile`: fewer and larger kernels, after a slow start.

What a block does to each row alone becomes one graph before and one behind the softmax, for any
number of rows. The place where rows meet stays out (`mix` of the attentions): its groups are others
in each batch, and each arrangement would want a graph of its own.

A compiled block keeps its parameters and their names, so that it is saved, copied and shared like
any other; copies and pickles are not compiled. PyTorch's compiler is loaded here and nowhere else:
that takes a second.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from .attention import Attention
from .block import Block
from .cross_attention import CrossAttention


def compile_blocks(modules: Iterable[nn.Module]) -> None:
    """Have blocks compiled when they are next called.

    modules (Iterable[nn.Module]): All that may be blocks, `model.modules()` for instance.
    """
    for kind in (Attention, CrossAttention):
        _leave_out(kind)
    for module in modules:
        if isinstance(module, Block):
            module.compile(dynamic=True)


def _leave_out(kind: Any) -> None:
    """Keep the softmax of an attention out of graphs; without a compiler it is what it was."""
    if not getattr(kind.mix, "_torchdynamo_disable", False):
        kind.mix = torch.compiler.disable(kind.mix)
