"""What a decoder remembers of the pieces it has read, so that each is read once.

The keys and values of a piece do not change when pieces follow it. A decoder that writes piece
after piece keeps them: a step then costs one row of products and one row of attention, instead of
the whole sequence again. Keys and values of a memory (an encoder's rows) are kept likewise.

For prediction only: the buffers are written in place and carry no gradients.
"""

from __future__ import annotations

from torch import Tensor

FIRST_ROOM = 64


class LayerCache:
    """Keys and values of one block, for one sequence."""

    def __init__(self) -> None:
        self.length = 0
        self.memory: tuple[Tensor, Tensor] | None = None  # keys, values: (1, H, S, D) each
        self._keys: Tensor | None = None
        self._values: Tensor | None = None

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add the keys and values of the next pieces.

        keys, values (Tensor): (1, H, t, D) each.
        RETURNS (tuple[Tensor, Tensor]): (1, H, past + t, D) each, those of all pieces so far; views
            of the buffers, good until the next call.
        """
        start, end = self.length, self.length + keys.shape[2]
        self._keys = _with_room(self._keys, keys, end)
        self._values = _with_room(self._values, values, end)
        self._keys[:, :, start:end] = keys
        self._values[:, :, start:end] = values
        self.length = end
        return self._keys[:, :, :end], self._values[:, :, :end]


class Cache:
    """The memory of a whole decoder, for one sequence.

    depth (int): Blocks of the decoder.
    """

    def __init__(self, depth: int) -> None:
        self.layers = [LayerCache() for _ in range(depth)]

    @property
    def length(self) -> int:
        """RETURNS (int): Pieces read so far."""
        return self.layers[0].length


def _with_room(buffer: Tensor | None, rows: Tensor, end: int) -> Tensor:
    """The buffer, or one of twice the room with the same content where it is full."""
    if buffer is not None and end <= buffer.shape[2]:
        return buffer
    n, n_heads, _, width = rows.shape
    larger = rows.new_zeros(n, n_heads, max(FIRST_ROOM, 2 * end), width)
    if buffer is not None:
        larger[:, :, : buffer.shape[2]] = buffer
    return larger
