"""The encoders that we read and write.

ModernBERT (see `modernbert`), and four older families, which differ in names more than in
arithmetic: all are post-norm encoders with learned positions.

    bert        Devlin et al. 2019, https://arxiv.org/abs/1810.04805 (MiniLM is one)
    roberta     Liu et al. 2019, https://arxiv.org/abs/1907.11692: positions are counted from the
                padding id + 1, so the first rows of the position table are never used
    electra     Clark et al. 2020, https://arxiv.org/abs/2003.10555: embeddings may be narrower
                than the blocks and are widened by `embeddings_project`
    distilbert  Sanh et al. 2019, https://arxiv.org/abs/1910.01108: no segments, its own names
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..errors import Errors
from ..nn.config import TransformerConfig
from .family import Family, HeadLayout
from .modernbert import MODERNBERT
from .rules import TIED, Rules

# What the four older families have in common, in the words of our config.
POST_NORM: Mapping[str, Any] = MappingProxyType(
    {
        "positions": "learned",
        "norm": "layer",
        "norm_position": "post",
        "bias": True,
        "embedding_norm": True,
        "final_norm": False,
    }
)
_RULES = Rules(fixed={"position_embedding_type": "absolute", "is_decoder": False})

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
    common=POST_NORM,
    settings=_SETTINGS,
    defaults=_DEFAULTS,
    outside=_OUTSIDE,
    block="encoder.layer.{i}",
    inside=_INSIDE,
    rules=_RULES,
    head=HeadLayout(
        architecture="BertForMaskedLM",
        modules={
            "dense": "cls.predictions.transform.dense",
            "norm": "cls.predictions.transform.LayerNorm",
        },
        bias="cls.predictions.bias",
        rules=Rules(fixed=TIED),
    ),
)
ROBERTA = Family(
    name="roberta",
    architecture="RobertaModel",
    prefix="roberta.",
    common=POST_NORM,
    settings=_SETTINGS,
    defaults={**_DEFAULTS, "vocab_size": 50265, "pad_token_id": 1},
    outside=_OUTSIDE,
    block="encoder.layer.{i}",
    inside=_INSIDE,
    rules=_RULES,
    counts_from_padding=True,
    head=HeadLayout(
        architecture="RobertaForMaskedLM",
        modules={"dense": "lm_head.dense", "norm": "lm_head.layer_norm"},
        bias="lm_head.bias",
        rules=Rules(fixed={**TIED, "hidden_act": "gelu"}),  # that of its head is always GELU
    ),
)
ELECTRA = Family(
    name="electra",
    architecture="ElectraModel",
    prefix="electra.",
    common=POST_NORM,
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
    rules=_RULES,
    head=HeadLayout(
        architecture="ElectraForMaskedLM",
        modules={
            "dense": "generator_predictions.dense",
            "norm": "generator_predictions.LayerNorm",
        },
        bias="generator_lm_head.bias",
        rules=Rules(fixed={**TIED, "hidden_act": "gelu"}),  # that of its head is always GELU
    ),
)
DISTILBERT = Family(
    name="distilbert",
    architecture="DistilBertModel",
    prefix="distilbert.",
    common=POST_NORM,
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
    rules=_RULES,
    head=HeadLayout(
        architecture="DistilBertForMaskedLM",
        modules={"dense": "vocab_transform", "norm": "vocab_layer_norm"},
        bias="vocab_projector.bias",
        rules=Rules(fixed=TIED),
    ),
)

FAMILIES = MappingProxyType({f.name: f for f in (BERT, ROBERTA, ELECTRA, DISTILBERT, MODERNBERT)})


def family_for(config: TransformerConfig) -> str:
    """Choose the layout to write an encoder in.

    config (TransformerConfig): The encoder's shape.
    RETURNS (str): The first family that can express it.
    RAISES (ValueError): None can; what each of them lacks is named.
    """
    lost = {name: family.lost(config) for name, family in FAMILIES.items()}
    for name, settings in lost.items():
        if not settings:
            return name
    reasons = "; ".join(f"{name}: {', '.join(settings)}" for name, settings in lost.items())
    raise ValueError(Errors.E142.format(reasons=reasons))
