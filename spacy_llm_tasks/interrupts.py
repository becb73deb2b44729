"""Let a signal stop the training between two steps instead of inside one."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class TrainingStopped(Exception):
    """Training ended by a signal, with its state saved.

    signum (int): The signal.
    step (int): The last step that was done.
    """

    def __init__(self, signum: int, step: int) -> None:
        super().__init__(f"{signal.Signals(signum).name} after step {step}")
        self.signum = signum
        self.step = step


class StopSignals:
    """While entered, the first SIGINT or SIGTERM is noted, a second one acts as it always does."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        # Python delivers signals to the main thread only, and lets no other one ask for them.
        if threading.current_thread() is threading.main_thread():
            for signum in self.SIGNALS:
                self._before[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._give_back()

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.received = signum
        self._give_back()

    def _give_back(self) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self._before.clear()
