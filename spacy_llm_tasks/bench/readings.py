"""The readings of workers that take turns."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from .rounds import take_turns
from .workers import Reading

Key = TypeVar("Key")


def in_turns(
    turns: Mapping[Key, Callable[[], Reading]], *, rounds: int
) -> dict[Key, list[Reading]]:
    """Have workers do turns in interleaved rounds, and keep what they read off their own clocks.

    turns (Mapping[Key, Callable]): Does a turn of each.
    rounds (int): How often each is done.
    RETURNS (dict[Key, list[Reading]]): The readings of each, in order.
    """
    readings: dict[Key, list[Reading]] = {key: [] for key in turns}

    def take(key: Key, number: int) -> None:
        readings[key].append(turns[key]())

    take_turns({key: partial(take, key) for key in turns}, rounds=rounds)
    return readings
