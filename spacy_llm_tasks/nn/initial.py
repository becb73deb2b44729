"""Initial weights: normal matrices and tables, zero biases, unit norms.

As in BERT and GPT-2, whose standard deviation of 0.02 suits widths from 128 to 1600.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from .config import TransformerConfig

# What writes to the residual: attention, attention to a memory, the feed-forward network.
WRITERS = ("attention.output.weight", "feedforward.down.weight")


@torch.no_grad()
def draw_weights(module: nn.Module, *, std: float) -> None:
    """Draw all matrices and tables below a module afresh and set biases to zero.

    Norms are left alone: they are made with weights of one.

    module (nn.Module): The module.
    std (float): Standard deviation.
    """
    for part in module.modules():
        if isinstance(part, (nn.Linear, nn.Embedding)):
            nn.init.normal_(part.weight, std=std)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)


@torch.no_grad()
def quiet_writers(module: nn.Module, config: TransformerConfig, *, n_writers: int) -> None:
    """Draw what writes to the residual smaller, so that its variance does not grow with depth.

    With pre-norm only; by sqrt(writers) as in GPT-2 (Radford et al. 2019, section 2.3).

    module (nn.Module): A stack of blocks.
    config (TransformerConfig): Its config.
    n_writers (int): How often its blocks write to the residual.
    """
    if config.norm_position != "pre":
        return
    std = config.init_std / math.sqrt(n_writers)
    for name, parameter in module.named_parameters():
        if name.endswith(WRITERS):
            nn.init.normal_(parameter, std=std)
