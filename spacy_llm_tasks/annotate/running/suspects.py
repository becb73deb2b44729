"""Which document of a shard kills workers, found by where they were when they died.

A worker may be killed from outside, so one death proves nothing: the shard is tried again. If a
worker dies in the same batch once more, that batch is probed, its documents one by one. A document
on which two workers die there is left out; if none does, the shard is tried as it is again, and
should the batch kill then too, its documents go one by one. What comes out does not depend on the
deaths, only on the documents that are left out, and on the batches that must go one by one.

A document that takes too long proves it at once, as does a batch of one.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ...errors import Errors
from ..reading.shards import Cut, Shard, batches_of
from ..writing.faults import Fault
from .beat import NOWHERE, Position

DEATHS_OF_A_ROW = 2
# So many deaths outside of any document are no accident.
DEATHS_OUTSIDE = 5


class Suspects:
    """What is known of a shard in which a worker has died.

    shard (Shard): The shard.
    cut (Cut): Where its batches end.
    """

    def __init__(self, shard: Shard, cut: Cut) -> None:
        self.shard = shard
        self.faults: dict[int, Fault] = {}
        self.alone: set[int] = set()
        self.probe: int | None = None
        self._batches = batches_of(shard.rows, cut)
        self._deaths: Counter[int] = Counter()
        self._row_deaths: Counter[int] = Counter()
        self._outside = 0
        self._found = False
        self._is_slow = False

    def options(self) -> dict[str, Any]:
        """RETURNS (dict): How the shard is to be tried next, for `Task.of`."""
        return {
            "probe": self.probe,
            "alone": frozenset(self.alone),
            "faults": dict(self.faults),
        }

    def died(self, position: Position, *, seconds: float | None = None, how: str = "") -> None:
        """A worker has died on the shard, or was killed because it took too long.

        position (Position): Where it was.
        seconds (float | None): The limit that it went over.
        how (str): How it ended otherwise, such as "signal 11".
        RAISES (ValueError): If workers die on the shard, but not on a document of it.
        """
        if position.batch == NOWHERE:
            self._outside += 1
            if self._outside == DEATHS_OUTSIDE:
                raise ValueError(Errors.E846.format(number=self.shard.number, n=DEATHS_OUTSIDE))
            return
        batch, row = position.batch, position.row
        first, end = self._batches[batch]
        rows = [i for i in range(first, end) if i not in self.faults]
        if row == NOWHERE and len(rows) == 1:
            row = rows[0]
        if row != NOWHERE:
            self._row_deaths[row] += 1
            if seconds is not None or self._row_deaths[row] == DEATHS_OF_A_ROW:
                self._leave_out(row, seconds, how)
        else:
            self._deaths[batch] += 1
            if self._deaths[batch] > 2:
                self.alone.add(batch)
            elif seconds is not None or self._deaths[batch] == 2:
                self.probe = batch
                self._is_slow = seconds is not None

    def probed(self) -> None:
        """A worker has come through the batch that was probed, without the documents left out."""
        if self.probe is None:
            return
        if self._found:
            self._deaths[self.probe] = 0
        elif self._is_slow:  # as a whole, and would be again
            self.alone.add(self.probe)
        self.probe, self._found = None, False

    def _leave_out(self, row: int, seconds: float | None, how: str) -> None:
        suspect = self.shard.rows[row]
        if seconds is not None:
            message = f"more than {seconds:g} seconds"
            self.faults[row] = Fault.of(suspect, "worker", "too slow", message)
        else:
            self.faults[row] = Fault.of(suspect, "worker", "died", f"the process ended by {how}")
        self._found = True


def limit_at(position: Position, batches: Sequence[tuple[int, int]], *, seconds: float) -> float:
    """How long a worker may be where it is.

    position (Position): Where it is: in a batch.
    batches (Sequence[tuple[int, int]]): First row and last row + 1 of each batch.
    seconds (float): The limit of a document.
    RETURNS (float): Of a document alone, that limit. Of a batch, a tenth of it for each document,
        but no less than the limit itself: it is there for documents out of the ordinary, and the
        ordinary ones are taken to be far from it. Where that is wrong, the documents of a batch
        that was stopped are still judged one by one.
    """
    if position.row != NOWHERE:
        return seconds
    first, end = batches[position.batch]
    return seconds * max(1.0, (end - first) / 10)
