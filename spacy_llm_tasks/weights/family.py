"""A family of checkpoints: how it names the settings and the parameters of one stack of blocks.

A published checkpoint is a folder with `config.json` and `model.safetensors`. Families differ in
names more than in arithmetic, so a family is a record, read in both directions: an encoder or a
decoder is one record, an encoder-decoder two.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from ..errors import Errors, Warnings
from ..nn.config import TransformerConfig
from .places import SAME, TRANSPOSED, Names, Place
from .rules import Rules

Values = dict[str, Any]
Found = TypeVar("Found")

# Their names of activations -> ours. Where two mean the same, the first is written.
PLAIN: Mapping[str, str] = MappingProxyType(
    {
        "gelu": "gelu",
        "relu": "relu",
        "gelu_new": "gelu_tanh",
        "gelu_pytorch_tanh": "gelu_tanh",
        "silu": "silu",
        "swish": "silu",
    }
)


class Boundaries(NamedTuple):
    """Ids of special pieces that a config.json passes on to those who generate text.

    start (int | None): Opens a text.
    end (int | None): Closes it.
    decoder_start (int | None): What the decoder of an encoder-decoder begins with.
    """

    start: int | None = None
    end: int | None = None
    decoder_start: int | None = None


@dataclass(frozen=True, kw_only=True)
class HeadLayout:
    """How a family spells the head that predicts pieces.

    architecture (str): The class of the model with this head.
    modules (Mapping): Our modules of the head -> its modules; empty: it has no transform.
    bias (str | None): Its name of the bias over the pieces; None: it has none.
    bias_form (str): "same" or "row" (see `places`).
    rules (Rules): What config.json must say for the head to be ours.
    """

    architecture: str
    modules: Mapping[str, str] = field(default_factory=dict)
    bias: str | None = None
    bias_form: str = SAME
    rules: Rules = field(default_factory=Rules)

    def place_of(self, ours: str) -> Place:
        """RETURNS (Place): Where a parameter of our head lies."""
        if ours == "bias" and self.bias is not None:
            return Place((self.bias,), self.bias_form)
        module, _, kind = ours.partition(".")
        return Place((f"{self.modules[module]}.{kind}",))


@dataclass(frozen=True, kw_only=True)
class Family:
    """How one family spells a Transformer.

    name (str): Its `model_type`.
    architecture (str): The class of the bare model.
    prefix (str): What its parameter names start with when it is part of a larger model.
    common (Mapping): Our settings that all members share.
    settings (Mapping): Our setting -> its key in config.json.
    defaults (Mapping): What its keys mean where config.json leaves them out.
    outside (Mapping): Our modules outside the blocks -> its modules.
    block (str): Name of a block, with `{i}` for its number.
    inside (Mapping): Our modules inside a block -> its modules.
    head (HeadLayout): Its head that predicts pieces.
    activations (Mapping): Its names of activations -> ours.
    rules (Rules): Values of its other keys that we support.
    simplify (Callable | None): Rewrites values of config.json into equal ones that keep the rules.
    scale_key (str | None): Key that says whether piece vectors are multiplied by sqrt(width).
    boundary_keys (Mapping): Key of config.json -> the special piece whose id it holds.
    counts_from_padding (bool): Whether position 0 is row pad_token_id + 1 of the position table.
    transposed (frozenset[str]): Our modules whose weight it stores as (in, out).
    constants (frozenset[str]): Names inside a block that are no parameters, in some files.
    """

    name: str
    architecture: str
    prefix: str
    common: Mapping[str, Any]
    settings: Mapping[str, str]
    defaults: Mapping[str, Any]
    outside: Mapping[str, Names]
    block: str
    inside: Mapping[str, Names]
    head: HeadLayout
    activations: Mapping[str, str] = field(default_factory=lambda: PLAIN)
    rules: Rules = field(default_factory=Rules)
    simplify: Callable[[Values], Values] | None = None
    scale_key: str | None = None
    boundary_keys: Mapping[str, str] = field(default_factory=dict)
    counts_from_padding: bool = False
    transposed: frozenset[str] = frozenset()
    constants: frozenset[str] = frozenset()

    def values_of(self, raw: Mapping[str, Any]) -> Values:
        """RETURNS (dict): The content of config.json with what its missing keys mean."""
        values = {**self.defaults, **{key: v for key, v in raw.items() if v is not None}}
        return values if self.simplify is None else self.simplify(values)

    def read_config(self, raw: Mapping[str, Any]) -> TransformerConfig:
        """Translate the content of config.json.

        raw (Mapping): Its keys and values; missing keys take the family's defaults.
        RETURNS (TransformerConfig): The same model in our words.
        RAISES (ValueError): The model does something we do not, or a value is out of range.
            Rates of dropout that we do not have are warned of.
        """
        values = self.values_of(raw)
        if broken := self.rules.broken(values):
            raise ValueError(broken.message())
        for rule in self.rules.inert(values):
            warnings.warn(Warnings.W141.format(**rule._asdict()), stacklevel=2)
        ours = {name: values[key] for name, key in self.settings.items()}
        ours["activation"] = self._activation(ours["activation"])
        config = TransformerConfig(**self.common, **ours)
        if self.scale_key is not None and values[self.scale_key]:
            config = replace(config, embedding_scale=math.sqrt(config.width))
        if not self.counts_from_padding:
            return config
        offset = config.pad_piece + 1
        return replace(config, position_offset=offset, max_length=config.max_length - offset)

    def write_config(self, config: TransformerConfig) -> Values:
        """Translate a config into the content of config.json.

        config (TransformerConfig): The model in our words.
        RETURNS (dict): Content of config.json.
        RAISES (ValueError): The family cannot express this model; the settings are named.
        """
        raw = self.settings_of(config)
        if lost := self.lost(config, raw):
            raise ValueError(Errors.E122.format(family=self.name, found=", ".join(lost)))
        return raw

    def settings_of(self, config: TransformerConfig) -> Values:
        """RETURNS (dict): Content of config.json that comes closest to a config."""
        values = self.fitted(config).to_dict()
        if self.counts_from_padding:
            values["max_length"] += config.position_offset
        theirs = {ours: name for name, ours in reversed(list(self.activations.items()))}
        values["activation"] = theirs.get(config.activation, next(iter(self.activations)))
        raw = {key: values[name] for name, key in self.settings.items()}
        if self.scale_key is not None:
            raw[self.scale_key] = config.embedding_scale is not None
        self.rules.complete(raw, self.defaults)
        return raw

    def lost(self, config: TransformerConfig, raw: Values | None = None) -> list[str]:
        """What a config.json does not say of a config.

        config (TransformerConfig): The model in our words.
        raw (dict | None): Content of config.json; None: that which comes closest.
        RETURNS (list[str]): "setting = value" for each setting that would not come back.
        """
        fitted = self.fitted(config)
        read = self.read_config(self.settings_of(config) if raw is None else raw).to_dict()
        return [f"{name} = {v!r}" for name, v in fitted.to_dict().items() if read[name] != v]

    def fitted(self, config: TransformerConfig) -> TransformerConfig:
        """RETURNS (TransformerConfig): The config with a segment table, if the family always has
        one: one row of zeros says the same as no table."""
        needs_segments = "n_segments" in self.settings and config.n_segments == 0
        return replace(config, n_segments=1) if needs_segments else config

    def place_of(self, ours: str) -> Place:
        """Where one of our parameters lies.

        ours (str): A name from a `state_dict`.
        RETURNS (Place): Its place; three names where ours holds queries, keys and values.
        RAISES (ValueError): The family has no such parameter.
        """
        module, _, kind = ours.rpartition(".")
        found = re.fullmatch(r"blocks\.(\d+)\.(.+)", module)
        theirs = self.inside.get(found[2]) if found else self.outside.get(module)
        if theirs is None:
            raise ValueError(Errors.E122.format(family=self.name, found=f"parameter {ours}"))
        if not found:
            return Place(tuple(f"{name}.{kind}" for name in theirs))
        block = self.block.format(i=found[1])
        is_turned = found[2] in self.transposed and kind == "weight"
        names = tuple(f"{block}.{name}.{kind}" for name in theirs)
        return Place(names, TRANSPOSED if is_turned else SAME)

    def is_block(self, name: str) -> bool:
        """RETURNS (bool): Whether a parameter of theirs, without prefix, belongs to a block."""
        before, _, after = self.block.partition("{i}")
        found = re.match(rf"{re.escape(before)}\d+{re.escape(after)}\.", name)
        return found is not None and name[found.end() :] not in self.constants

    def read_boundaries(self, raw: Mapping[str, Any]) -> Boundaries:
        """RETURNS (Boundaries): The ids that config.json gives, where they are single ids."""
        values = {**self.defaults, **raw}
        roles: dict[str, int] = {}
        for key, role in self.boundary_keys.items():
            value = values.get(key)
            if role in Boundaries._fields and type(value) is int:
                roles.setdefault(role, value)
        return Boundaries(**roles)

    def write_boundaries(self, boundaries: Boundaries) -> Values:
        """RETURNS (dict): All keys of special pieces; null says that an id is not known, because
        a missing key would be read as the id in the family's first vocabulary."""
        return {key: getattr(boundaries, role) for key, role in self.boundary_keys.items()}

    def _activation(self, found: Any) -> str:
        if not isinstance(found, str) or found not in self.activations:
            key, expected = self.settings["activation"], " or ".join(self.activations)
            raise ValueError(Errors.E121.format(key=key, found=found, expected=expected))
        return self.activations[found]


def get_family(name: Any, families: Mapping[str, Found], *, kind: str) -> Found:
    """Look a family up.

    name (Any): A `model_type`, as found in config.json.
    families (Mapping): Name -> record.
    kind (str): What they are, for the error.
    RETURNS (Any): The record.
    RAISES (ValueError): No such family, with the known ones named.
    """
    if not isinstance(name, str) or name not in families:
        raise ValueError(Errors.E120.format(kind=kind, found=name, known=", ".join(families)))
    return families[name]
