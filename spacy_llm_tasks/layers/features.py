"""Lexical attributes as input to a head, beside the encoder's rows.

Published encoders are often uncased: they cannot see that a word begins with a capital. A small
hashed embedding of spaCy's lexical attributes gives a head that back for almost no time. Hash
embeddings: Svenstrup et al. 2017 (arXiv 1709.03933), as in spaCy's own MultiHashEmbed.
"""

import torch
from torch import Tensor, nn

N_ROWS = 4096


class HashedFeatures(nn.Module):
    """Sum of one embedding per attribute, each looked up under two hashes.

    n_features (int): F, the number of attributes.
    width (int): Width of the embeddings.
    """

    def __init__(self, n_features: int, width: int) -> None:
        super().__init__()
        self.n_features = n_features
        self.table = nn.EmbeddingBag(n_features * 2 * N_ROWS, width, mode="sum")
        nn.init.normal_(self.table.weight, std=width**-0.5)

    def forward(self, features: Tensor) -> Tensor:
        """Embed hashes.

        features (Tensor): (N, F) int64, 64-bit hashes.
        RETURNS (Tensor): (N, width).
        """
        buckets = torch.cat([features % N_ROWS, (features >> 24) % N_ROWS], dim=1)  # (N, 2F)
        offsets = torch.arange(2 * self.n_features, device=features.device) * N_ROWS
        return self.table(buckets + offsets)
