"""The worker processes as the run sees them: started, given tasks, heard, watched and replaced."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any

from .beat import Beat, Position
from .memory import resident_bytes
from .shard_file import Task
from .worker import WorkerSettings, work

# What the libraries under torch, numpy and tokenizers read when they are loaded.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "RAYON_NUM_THREADS",
)
DIED = "died"
SECONDS_TO_END = 5.0


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a worker has done.

    worker (CrewWorker): The worker.
    kind (str): A kind of message of `worker`, or "died".
    value (Any): What the message holds; of a death, how the process ended.
    """

    worker: "CrewWorker"
    kind: str
    value: Any


class CrewWorker:
    """A worker process.

    settings (WorkerSettings): What it is made of.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        # Never a fork: a copy of torch's threads hangs.
        context = multiprocessing.get_context("spawn")
        self.beat = Beat.shared(context)
        self.connection, theirs = context.Pipe()
        self.is_ready = False
        self.task: Task | None = None
        self._seen = self.beat.get()
        self._since = time.monotonic()
        self.process = context.Process(
            target=work, args=(theirs, self.beat.numbers, settings), name="annotate", daemon=True
        )
        with _environment(settings.annotator.threads), _without_interrupts():
            self.process.start()
        # Ours would keep the pipe open after its death.
        theirs.close()

    @property
    def is_free(self) -> bool:
        """RETURNS (bool): Whether it waits for a task."""
        return self.is_ready and self.task is None

    def give(self, task: Task) -> None:
        """Send a task. That the worker has died meanwhile is told by its next event."""
        self.task = task
        self._since = time.monotonic()
        try:
            self.connection.send(task)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def position(self) -> tuple[Position, float]:
        """RETURNS (tuple[Position, float]): Where it is, and for how many seconds at least."""
        found, now = self.beat.get(), time.monotonic()
        if found.count != self._seen.count:
            self._seen, self._since = found, now
        return found, now - self._since

    def resident_bytes(self) -> int | None:
        """RETURNS (int | None): Its memory, see `memory`."""
        pid = self.process.pid
        return None if pid is None else resident_bytes(pid)

    def kill(self) -> None:
        """End it at once, wherever it is."""
        self.process.kill()
        self.process.join()
        self.connection.close()

    def how_it_ended(self) -> str:
        """RETURNS (str): By which signal or with which code."""
        self.process.join()
        code = self.process.exitcode or 0
        if code >= 0:
            return f"exit code {code}"
        try:
            return f"signal {-code} ({signal.Signals(-code).name})"
        except ValueError:
            return f"signal {-code}"


class Crew:
    """The workers of a run. Leaving it ends them.

    settings (WorkerSettings): What each is made of.
    size (int): How many there shall be.
    """

    def __init__(self, settings: WorkerSettings, size: int) -> None:
        self._settings = settings
        self._size = size
        self.workers: list[CrewWorker] = []

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._dismiss()
        for worker in self.workers:
            worker.kill()
        self.workers.clear()

    def fill(self, wanted: int) -> None:
        """Start workers until there are as many as could have something to do.

        wanted (int): Shards that are waiting or being worked on, so far as that is known.
        """
        while len(self.workers) < min(self._size, wanted):
            self.workers.append(CrewWorker(self._settings))

    def events(self, timeout: float) -> list[Event]:
        """Wait until workers have something to tell or die.

        timeout (float): Seconds to wait at most.
        RETURNS (list[Event]): What has happened. Workers that died are no longer in the crew.
        """
        by_signal: dict[Any, CrewWorker] = {}
        for worker in self.workers:
            by_signal[worker.connection] = worker
            by_signal[worker.process.sentinel] = worker
        if not by_signal:
            time.sleep(timeout)
            return []
        heard = {id(found): found for found in (by_signal[s] for s in wait([*by_signal], timeout))}
        events: list[Event] = []
        for worker in heard.values():
            events += self._heard(worker)
        return events

    def remove(self, worker: CrewWorker) -> None:
        """Kill a worker and forget it, unless it is gone already."""
        if worker in self.workers:
            worker.kill()
            self.workers.remove(worker)

    def _heard(self, worker: CrewWorker) -> Iterator[Event]:
        """What a worker has sent, also just before its death, and whether it has died."""
        try:
            while worker.connection.poll():
                kind, value = worker.connection.recv()
                yield Event(worker, kind, value)
        except (EOFError, OSError):
            pass
        if not worker.process.is_alive():
            how = worker.how_it_ended()
            self.remove(worker)
            yield Event(worker, DIED, how)

    def _dismiss(self) -> None:
        """Let workers end by themselves, so that what they have open is closed."""
        for worker in self.workers:
            try:
                worker.connection.send(None)
            except OSError:
                continue
        until = time.monotonic() + SECONDS_TO_END
        for worker in self.workers:
            worker.process.join(max(0.0, until - time.monotonic()))


def default_threads(workers: int) -> int:
    """RETURNS (int): Threads of each worker, so that all of them keep the machine's cores busy."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        cores = os.cpu_count() or 1
    return max(1, cores // workers)


@contextmanager
def _environment(threads: int) -> Iterator[None]:
    """A process takes its environment from its parent when it is started."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """A process also takes the blocked signals from its parent: a Ctrl-C while it is starting must
    not end it with a traceback. Ours is delivered afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
