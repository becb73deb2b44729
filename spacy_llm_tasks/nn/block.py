"""One layer of a Transformer: attention, then a feed-forward network, each added to its input.

    post-norm (Vaswani et al. 2017, BERT)     x = norm(x + f(x))
    pre-norm  (Xiong et al. 2020,             x = x + f(norm(x))
               https://arxiv.org/abs/2002.04745)

Post-norm is what BERT-like checkpoints were trained with; pre-norm leaves a clean path for the
gradient and trains without a long warm-up.
"""

from __future__ import annotations

from torch import Tensor, nn

from .attention import Attention
from .config import TransformerConfig
from .feedforward import FeedForward
from .norms import make_norm
from .packing import Packing


class Block(nn.Module):
    """Attention and feed-forward with residuals, norms and dropout.

    config (TransformerConfig): Shape and order of the parts.
    causal (bool): Whether attention looks back only, as a decoder's does.
    """

    def __init__(self, config: TransformerConfig, *, causal: bool = False) -> None:
        super().__init__()
        self.pre_norm = config.norm_position == "pre"
        self.attention = Attention(config, causal=causal)
        self.attention_norm = make_norm(config)
        self.feedforward = FeedForward(config)
        self.feedforward_norm = make_norm(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, packing: Packing) -> Tensor:
        """(T, W) -> (T, W)"""
        if self.pre_norm:
            x = x + self.dropout(self.attention(self.attention_norm(x), packing))
            return x + self.dropout(self.feedforward(self.feedforward_norm(x)))
        x = self.attention_norm(x + self.dropout(self.attention(x, packing)))
        return self.feedforward_norm(x + self.dropout(self.feedforward(x)))
