"""How far a run is, how fast it goes, and how much memory its processes hold meanwhile."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .memory import resident_bytes

# Shares of a run's rows at which the summary shows memory.
SHARES = (0.1, 0.5, 1.0)
MOST_SAMPLES = 512


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    rows (int): Documents that are annotated or have failed, those of earlier sessions too.
    errors (int): How many of them have failed.
    total (int | None): About how many there are; None if that is not known.
    seconds (float): Since this session began to work.
    rows_per_second (float): Of this session.
    """

    rows: int
    errors: int
    total: int | None
    seconds: float
    rows_per_second: float

    @property
    def seconds_left(self) -> float | None:
        """RETURNS (float | None): How long it will take at this speed."""
        if self.total is None or not self.rows_per_second:
            return None
        return max(0, self.total - self.rows) / self.rows_per_second


class Meter:
    """Counts what gets done.

    rows (int): What earlier sessions have done.
    errors (int): How many of these rows have failed.
    clock (Callable): Seconds, growing.
    """

    def __init__(
        self, *, rows: int, errors: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._before = rows
        self.rows = rows
        self.errors = errors
        self.tokens = 0
        self._clock = clock
        self._started = clock()
        self._samples: list[dict[str, Any]] = []
        self._step, self._calls = 1, 0

    def start(self) -> None:
        """Say that the session begins to work now."""
        self._started = self._clock()

    @property
    def seconds(self) -> float:
        """RETURNS (float): Since the session began to work."""
        return self._clock() - self._started

    @property
    def session_rows(self) -> int:
        """RETURNS (int): Rows of this session."""
        return self.rows - self._before

    def add(self, *, rows: int, errors: int, tokens: int, workers: Sequence[int | None]) -> None:
        """Take note of a shard that is done.

        rows (int): Its rows, those that failed too.
        errors (int): How many of them failed.
        tokens (int): Tokens of the others.
        workers (Sequence[int | None]): Memory of each worker, in bytes.
        """
        self.rows += rows
        self.errors += errors
        self.tokens += tokens
        self._calls += 1
        sample = {
            "rows": self.rows,
            "parent": resident_bytes(),
            "workers": [found for found in workers if found is not None],
        }
        # The last sample is always kept, of the others every n-th: memory is not to grow with the
        # corpus while one looks whether it does.
        if self._samples and (self._calls - 1) % self._step:
            self._samples.pop()
        self._samples.append(sample)
        if len(self._samples) > MOST_SAMPLES:
            self._samples = self._samples[::2]
            self._step *= 2

    def memory(self) -> list[dict[str, Any]]:
        """RETURNS (list[dict]): `share` of this session's rows, `rows`, and bytes of the `parent`
        and of the `workers` at that time; empty where the system does not tell."""
        known = [sample for sample in self._samples if sample["parent"] is not None]
        found = []
        for share in SHARES if known else ():
            at = self._before + share * self.session_rows
            nearest = min(known, key=lambda sample: abs(sample["rows"] - at))
            found.append({"share": share, **nearest})
        return found

    def progress(self, *, in_hand: int, total: int | None) -> Progress:
        """RETURNS (Progress): How far the run is, with rows of shards that are not done yet."""
        seconds = self.seconds
        rate = (self.session_rows + in_hand) / seconds if seconds > 0 else 0.0
        return Progress(self.rows + in_hand, self.errors, total, seconds, rate)
