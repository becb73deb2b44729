"""A shard in, what became of it out: a worker of an engine that has no view of its processes.

The annotator lives in a process of its own here, too, below the one that the engine knows. So what
a document can do to a worker costs what it costs in a local run, and is found by the same means: a
process that is killed by a document, or must be killed because it takes too long, is replaced, and
the engine's own process, with what it knows of the shard, goes on. If that one is killed, its child
ends with it, and the engine gives the shard to another, which makes the same file of it.
"""

import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ...errors import Errors
from ...files import is_full
from ...weights.checksum import sha256_of
from ..annotator import AnnotatorSettings
from ..reading.shards import Shard
from ..running.crew import Crew
from ..running.dispatch import Dispatch
from ..running.journal import Done
from ..running.manifest import changes_between, describe
from ..running.worker import DONE, FAILED, FULL, WorkerSettings

# Kinds of outcomes beside those of a worker: the run is over, or the corpus is read to its end.
STOPPED, READ = "stopped", "read"
MOST_NAMED = 3
# Of the same shard, when the process that has it ends. A machine that is taken away counts, too.
MOST_TRIES = 10


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a shard.

    kind (str): "done", "stopped", "full" (the disk) or "failed"; "read" comes of no shard, but when
        there are no more.
    value (str): Of a shard that is done, its line of the journal; of a failure, its message.
    worker (str): Who says so.
    n_bytes (int): Memory that the worker's processes hold.
    """

    kind: str
    value: str = ""
    worker: str = ""
    n_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class ShardSettings:
    """What a `ShardAnnotator` is made of.

    made_of (WorkerSettings): What its process is made of.
    seconds (float | None): Limit of a document.
    lease (str): A file that is there for as long as the run wants shards to be done.
    premises (Mapping): What `premises` gives where the run was started.
    """

    made_of: WorkerSettings
    seconds: float | None
    lease: str
    premises: Mapping[str, Any]


class ShardAnnotator:
    """Annotates shards, one at a time.

    settings (ShardSettings): What it is made of.
    """

    def __init__(self, settings: ShardSettings) -> None:
        self.settings = settings
        self._crew = _LoneCrew(settings.made_of, 1)
        self._lease = Path(settings.lease)
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._problem = self._look_around()

    def __call__(self, shard: Shard) -> Outcome:
        """Annotate a shard and put its file into its place.

        shard (Shard): The shard.
        RETURNS (Outcome): What became of it. Errors that are no document's are told, not raised.
        """
        if self._problem is not None:
            return self._outcome(FAILED, self._problem)
        if self._is_over():
            return self._outcome(STOPPED)
        tries = self._lease.with_name(f"tries-{shard.number}")
        kept = _Kept()
        dispatch = Dispatch(
            iter([shard]),
            self._crew,
            size=1,
            journal=kept,
            cut=self.settings.made_of.output.cut,
            seconds=self.settings.seconds,
            on_done=lambda done: None,
            on_look=lambda: None,
        )
        try:
            if _count(tries) > MOST_TRIES:
                problem = f"{MOST_TRIES} actors have ended at shard {shard.number}"
                raise ValueError(Errors.E879.format(problem=problem))
            dispatch.run(self._is_over)
            tries.unlink(missing_ok=True)
        except OSError as error:
            self._end_workers()
            return self._outcome(FULL, str(error))
        except ValueError as error:
            self._end_workers()
            return self._outcome(FAILED, str(error))
        if kept.done is None:
            self._end_workers()
            return self._outcome(STOPPED)
        return self._outcome(DONE, kept.done.to_json())

    def _is_over(self) -> bool:
        return not self._lease.exists()

    def _look_around(self) -> str | None:
        """What keeps this machine from doing as the one does where the run was started."""
        host = socket.gethostname()
        if self._is_over():
            return Errors.E874.format(host=host, folder=self._lease.parent)
        here = premises(self.settings.made_of.annotator)
        changes = list(changes_between(self.settings.premises, here))
        if changes:
            return Errors.E875.format(host=host, changes="; ".join(changes[:MOST_NAMED]))
        return None

    def _end_workers(self) -> None:
        for worker in list(self._crew.workers):
            self._crew.remove(worker)

    def _outcome(self, kind: str, value: str = "") -> Outcome:
        held = (worker.resident_bytes() or 0 for worker in self._crew.workers)
        return Outcome(kind, value, self._name, sum(held))


def premises(settings: AnnotatorSettings) -> dict[str, Any]:
    """Name what must be the same on all machines of a run, because each uses its own.

    settings (AnnotatorSettings): What annotators are made of.
    RETURNS (dict): Sections of values by name: checksums of the pipeline and of the code, versions
        of packages.
    """
    code = settings.code
    digest = sha256_of(Path(code)) if code is not None and Path(code).is_file() else None
    return describe(pipeline=Path(settings.pipeline), files=(), settings={"code": digest})


def _count(path: Path) -> int:
    """Add one to a number that outlives this process."""
    try:
        with path.open("ab") as file:
            file.write(b".")
            return file.tell()
    except OSError as error:
        if is_full(error):
            raise OSError(Errors.E843.format(problem=error)) from error
        raise


class _Kept:
    """Takes the place of the journal, which only the process that started the run writes."""

    def __init__(self) -> None:
        self.done: Done | None = None

    def add(self, done: Done) -> None:
        self.done = done


class _LoneCrew(Crew):
    """A crew below a process that is not the user's program."""

    def fill(self, wanted: int) -> None:
        with _no_program():
            super().fill(wanted)


@contextmanager
def _no_program() -> Iterator[None]:
    """A new process imports the program of the one that starts it. That of the engine would take
    seconds and a hundred megabytes, for nothing."""
    program = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = program
