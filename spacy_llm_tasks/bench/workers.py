"""Work in processes of its own, done a turn at a time.

What one kind of work does to its process, to threads, allocator and kernels, then holds for no
other one. A worker waits on a pipe between its turns and uses no processor meanwhile.
"""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from ..errors import Errors

# Does so many repetitions. RETURNS (dict): What came of them, to be sent through a pipe.
Work = Callable[[int], dict[str, Any]]

SECONDS_TO_LEAVE = 5.0


@dataclass(frozen=True)
class Reading:
    """What a turn took.

    wall (float): Seconds.
    cpu (float): Seconds of the worker's process, all of its threads together.
    found (dict): What the work said.
    """

    wall: float
    cpu: float
    found: dict[str, Any]


class Worker:
    """A process that makes its work once and does it when told to. Leave it by `with`.

    name (str): For messages.
    make (Callable): A function of a module, called in the new process; RETURNS (Work).
    arguments: For `make`; they go through a pipe.
    RAISES (ValueError): The work could not be made.
    """

    def __init__(self, name: str, make: Callable[..., Work], *arguments: Any) -> None:
        self.name = name
        # A fork would inherit the parent's threads and kernels.
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, arguments))
        self._process.start()
        theirs.close()
        try:
            self._receive()
        except BaseException:
            self.close()
            raise

    def __call__(self, n: int) -> Reading:
        """Do a turn.

        n (int): Repetitions.
        RETURNS (Reading): What it took.
        RAISES (ValueError): It failed, or the process is gone.
        """
        try:
            self._pipe.send(n)
        except OSError:
            pass  # the process is gone; what it said last is still in the pipe
        return self._receive()

    def close(self) -> None:
        """End the process."""
        self._pipe.close()  # it ends when nobody is left to tell it anything
        self._process.join(SECONDS_TO_LEAVE)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        self.close()

    def _receive(self) -> Any:
        try:
            reading, problem = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join(SECONDS_TO_LEAVE)
            problem = f"it ended with code {self._process.exitcode}"
        if problem is not None:
            raise ValueError(Errors.E591.format(name=self.name, problem=problem))
        return reading


def _serve(pipe: Connection, make: Callable[..., Work], arguments: tuple[Any, ...]) -> None:
    """The other side: sends (reading, problem), first when the work is made."""
    try:
        work = make(*arguments)
        pipe.send((None, None))
        while True:
            n = pipe.recv()
            gc.collect()
            started, used = time.perf_counter(), time.process_time()
            found = work(n)
            wall, cpu = time.perf_counter() - started, time.process_time() - used
            pipe.send((Reading(wall, cpu, found), None))
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return
    except Exception as error:
        traceback.print_exc()
        pipe.send((None, f"{type(error).__name__}: {error}"))
