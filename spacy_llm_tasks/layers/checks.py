"""Checks of what a config hands to a head: strings, zeros, any names come through unchecked."""

from collections.abc import Sequence

from spacy.attrs import IDS

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


def attributes(name: str, values: Sequence[str]) -> None:
    """RAISES (ValueError): naming the setting, if one is no attribute that a token has."""
    unknown = [value for value in values if not value or str(value).upper() not in IDS]
    if unknown:
        known = ", ".join(key for key in IDS if key and "FLAG" not in key)
        expected = f"names of token attributes ({known})"
        raise ValueError(Errors.E425.format(name=name, expected=expected, found=unknown))
