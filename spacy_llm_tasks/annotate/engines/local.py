"""Processes of this machine: nothing to install or to start."""

from collections.abc import Callable

from ..running.crew import Crew
from ..running.dispatch import Dispatch
from ..running.worker import WorkerSettings
from .engine import Work


class LocalEngine:
    """See `Engine`.

    made_of (WorkerSettings): What each worker is made of.
    workers (int): How many there shall be.
    """

    def __init__(self, made_of: WorkerSettings, *, workers: int) -> None:
        self._workers = workers
        self._crew = Crew(made_of, workers)
        self._dispatch: Dispatch | None = None

    def __enter__(self) -> "LocalEngine":
        self._crew.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._crew.__exit__(*error)

    def prepare(self) -> None:
        self._crew.fill(self._workers)

    def run(self, work: Work, stop: Callable[[], bool]) -> bool:
        self._dispatch = Dispatch(
            work.shards(),
            self._crew,
            size=self._workers,
            journal=work.journal,
            cut=work.cut,
            seconds=work.seconds,
            on_done=work.on_done,
            on_look=work.on_look,
        )
        return self._dispatch.run(stop)

    def rows_in_hand(self) -> int:
        return 0 if self._dispatch is None else self._dispatch.rows_in_hand()

    def memory(self) -> list[int | None]:
        return [worker.resident_bytes() for worker in self._crew.workers]
