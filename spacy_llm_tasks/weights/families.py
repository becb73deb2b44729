"""The checkpoint families we read and write: how each names its settings and its parameters.

A published checkpoint is a folder with `config.json` and `model.safetensors`. Families differ in
names more than in arithmetic: all four here are post-norm encoders with learned positions.

    bert        Devlin et al. 2019, https://arxiv.org/abs/1810.04805 (MiniLM is one)
    roberta     Liu et al. 2019, https://arxiv.org/abs/1907.11692: positions are counted from the
                padding id + 1, so the first rows of the position table are never used
    electra     Clark et al. 2020, https://arxiv.org/abs/2003.10555: embeddings may be narrower
                than the blocks and are widened by `embeddings_project`
    distilbert  Sanh et al. 2019, https://arxiv.org/abs/1910.01108: no segments, its own names

One record per family, read in both directions. Our fused query-key-value layer stands for three of
theirs; a tuple of names means: put one under the other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from ..errors import Errors
from ..nn.config import TransformerConfig

Names = tuple[str, ...]

# What all families have in common, in the words of our config.
COMMON: Mapping[str, Any] = MappingProxyType(
    {
        "positions": "learned",
        "norm": "layer",
        "norm_position": "post",
        "bias": True,
        "embedding_norm": True,
        "final_norm": False,
    }
)
ACTIVATIONS = ("gelu", "relu")


@dataclass(frozen=True, kw_only=True)
class Family:
    """How one family spells a Transformer encoder.

    name (str): Its `model_type`.
    architecture (str): The class of its bare encoder.
    prefix (str): What its parameter names start with when the encoder is part of a larger model.
    settings (Mapping): Our setting -> its key in config.json.
    defaults (Mapping): What its keys mean where config.json leaves them out.
    outside (Mapping): Our modules outside the blocks -> its modules.
    block (str): Name of a block, with `{i}` for its number.
    inside (Mapping): Our modules inside a block -> its modules.
    counts_from_padding (bool): Whether position 0 is row pad_token_id + 1 of the position table.
    """

    name: str
    architecture: str
    prefix: str
    settings: Mapping[str, str]
    defaults: Mapping[str, Any]
    outside: Mapping[str, Names]
    block: str
    inside: Mapping[str, Names]
    counts_from_padding: bool = False

    def read_config(self, raw: Mapping[str, Any]) -> TransformerConfig:
        """Translate the content of config.json.

        raw (Mapping): Its keys and values; missing keys take the family's defaults.
        RETURNS (TransformerConfig): The same model in our words.
        RAISES (ValueError): The model does something we do not, or a value is out of range.
        """
        values = {**self.defaults, **{key: v for key, v in raw.items() if v is not None}}
        self._refuse_unsupported(values)
        ours = {name: values[key] for name, key in self.settings.items()}
        config = TransformerConfig(**COMMON, **ours)
        if not self.counts_from_padding:
            return config
        offset = config.pad_piece + 1
        return replace(config, position_offset=offset, max_length=config.max_length - offset)

    def write_config(self, config: TransformerConfig) -> dict[str, Any]:
        """Translate a config into the content of config.json.

        config (TransformerConfig): The model in our words.
        RETURNS (dict): Content of config.json.
        RAISES (ValueError): The family cannot express this model; the settings are named.
        """
        values = config.to_dict()
        values["max_length"] += config.position_offset
        raw = {key: values[name] for name, key in self.settings.items()}
        if lost := self._lost(config, raw):
            found = ", ".join(f"{name} = {getattr(config, name)!r}" for name in lost)
            raise ValueError(Errors.E122.format(family=self.name, found=found))
        header = {"architectures": [self.architecture], "model_type": self.name}
        return {**header, **raw, "torch_dtype": "float32"}

    def parameter_names(self, ours: str) -> Names:
        """The family's names of one of our parameters.

        ours (str): A name from the encoder's `state_dict`.
        RETURNS (tuple[str, ...]): Its name; three where ours holds queries, keys and values.
        """
        module, _, kind = ours.rpartition(".")
        if found := re.fullmatch(r"blocks\.(\d+)\.(.+)", module):
            block = self.block.format(i=found[1])
            return tuple(f"{block}.{name}.{kind}" for name in self.inside[found[2]])
        return tuple(f"{name}.{kind}" for name in self.outside[module])

    def _lost(self, config: TransformerConfig, raw: dict[str, Any]) -> list[str]:
        """The settings that reading `raw` back would not give, or that the family breaks on."""
        if config.activation not in ACTIVATIONS:
            return ["activation"]
        if "n_segments" in self.settings and config.n_segments == 0:
            return ["n_segments"]
        read = self.read_config(raw).to_dict()
        return [name for name, value in config.to_dict().items() if read[name] != value]

    def _refuse_unsupported(self, values: Mapping[str, Any]) -> None:
        key = self.settings["activation"]
        if values[key] not in ACTIVATIONS:
            expected = " or ".join(ACTIVATIONS)
            raise ValueError(Errors.E121.format(key=key, found=values[key], expected=expected))
        kind = values.get("position_embedding_type", "absolute")
        if kind != "absolute":
            key = "position_embedding_type"
            raise ValueError(Errors.E121.format(key=key, found=kind, expected="absolute"))
        if values.get("is_decoder"):
            raise ValueError(Errors.E121.format(key="is_decoder", found=True, expected="false"))


_SETTINGS = {
    "n_pieces": "vocab_size",
    "width": "hidden_size",
    "depth": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "ffn_width": "intermediate_size",
    "max_length": "max_position_embeddings",
    "n_segments": "type_vocab_size",
    "norm_eps": "layer_norm_eps",
    "activation": "hidden_act",
    "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
    "pad_piece": "pad_token_id",
    "init_std": "initializer_range",
}
_DEFAULTS = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "pad_token_id": 0,
    "initializer_range": 0.02,
}
_OUTSIDE = {
    "embeddings.pieces": ("embeddings.word_embeddings",),
    "embeddings.positions": ("embeddings.position_embeddings",),
    "embeddings.segments": ("embeddings.token_type_embeddings",),
    "embeddings.norm": ("embeddings.LayerNorm",),
}
_INSIDE = {
    "attention.qkv": (
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
    ),
    "attention.output": ("attention.output.dense",),
    "attention_norm": ("attention.output.LayerNorm",),
    "feedforward.up": ("intermediate.dense",),
    "feedforward.down": ("output.dense",),
    "feedforward_norm": ("output.LayerNorm",),
}

BERT = Family(
    name="bert",
    architecture="BertModel",
    prefix="bert.",
    settings=_SETTINGS,
    defaults=_DEFAULTS,
    outside=_OUTSIDE,
    block="encoder.layer.{i}",
    inside=_INSIDE,
)
ROBERTA = Family(
    name="roberta",
    architecture="RobertaModel",
    prefix="roberta.",
    settings=_SETTINGS,
    defaults={**_DEFAULTS, "vocab_size": 50265, "pad_token_id": 1},
    outside=_OUTSIDE,
    block="encoder.layer.{i}",
    inside=_INSIDE,
    counts_from_padding=True,
)
ELECTRA = Family(
    name="electra",
    architecture="ElectraModel",
    prefix="electra.",
    settings={**_SETTINGS, "embedding_width": "embedding_size"},
    defaults={
        **_DEFAULTS,
        "embedding_size": 128,
        "hidden_size": 256,
        "num_attention_heads": 4,
        "intermediate_size": 1024,
    },
    outside={**_OUTSIDE, "embeddings.project": ("embeddings_project",)},
    block="encoder.layer.{i}",
    inside=_INSIDE,
)
DISTILBERT = Family(
    name="distilbert",
    architecture="DistilBertModel",
    prefix="distilbert.",
    settings={
        "n_pieces": "vocab_size",
        "width": "dim",
        "depth": "n_layers",
        "n_heads": "n_heads",
        "ffn_width": "hidden_dim",
        "max_length": "max_position_embeddings",
        "activation": "activation",
        "dropout": "dropout",
        "attention_dropout": "attention_dropout",
        "pad_piece": "pad_token_id",
        "init_std": "initializer_range",
    },
    defaults={
        "vocab_size": 30522,
        "dim": 768,
        "n_layers": 6,
        "n_heads": 12,
        "hidden_dim": 3072,
        "max_position_embeddings": 512,
        "activation": "gelu",
        "dropout": 0.1,
        "attention_dropout": 0.1,
        "pad_token_id": 0,
        "initializer_range": 0.02,
    },
    outside={name: theirs for name, theirs in _OUTSIDE.items() if name != "embeddings.segments"},
    block="transformer.layer.{i}",
    inside={
        "attention.qkv": ("attention.q_lin", "attention.k_lin", "attention.v_lin"),
        "attention.output": ("attention.out_lin",),
        "attention_norm": ("sa_layer_norm",),
        "feedforward.up": ("ffn.lin1",),
        "feedforward.down": ("ffn.lin2",),
        "feedforward_norm": ("output_layer_norm",),
    },
)

FAMILIES = MappingProxyType({f.name: f for f in (BERT, ROBERTA, ELECTRA, DISTILBERT)})


def get_family(name: Any) -> Family:
    """Look a family up.

    name (Any): A `model_type`, as found in config.json.
    RETURNS (Family): Its record.
    RAISES (ValueError): No such family, with the known ones named.
    """
    if not isinstance(name, str) or name not in FAMILIES:
        raise ValueError(Errors.E120.format(found=name, known=", ".join(FAMILIES)))
    return FAMILIES[name]
