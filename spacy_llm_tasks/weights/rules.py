"""What a config.json must say so that our Transformer can be the model it describes.

Families have switches that we do not have. Each is listed with the one value that we support, and
every other value is refused under the switch's name: a setting that is passed over in silence gives
a model that computes something else. Rates of dropout are the exception: they change no prediction,
so that a model with others than ours can be used, and whoever loads it is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from ..errors import Errors

# Pieces are predicted with the table that embeds them.
TIED: Mapping[str, Any] = MappingProxyType({"tie_word_embeddings": True})


class Broken(NamedTuple):
    """A rule that a config.json does not keep.

    key (str): Its key.
    found (Any): The value there.
    expected (Any): The only value that we support.
    """

    key: str
    found: Any
    expected: Any

    def message(self) -> str:
        """RETURNS (str): The error."""
        return Errors.E121.format(**self._asdict())

    @property
    def is_inert(self) -> bool:
        """RETURNS (bool): Whether it matters in training only, as all rates of dropout do."""
        return "drop" in self.key


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The rules of one family.

    fixed (Mapping): Key -> the only value that we support.
    twins (Mapping): Key -> another key that must have the same value, where our config has one
        setting for both.
    """

    fixed: Mapping[str, Any] = field(default_factory=dict)
    twins: Mapping[str, str] = field(default_factory=dict)

    def broken(self, values: Mapping[str, Any]) -> Broken | None:
        """Look for a value that is not supported.

        values (Mapping): Content of config.json with the defaults of the family.
        RETURNS (Broken | None): The first rule that is not kept and decides predictions.
        """
        return next((rule for rule in self._not_kept(values) if not rule.is_inert), None)

    def inert(self, values: Mapping[str, Any]) -> list[Broken]:
        """Look for values that training with our model passes over.

        values (Mapping): Content of config.json with the defaults of the family.
        RETURNS (list[Broken]): The rules that are not kept, but decide no prediction.
        """
        return [rule for rule in self._not_kept(values) if rule.is_inert]

    def _not_kept(self, values: Mapping[str, Any]) -> Iterator[Broken]:
        for key, expected in self.fixed.items():
            if values.get(key, expected) != expected:
                yield Broken(key, values[key], expected)
        for key, other in self.twins.items():
            if key in values and values[key] != values[other]:
                yield Broken(key, values[key], values[other])

    def complete(self, raw: dict[str, Any], defaults: Mapping[str, Any]) -> None:
        """Add to a config.json what the rules ask for and the family would not assume.

        raw (dict): Content of config.json; keys that it has are left alone.
        defaults (Mapping): What missing keys mean.
        """
        for key, value in self.fixed.items():
            if defaults.get(key, value) != value:
                raw.setdefault(key, value)
        for key, other in self.twins.items():
            raw.setdefault(key, raw[other])
