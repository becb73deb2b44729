"""Conditions that an entry must meet to be found, as a query that the database answers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import Errors

Scalar = str | int | float | None
_INT64 = 2**63


@dataclass(frozen=True)
class Filters:
    """What an entry must have; every condition must hold.

    ents (Sequence): Entities that must be in it: a label, or a (label, text) pair where an empty
        label stands for any. Texts are compared without case.
    cats (Mapping[str, float]): Categories with the least score that each must have.
    meta (Mapping[str, Any]): The value that each key of the metadata must have, or a list of
        values of which it must have one. A key that holds a list has each value in it.
    ranges (Mapping[str, tuple]): The lowest and the highest value of a key of the metadata, both
        included; None leaves an end open.
    docs (Sequence[str]): Ids of the documents to search in; None: all.
    """

    ents: Sequence[str | tuple[str, str]] = ()
    cats: Mapping[str, float] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    ranges: Mapping[str, tuple[Scalar, Scalar]] = field(default_factory=dict)
    docs: Sequence[str] | None = None

    def where(self) -> tuple[str, list[Scalar]]:
        """Write the conditions in SQL, over the table `entries` of the store.

        RETURNS (tuple): What follows WHERE ("" without conditions) and its parameters. What the
            user gave is only ever a parameter.
        RAISES (ValueError): If a condition is not of the form above.
        """
        parts: list[str] = []
        values: list[Scalar] = []

        def need(table: str, condition: str, *parameters: Scalar) -> None:
            parts.append(f"entries.key IN (SELECT key FROM {table} WHERE {condition})")
            values.extend(parameters)

        for ent in _sequence("ents", self.ents):
            label, text = (ent, None) if isinstance(ent, str) else _pair("ents", ent)
            if text is None:
                need("ents", "label = ?", label)
            elif label:
                need("ents", "label = ? AND folded = ?", label, folded(text))
            else:
                need("ents", "folded = ?", folded(text))
        for label, least in self.cats.items():
            need("cats", "label = ? AND score >= ?", label, _number(f"cats[{label!r}]", least))
        for name, wanted in self.meta.items():
            several = isinstance(wanted, (list, tuple, set, frozenset))
            choices = [scalar(value) for value in (wanted if several else [wanted])]
            condition = " OR ".join(["value IS ?"] * len(choices)) or "0"
            need("meta", f"name = ? AND ({condition})", name, *choices)
        for name, limits in self.ranges.items():
            low, high = (scalar(value) for value in _pair("ranges", limits))
            # Numbers and texts are not compared: SQLite holds every text to be greater.
            for sign, limit in ((">=", low), ("<=", high)):
                if limit is not None:
                    kind = "= 'text'" if isinstance(limit, str) else "IN ('integer', 'real')"
                    condition = f"name = ? AND value {sign} ? AND typeof(value) {kind}"
                    need("meta", condition, name, limit)
        if self.docs is not None:
            # As one parameter: their number is limited.
            parts.append("entries.doc_id IN (SELECT value FROM json_each(?))")
            values.append(json.dumps([str(name) for name in _sequence("docs", self.docs)]))
        return " AND ".join(parts), values


def folded(text: str) -> str:
    """The form in which texts of entities are compared: no case, single spaces."""
    return " ".join(text.split()).casefold()


def scalar(value: Any) -> Scalar:
    """A value of metadata as the database compares it: True is 1, as in Python.

    RAISES (ValueError): If the value is not a text, a number, a truth value or None.
    """
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value if -_INT64 <= value < _INT64 else float(value)
    if value is None or isinstance(value, (str, float)):
        return value
    raise ValueError(Errors.E612.format(name="A value", expected="a text or number", found=value))


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(Errors.E612.format(name=name, expected="a number", found=value)) from None


def _sequence(name: str, value: Any) -> Sequence[Any]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(Errors.E612.format(name=name, expected="a list", found=value))
    return value


def _pair(name: str, value: Any) -> Sequence[Any]:
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != 2:
        raise ValueError(Errors.E612.format(name=name, expected="a list of pairs", found=value))
    return value
