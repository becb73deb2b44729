"""How a Transformer knows the order of its pieces: attention alone sees a bag of rows.

Added to the embeddings (one vector per position):
    learned      a table, as in BERT; positions past its end do not exist
    sinusoidal   waves of geometrically growing length (Vaswani et al. 2017, section 3.5,
                 https://arxiv.org/abs/1706.03762)

Inside attention (a score depends on the distance between query and key):
    rope         queries and keys are turned by an angle proportional to their position
                 (Su et al. 2021, https://arxiv.org/abs/2104.09864)
    alibi        each head subtracts its slope times the distance
                 (Press et al. 2022, https://arxiv.org/abs/2108.12409)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..errors import Errors
from . import kernels
from .packing import Packing
from .rotation import rotate, rotate_pairs


class LearnedPositions(nn.Embedding):
    """One learned vector per position.

    max_length (int): Positions that exist.
    width (int): Size of a vector.
    offset (int): Unused rows at the start of the table (RoBERTa counts from 2).
    """

    def __init__(self, max_length: int, width: int, *, offset: int = 0) -> None:
        super().__init__(max_length + offset, width)
        self.max_length = max_length
        self.offset = offset

    def forward(self, packing: Packing) -> Tensor:  # type: ignore[override]
        """RETURNS (Tensor): (T, width). RAISES (ValueError): A sequence is too long."""
        if packing.max_length > self.max_length:
            raise ValueError(Errors.E107.format(found=packing.max_length, limit=self.max_length))
        return super().forward(packing.positions + self.offset)


class SinusoidalPositions(nn.Module):
    """Fixed waves: sin and cos of position / 10000^(2i/width), i from 0 to width / 2.

    They are a table that grows with the longest sequence, computed in float64 and then rounded, as
    published models have it. Angles in float32 would be off by 2e-5 after a thousand positions.

    width (int): Size of a vector.
    order (str): "interleaved" puts sines in the even columns and cosines in the odd ones, as the
        paper does; "halves" all sines before all cosines, as Marian does.
    """

    table: Tensor

    def __init__(self, width: int, *, order: str = "interleaved") -> None:
        super().__init__()
        self.width = width
        self.order = order
        self.register_buffer("table", torch.zeros(0, width), persistent=False)

    def forward(self, packing: Packing) -> Tensor:
        """RETURNS (Tensor): (T, width)."""
        if packing.max_length > len(self.table):
            # twice as many as asked for, so that growing sequences do not compute it each time
            self.table = self._waves(2 * packing.max_length).to(self.table)
        return self.table.index_select(0, packing.positions)

    def _waves(self, length: int) -> Tensor:
        """RETURNS (Tensor): (length, width) in float64, on the CPU, which always has that."""
        places = torch.arange(length, dtype=torch.float64, device="cpu")
        columns = torch.arange(0, self.width, 2, dtype=torch.float64, device="cpu")
        angles = places[:, None] / 10000.0 ** (columns / self.width)  # (length, ceil(width / 2))
        parts = [angles.sin(), angles.cos()]
        if self.order == "halves":
            return torch.cat(parts, dim=1)[:, : self.width]
        return torch.stack(parts, dim=-1).flatten(1)[:, : self.width]


class Rotary(nn.Module):
    """Turns each pair (i, i + D/2) of a query or key by position * base^(-2i/D).

    The product of a query at m and a key at n then depends on m - n alone.

    head_width (int): D, even.
    base (float): Larger values make the slowest pairs turn more slowly.
    """

    frequencies: Tensor

    def __init__(self, head_width: int, *, base: float = 10000.0) -> None:
        super().__init__()
        frequencies = inverse_frequencies(head_width, base=base)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, heads: Tensor, packing: Packing) -> Tensor:
        """Turn the heads of all rows.

        heads (Tensor): (T, ..., D) queries or keys of every row.
        packing (Packing): Knows the position of each row.
        RETURNS (Tensor): (T, ..., D).
        """
        cos, sin = self._waves(packing, heads.dtype)
        # not len(), which a trace would take for a number that never changes
        shape = (cos.shape[0],) + (1,) * (heads.dim() - 2) + (cos.shape[1],)
        return rotate_pairs(heads, cos.view(shape), sin.view(shape))

    def turn(self, qkv: Tensor, packing: Packing) -> Tensor:
        """Turn queries and keys that come with their values, faster in training.

        qkv (Tensor): (T, 3, H, D) queries, keys and values of every row.
        packing (Packing): Knows the position of each row.
        RETURNS (Tensor): (T, 3, H, D), the values as they were.
        """
        return rotate(qkv, *self._waves(packing, qkv.dtype))

    def _waves(self, packing: Packing, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """RETURNS (tuple): (T, D/2) cos and sin of the angles of each row."""
        positions = packing.positions
        if kernels.is_traced() or packing.max_length >= len(positions):
            angles = positions[:, None] * self.frequencies
            return angles.cos().to(dtype), angles.sin().to(dtype)
        # sequences share positions, and gathering is cheaper than another cosine
        places = torch.arange(packing.max_length, device=positions.device)
        angles = places[:, None] * self.frequencies
        cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
        return cos.index_select(0, positions), sin.index_select(0, positions)


class Alibi(nn.Module):
    """A penalty on attention scores that grows linearly with distance, steeper in some heads.

    n_heads (int): H.
    """

    slopes: Tensor

    def __init__(self, n_heads: int) -> None:
        super().__init__()
        self.register_buffer("slopes", torch.tensor(alibi_slopes(n_heads)), persistent=False)

    def forward(self, length: int, *, dtype: torch.dtype) -> Tensor:
        """The bias on scores, symmetric so that an encoder looks both ways alike.

        length (int): L, pieces of the (padded) sequence.
        dtype (torch.dtype): That of the queries.
        RETURNS (Tensor): (H, L, L), -slope * |i - j|.
        """
        places = torch.arange(length, device=self.slopes.device)
        distances = (places[:, None] - places).abs()
        return (-self.slopes[:, None, None] * distances).to(dtype)


def inverse_frequencies(width: int, *, base: float) -> Tensor:
    """RETURNS (Tensor): (ceil(width / 2),) base^(-2i/width)."""
    return base ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)


def alibi_slopes(n_heads: int) -> list[float]:
    """One slope a head: 2^(-8/H), 2^(-16/H), ... for H a power of two.

    Other numbers take those of the power of two below, then every second one of the power above,
    as the paper's authors do.

    n_heads (int): H.
    RETURNS (list[float]): H slopes.
    """
    below = 2 ** math.floor(math.log2(n_heads))
    slopes = [2 ** (-8 * (i + 1) / below) for i in range(below)]
    between = [2 ** (-4 * (i + 1) / below) for i in range(0, 2 * below, 2)]
    return slopes + between[: n_heads - below]
