"""Settings of objectives, checked by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import Errors


def check_number(
    objective: str, name: str, value: Any, *, above: float, most: float = float("inf")
) -> None:
    """Refuse what is no number above one bound and up to another.

    objective (str): The objective's name, for the message.
    name (str): The setting.
    value (Any): What was given.
    above (float): The lower bound, not allowed itself.
    most (float): The upper bound, allowed itself.
    RAISES (ValueError): It is something else.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not above < value <= most:
        limit = "" if most == float("inf") else f" and at most {most}"
        refuse(objective, name, value, f"a number above {above}{limit}")


def check_count(objective: str, name: str, value: Any) -> None:
    """Refuse what is no whole number of at least 1.

    objective (str): The objective's name, for the message.
    name (str): The setting.
    value (Any): What was given.
    RAISES (ValueError): It is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        refuse(objective, name, value, "a whole number of at least 1")


def check_choice(objective: str, name: str, value: Any, choices: Sequence[str]) -> None:
    """Refuse what is none of the choices.

    objective (str): The objective's name, for the message.
    name (str): The setting.
    value (Any): What was given.
    choices (Sequence[str]): What there is.
    RAISES (ValueError): It is something else.
    """
    if value not in choices:
        refuse(objective, name, value, "one of " + ", ".join(map(repr, choices)))


def refuse(objective: str, name: str, value: Any, expected: str) -> None:
    """RAISES (ValueError): Always: the setting is not what it must be."""
    raise ValueError(
        Errors.E730.format(objective=objective, name=name, found=value, expected=expected)
    )
