"""Checks of the numbers that a config hands to a head: strings and zeros come through unchecked."""

from ..errors import Errors


def at_least(name: str, value: object, least: int) -> None:
    """RAISES (ValueError): naming the setting, if it is no whole number or too small."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        expected = f"a whole number of at least {least}"
        raise ValueError(Errors.E425.format(name=name, expected=expected, found=value))


def rate(name: str, value: object) -> None:
    """RAISES (ValueError): naming the setting, if it is no number from 0 to below 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        expected = "a number from 0 to below 1"
        raise ValueError(Errors.E425.format(name=name, expected=expected, found=value))
