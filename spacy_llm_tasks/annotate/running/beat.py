"""Where a worker is, in memory that it shares with the run: readable when it hangs or has died."""

from dataclasses import dataclass
from typing import Any

FIELDS = 4
NOWHERE = -1


@dataclass(frozen=True, slots=True)
class Position:
    """Where a worker is.

    batch (int): Number of the batch in its shard; -1 outside of one.
    row (int): Number of the row in its shard, if rows go through one by one; otherwise -1.
    rows_done (int): Rows of the shard that it has behind it.
    count (int): Grows with every change.
    """

    batch: int
    row: int
    rows_done: int
    count: int


class Beat:
    """Written by one worker, read by the run.

    numbers (Array): Shared memory for `FIELDS` numbers of 64 bits.
    """

    def __init__(self, numbers: Any) -> None:
        self.numbers = numbers
        self._count = 0

    @classmethod
    def shared(cls, context: Any) -> "Beat":
        """RETURNS (Beat): A new one, to be handed to a process of a multiprocessing context."""
        return cls(context.RawArray("q", FIELDS))

    def set(self, *, batch: int = NOWHERE, row: int = NOWHERE, rows_done: int = 0) -> None:
        """Say where the worker is now."""
        self._count += 1
        # All at once: a process that is killed between two assignments would tell a mixture.
        self.numbers[:] = [batch, row, rows_done, self._count]

    def get(self) -> Position:
        """RETURNS (Position): Where the worker is."""
        batch, row, rows_done, count = self.numbers[:]
        return Position(batch, row, rows_done, count)
