"""Who works on what: shards are read ahead, handed out, tried again, and noted when done."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ...errors import Errors
from ...files import is_full
from ..reading.shards import Cut, Shard, batches_of
from ..writing.faults import Fault
from ..writing.shard_summary import ShardSummary
from .beat import NOWHERE
from .crew import DIED, Crew, CrewWorker, Event
from .journal import Done
from .shard_file import Task
from .suspects import Suspects, limit_at
from .worker import DONE, FAILED, FULL, PROBED, READY

SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_TO_STOP = 10.0
# Workers that die before they have loaded the pipeline, without one that has.
MOST_FAILED_STARTS = 10


@dataclass(slots=True)
class _Open:
    """A shard that is read and not done."""

    shard: Shard
    batches: list[tuple[int, int]]
    suspects: Suspects | None = None

    def task(self) -> Task:
        options = self.suspects.options() if self.suspects is not None else {}
        return Task.of(self.shard, **options)


class Notes(Protocol):
    """What takes note of shards that are done, such as a `Journal`."""

    def add(self, done: Done) -> None: ...


class Dispatch:
    """Gets shards done.

    shards (Iterator[Shard]): The shards that are not done.
    crew (Crew): The workers.
    size (int): How many workers there shall be.
    journal (Notes): Takes what is done.
    cut (Cut): Where batches end.
    seconds (float | None): Limit of a document.
    on_done (Callable): Called with each shard that is done.
    on_look (Callable): Called several times a second.
    """

    def __init__(
        self,
        shards: Iterator[Shard],
        crew: Crew,
        *,
        size: int,
        journal: Notes,
        cut: Cut,
        seconds: float | None,
        on_done: Callable[[Done], None],
        on_look: Callable[[], None],
    ) -> None:
        self._shards = shards
        self._crew = crew
        self._size = size
        self._journal = journal
        self._cut = cut
        self._seconds = seconds
        self._on_done = on_done
        self._on_look = on_look
        self._waiting: deque[_Open] = deque()
        self._given: dict[CrewWorker, _Open] = {}
        self._failed_starts = 0
        self.is_read = False

    def rows_in_hand(self) -> int:
        """RETURNS (int): Rows that workers have behind them in shards that are not done."""
        return sum(worker.beat.get().rows_done for worker in self._given)

    def run(self, stop: Callable[[], bool]) -> bool:
        """Work until all is done, or to a good end for now.

        stop (Callable): Whether to stop. Workers may finish their shards then, within
            `SECONDS_TO_STOP`.
        RETURNS (bool): Whether all is done.
        RAISES (OSError): If the disk is full.
        RAISES (ValueError): If the pipeline cannot be loaded, or workers cannot work.
        """
        stopped_at: float | None = None
        while True:
            if stopped_at is None and stop():
                stopped_at = time.monotonic()
            if stopped_at is not None:
                late = time.monotonic() > stopped_at + SECONDS_TO_STOP
                if not self._given or late:
                    return False
            else:
                self._read_ahead()
                if self.is_read and not self._waiting and not self._given:
                    return True
                self._crew.fill(len(self._waiting) + len(self._given))
                self._hand_out()
            hurry = stopped_at is None and not self._has_enough()
            for event in self._crew.events(0.0 if hurry else self._patience()):
                self._handle(event, stopping=stopped_at is not None)
            self._watch()
            self._on_look()

    def _has_enough(self) -> bool:
        return self.is_read or len(self._waiting) > self._size

    def _patience(self) -> float:
        return min(SECONDS_BETWEEN_LOOKS, (self._seconds or 10.0) / 10)

    def _read_ahead(self) -> None:
        """Read one shard, if there are not enough for the workers to go on with: while it is read,
        nobody is heard."""
        if self._has_enough():
            return
        shard = next(self._shards, None)
        if shard is None:
            self.is_read = True
        else:
            self._waiting.append(_Open(shard, batches_of(shard.rows, self._cut)))

    def _hand_out(self) -> None:
        for worker in self._crew.workers:
            if worker.is_free and self._waiting:
                opened = self._waiting.popleft()
                self._given[worker] = opened
                worker.give(opened.task())

    def _handle(self, event: Event, *, stopping: bool) -> None:
        worker = event.worker
        if event.kind == READY:
            worker.is_ready = True
            self._failed_starts = 0
        elif event.kind == DONE:
            done, is_worn = event.value
            self._done(self._taken_from(worker), done)
            if is_worn:
                self._crew.remove(worker)
        elif event.kind == PROBED:
            opened = self._taken_from(worker)
            if opened.suspects is not None:
                opened.suspects.probed()
            self._waiting.appendleft(opened)
        elif event.kind == FULL:
            raise OSError(Errors.E843.format(problem=event.value))
        elif event.kind == FAILED:
            raise ValueError(Errors.E844.format(problem=event.value))
        elif event.kind == DIED and not stopping:
            self._died(worker, event.value)
        elif event.kind == DIED:
            self._given.pop(worker, None)

    def _taken_from(self, worker: CrewWorker) -> _Open:
        worker.task = None
        return self._given.pop(worker)

    def _done(self, opened: _Open, done: Done) -> None:
        bad = opened.shard.bad
        summary = ShardSummary.from_dict(done.summary)
        for row in bad:
            summary.add_bad(row)
        faults = [Fault.of_bad_row(row).to_dict() for row in bad if not row.left_out]
        done = replace(done, faults=[*faults, *done.faults], summary=summary.to_dict())
        note_done(self._journal, done)
        self._on_done(done)

    def _died(self, worker: CrewWorker, how: str) -> None:
        opened = self._given.pop(worker, None)
        if opened is not None:
            self._try_again(opened, worker, how=how)
        elif not worker.is_ready:
            self._failed_starts += 1
            if how.startswith("exit code") or self._failed_starts == MOST_FAILED_STARTS:
                raise ValueError(Errors.E845.format(how=how))

    def _try_again(self, opened: _Open, worker: CrewWorker, **cause: Any) -> None:
        if opened.suspects is None:
            opened.suspects = Suspects(opened.shard, self._cut)
        opened.suspects.died(worker.beat.get(), **cause)
        self._waiting.appendleft(opened)

    def _watch(self) -> None:
        """Kill workers that have been at a document for too long."""
        if self._seconds is None:
            return
        for worker, opened in list(self._given.items()):
            position, since = worker.position()
            if position.batch == NOWHERE:
                continue
            if since > limit_at(position, opened.batches, seconds=self._seconds):
                self._crew.remove(worker)
                del self._given[worker]
                if worker.beat.get().count == position.count:
                    self._try_again(opened, worker, seconds=self._seconds)
                else:  # it had just come through
                    self._waiting.appendleft(opened)


def note_done(journal: Notes, done: Done) -> None:
    """Take note of a shard that is done.

    journal (Notes): Where to.
    done (Done): The shard.
    RAISES (OSError): If the disk is full.
    """
    try:
        journal.add(done)
    except OSError as error:
        if is_full(error):
            raise OSError(Errors.E843.format(problem=error)) from error
        raise
