"""Ray: a pool of actors on this machine or on a cluster, with the same outputs and the same resume.

The pipeline, the output folder and the code, if any, must be there under the same path on every
machine, so they lie on a file system that all share; the inputs are read only where the run is
started. To work on a cluster:

    ray start --head --port 6379                          # on one machine
    ray start --address HOST:6379                         # on each of the others
    spacy-llm-tasks annotate PIPELINE INPUTS --output DIR --workers 32 --threads 4 \\
        --engine ray --ray-address HOST:6379              # on any of them

with `RAY_AUTH_MODE=token` and the same `~/.ray/auth_token` on all of them. A machine that would use
another pipeline or other versions of packages is refused by name. Files are the same bytes on
machines of one kind; on different processors the last bits of scores may differ.

A cluster's memory monitor ends whole actors, and a document that needs too much memory is then not
found: its shard is tried several times, and the run ends with an error.
`RAY_memory_monitor_refresh_ms=0` before `ray start` leaves that to the system, as it is in a Ray
that is started for a run.
"""

import os
import queue
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ...errors import Errors
from ..running.dispatch import SECONDS_BETWEEN_LOOKS, SECONDS_TO_STOP, note_done
from ..running.journal import Done
from ..running.worker import DONE, FAILED, FULL, WorkerSettings
from .engine import EngineSettings, Work
from .ray_session import bytes_ahead, ray_session
from .shard_annotator import READ, STOPPED, Outcome, ShardSettings, premises

# Beyond what workers need to stop: outcomes of shards that were waiting come through one by one.
SECONDS_TO_COME_HOME = 30.0

_News = queue.SimpleQueue[Outcome | BaseException | None]


class RayEngine:
    """See `Engine`.

    engine (EngineSettings): Where it works.
    made_of (WorkerSettings): What each worker is made of.
    workers (int): How many there shall be.
    """

    def __init__(self, engine: EngineSettings, made_of: WorkerSettings, *, workers: int) -> None:
        self._engine = engine
        self._made_of = _everywhere(made_of)
        self._workers = workers
        self._memory: dict[str, int] = {}

    def __enter__(self) -> "RayEngine":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def prepare(self) -> None:
        pass

    def run(self, work: Work, stop: Callable[[], bool]) -> bool:
        if next(work.shards(), None) is None:
            return True  # no cluster need be started for that
        work.ids.commit()  # another process is to read it
        threads = self._made_of.annotator.threads
        with _lease(Path(self._made_of.output.temporary)) as lease:
            settings = ShardSettings(
                made_of=self._made_of,
                seconds=work.seconds,
                lease=str(lease),
                premises=premises(self._made_of.annotator),
            )
            with ray_session(
                self._engine.ray_address,
                cpus=self._workers * threads,
                gpus=self._workers * (self._engine.gpus_per_worker or 0),
                object_store=2 * bytes_ahead(work.cut, workers=self._workers),
            ):
                return self._follow(work, settings, lease, stop)

    def rows_in_hand(self) -> int:
        return 0  # actors tell of a shard when it is done

    def memory(self) -> list[int | None]:
        found: list[int | None] = [*self._memory.values()]
        return found[-self._workers :]

    def _follow(
        self, work: Work, settings: ShardSettings, lease: Path, stop: Callable[[], bool]
    ) -> bool:
        """Take note of what comes back, until nothing more does."""
        until: float | None = None
        is_read, problem = False, None
        news = self._listen(work, settings)
        while True:
            if until is None and (problem is not None or stop()):
                lease.unlink(missing_ok=True)
                until = time.monotonic() + SECONDS_TO_STOP + SECONDS_TO_COME_HOME
            try:
                found = news.get(timeout=SECONDS_BETWEEN_LOOKS)
            except queue.Empty:
                if until is not None and time.monotonic() > until:
                    break
            else:
                if isinstance(found, BaseException):
                    problem = problem or found
                if not isinstance(found, Outcome):
                    break
                is_read = is_read or found.kind == READ
                if until is None:
                    problem = problem or self._problem_of(found, lease)
                if found.kind == DONE:
                    self._done(found, work)
            work.on_look()
        if problem is None and until is None and not is_read:
            problem = _gone(lease)
        if problem is not None:
            raise problem
        return until is None

    def _listen(self, work: Work, settings: ShardSettings) -> "_News":
        """Have the dataset worked through, and what comes of it put into a queue."""
        from ray.exceptions import RayError, RayTaskError

        from .ray_data import Source, dataset_of, outcomes_of

        source = Source(
            files=tuple(replace(file, path=os.path.abspath(file.path)) for file in work.files),
            read=work.read,
            cut=work.cut,
            done=work.journal.end_of,
            ids=os.path.abspath(work.ids.path),
            duplicate_ids=work.ids.policy,
            lease=settings.lease,
        )
        gpus = self._engine.gpus_per_worker
        dataset = dataset_of(source, settings, workers=self._workers, gpus=gpus)
        news: _News = queue.SimpleQueue()

        def listen() -> None:
            try:
                for outcome in outcomes_of(dataset):
                    news.put(outcome)
                news.put(None)
            except RayTaskError as error:  # a mistake of ours
                news.put(error)
            except RayError as error:
                news.put(ValueError(Errors.E879.format(problem=_first_line(error))))
            except BaseException as error:
                news.put(error)

        threading.Thread(target=listen, name="outcomes", daemon=True).start()
        return news

    def _problem_of(self, outcome: Outcome, lease: Path) -> Exception | None:
        """What ends the run; None if nothing does."""
        if outcome.kind == FULL:
            return OSError(outcome.value)
        if outcome.kind == FAILED:
            return ValueError(outcome.value)
        return _gone(lease) if outcome.kind == STOPPED else None

    def _done(self, outcome: Outcome, work: Work) -> None:
        done = Done.from_json(outcome.value)
        # Behind the others: actors that have not been heard of for long have been replaced.
        self._memory.pop(outcome.worker, None)
        self._memory[outcome.worker] = outcome.n_bytes
        if work.journal.end_of(done.number) is None:
            note_done(work.journal, done)
            work.on_done(done)


def _everywhere(made_of: WorkerSettings) -> WorkerSettings:
    """The same with absolute paths: actors work in other folders."""
    code, output = made_of.annotator.code, made_of.output
    entries = output.entries
    return WorkerSettings(
        annotator=replace(made_of.annotator, code=None if code is None else os.path.abspath(code)),
        output=replace(
            output,
            folder=os.path.abspath(output.folder),
            temporary=os.path.abspath(output.temporary),
            entries=None if entries is None else os.path.abspath(entries),
        ),
    )


@contextmanager
def _lease(folder: Path) -> Iterator[Path]:
    """A file that tells workers that the run wants shards to be done. One that is left behind by a
    run that was killed is removed by the next, and the last of its workers give up."""
    path = folder / f"run-{secrets.token_hex(8)}"
    path.touch()
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _gone(lease: Path) -> ValueError:
    return ValueError(Errors.E874.format(host=socket.gethostname(), folder=lease.parent))


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
