"""Where one of our parameters lies in a file, and in which form.

Our fused query-key-value layer stands for three layers in most families, which are put one under
the other; GPT-2 stores matrices as (in, out) where we have (out, in); BART stores the bias over
the pieces as a matrix of one row. A place knows both directions.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

Names = tuple[str, ...]
Shape = tuple[int, ...]

SAME, TRANSPOSED, ROW = "same", "transposed", "row"


class Place(NamedTuple):
    """The tensors of a file that make up one of our parameters.

    names (tuple[str, ...]): Their names; several stand one under the other.
    form (str): "same", "transposed" (in, out) or "row" (1, n).
    """

    names: Names
    form: str = SAME

    def shape_of_part(self, shape: Shape) -> Shape:
        """What each of the tensors must look like.

        shape (tuple[int, ...]): That of our parameter.
        RETURNS (tuple[int, ...]): That of each tensor.
        """
        part = (shape[0] // len(self.names), *shape[1:])
        if self.form == TRANSPOSED:
            return part[::-1]
        return (1, *part) if self.form == ROW else part

    def join(self, parts: list[Tensor]) -> Tensor:
        """RETURNS (Tensor): Our parameter, of the tensors in the order of the names."""
        if self.form == TRANSPOSED:
            parts = [part.t() for part in parts]
        elif self.form == ROW:
            parts = [part[0] for part in parts]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def split(self, tensor: Tensor) -> dict[str, Tensor]:
        """RETURNS (dict): Name -> tensor, of our parameter; they may share its memory."""
        parts = tensor.chunk(len(self.names))
        if self.form == TRANSPOSED:
            parts = tuple(part.t() for part in parts)
        elif self.form == ROW:
            parts = tuple(part[None] for part in parts)
        return dict(zip(self.names, parts, strict=True))
