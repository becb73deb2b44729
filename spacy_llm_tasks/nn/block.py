"""One layer of a Transformer: attention, then a feed-forward network, each added to its input.

    post-norm (Vaswani et al. 2017, BERT)     x = norm(x + f(x))
    pre-norm  (Xiong et al. 2020,             x = x + f(norm(x))
               https://arxiv.org/abs/2002.04745)

Post-norm is what BERT-like checkpoints were trained with; pre-norm leaves a clean path for the
gradient and trains without a long warm-up. A block that reads a memory (a decoder's that stands
over an encoder) has a third part between the two: attention to that memory.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..errors import Errors
from . import kernels
from .attention import Attention
from .cache import LayerCache
from .config import TransformerConfig
from .cross_attention import CrossAttention
from .crossing import Crossing
from .dropout import Dropout
from .feedforward import FeedForward
from .norms import make_norm
from .packing import Packing


class Block(nn.Module):
    """Attention and feed-forward with residuals, norms and dropout.

    config (TransformerConfig): Shape and order of the parts.
    causal (bool): Whether attention looks back only, as a decoder's does.
    cross (bool): Whether it reads a memory.
    first (bool): Whether it is the lowest one, which may go without a norm (`first_norm`).
    """

    def __init__(
        self,
        config: TransformerConfig,
        *,
        causal: bool = False,
        cross: bool = False,
        first: bool = False,
    ) -> None:
        super().__init__()
        self.pre_norm = config.norm_position == "pre"
        self.attention = Attention(config, causal=causal)
        bare = first and not config.first_norm
        self.attention_norm = nn.Identity() if bare else make_norm(config)
        self.cross_attention = CrossAttention(config) if cross else None
        self.cross_attention_norm = make_norm(config) if cross else None
        self.feedforward = FeedForward(config)
        self.feedforward_norm = make_norm(config)
        self.dropout = Dropout(config.dropout)

    def forward(
        self,
        x: Tensor,
        packing: Packing,
        memory: Tensor | None = None,
        crossing: Crossing | None = None,
        cache: LayerCache | None = None,
    ) -> Tensor:
        """Send rows through the layer.

        x (Tensor): (T, W) packed rows.
        packing (Packing): Their sequences.
        memory (Tensor | None): (S, W) packed rows to read, for a block with `cross`.
        crossing (Crossing | None): Which of them each sequence reads.
        cache (LayerCache | None): What the block remembers of earlier calls.
        RETURNS (Tensor): (T, W)
        RAISES (ValueError): A memory is missing, or given to a block that reads none.
        """
        x = self._add(x, self.attention_norm, lambda y: self.attention(y, packing, cache))
        if self.cross_attention is not None and self.cross_attention_norm is not None:
            cross = self.cross_attention
            if memory is None or crossing is None:
                raise ValueError(Errors.E129.format(reads="reads a memory", found="none"))
            x = self._add(x, self.cross_attention_norm, lambda y: cross(y, memory, crossing, cache))
        elif memory is not None:
            raise ValueError(Errors.E129.format(reads="reads no memory", found="one"))
        return self._add(x, self.feedforward_norm, self.feedforward)

    def _add(self, x: Tensor, norm: nn.Module, part: Callable[[Tensor], Tensor]) -> Tensor:
        """Add what a part makes of the rows."""
        if self.pre_norm:
            return _sum(x, self.dropout(part(norm(x))))
        return norm(_sum(x, self.dropout(part(x))))


def _sum(x: Tensor, made: Tensor) -> Tensor:
    """x + made, where `made` is fresh: in its place in predictions, which saves a pass of memory"""
    if torch.is_grad_enabled() or made.dtype != x.dtype or kernels.is_traced():
        return x + made
    return made.add_(x)
