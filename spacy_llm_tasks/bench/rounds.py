"""Timing things against each other on a machine that drifts: turn about, all of them each round."""

import gc
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

Key = TypeVar("Key")


def take_turns(
    tasks: Mapping[Key, Callable[[int], None]], *, rounds: int
) -> dict[Key, tuple[list[float], list[float]]]:
    """Time tasks in interleaved rounds.

    tasks (Mapping[Key, Callable]): Each takes the number of the round.
    rounds (int): How often each is done.
    RETURNS (dict[Key, tuple[list[float], list[float]]]): Wall and process-CPU seconds of the rounds
        of each.
    """
    seconds: dict[Key, tuple[list[float], list[float]]] = {key: ([], []) for key in tasks}
    for number in range(rounds):
        # Who goes first changes, so that a drift of the machine favours nobody.
        for key in list(tasks) if number % 2 == 0 else list(tasks)[::-1]:
            gc.collect()
            started, used = time.perf_counter(), time.process_time()
            tasks[key](number)
            wall, cpu = seconds[key]
            cpu.append(time.process_time() - used)
            wall.append(time.perf_counter() - started)
    return seconds
