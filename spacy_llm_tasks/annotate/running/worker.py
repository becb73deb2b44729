"""The process that annotates: loads the pipeline once, then carries out tasks one by one."""

import os
import signal
import threading
import traceback
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from typing import Any

from ...files import is_full
from ..annotator import Annotator, AnnotatorSettings
from .beat import Beat
from .shard_file import OutputSettings, ShardWriter

# Kinds of messages to the run, each with a value.
READY, DONE, PROBED, FULL, FAILED = "ready", "done", "probed", "full", "failed"


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """What a worker is made of.

    annotator (AnnotatorSettings): The pipeline.
    output (OutputSettings): What it writes.
    """

    annotator: AnnotatorSettings
    output: OutputSettings


def work(connection: Connection, numbers: Any, settings: WorkerSettings) -> None:
    """The whole life of a worker process.

    connection (Connection): To the run: tasks come in, messages go out. None ends the process.
    numbers (Array): Shared memory of its `Beat`.
    settings (WorkerSettings): What it is made of.
    """
    # Ctrl-C goes to all processes of a terminal. The run decides what becomes of its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    beat = Beat(numbers)
    beat.set()
    try:
        writer = ShardWriter(Annotator(settings.annotator), settings.output, beat)
        writer.annotator.nlp  # noqa: B018  (loads the pipeline)
    except Exception as error:
        connection.send((FAILED, _told(error)))
        return
    connection.send((READY, None))
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        if task is None:
            return
        try:
            if task.probe is not None:
                writer.probe(task)
                connection.send((PROBED, task.number))
            else:
                done, is_worn = writer.write(task), writer.annotator.is_worn
                connection.send((DONE, (done, is_worn)))
                if is_worn:
                    return
        except Exception as error:
            connection.send((FULL, str(error)) if is_full(error) else (FAILED, _told(error)))
            return


def _leave_with_parent() -> None:
    """End with the run, however it ends: nobody would read what this process has to tell."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _told(error: BaseException) -> str:
    """An error that is no document's, with the place in the code, which is not in its message."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" ({os.path.basename(last[0].filename)}, line {last[0].lineno})" if last else ""
    return f"{type(error).__name__}: {error}{place}"
