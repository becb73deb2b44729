"""ModernBERT: a pre-norm encoder with rotary positions and a gated feed-forward network.

Warner et al. 2024, https://arxiv.org/abs/2412.13663. The embeddings are normalised, so that nothing
is normalised again before the first attention. We have it where all attention is global: in its
published weights two blocks of three see a window of the text only, and these are refused.

Its rate of dropout in the feed-forward network falls on the inner rows where ours falls on the
result; that matters in training only.
"""

from __future__ import annotations

from .family import Family, HeadLayout, Values
from .rules import TIED, Rules


def _with_global_attention(values: Values) -> Values:
    """Local attention that sees everything is global attention.

    In all blocks but every n-th a piece sees `local_attention` / 2 pieces to each side.
    """
    has_no_local_block = values["num_hidden_layers"] == 1
    reach = values["local_attention"] // 2
    sees_all = reach >= values["max_position_embeddings"] - 1
    turns_alike = values["local_rope_theta"] == values["global_rope_theta"]
    if has_no_local_block or (sees_all and turns_alike):
        return {**values, "global_attn_every_n_layers": 1}
    return values


MODERNBERT = Family(
    name="modernbert",
    architecture="ModernBertModel",
    prefix="model.",
    common={
        "positions": "rope",
        "norm": "layer",
        "norm_position": "pre",
        "first_norm": False,
        "embedding_norm": True,
        "final_norm": True,
    },
    settings={
        "n_pieces": "vocab_size",
        "width": "hidden_size",
        "depth": "num_hidden_layers",
        "n_heads": "num_attention_heads",
        "ffn_width": "intermediate_size",
        "max_length": "max_position_embeddings",
        "norm_eps": "norm_eps",
        "activation": "hidden_activation",
        "bias": "norm_bias",
        "dropout": "embedding_dropout",
        "attention_dropout": "attention_dropout",
        "rope_base": "global_rope_theta",
        "pad_piece": "pad_token_id",
        "init_std": "initializer_range",
    },
    defaults={
        "vocab_size": 50368,
        "hidden_size": 768,
        "num_hidden_layers": 22,
        "num_attention_heads": 12,
        "intermediate_size": 1152,
        "max_position_embeddings": 8192,
        "norm_eps": 1e-5,
        "hidden_activation": "gelu",
        "norm_bias": False,
        "attention_bias": False,
        "mlp_bias": False,
        "embedding_dropout": 0.0,
        "mlp_dropout": 0.0,
        "attention_dropout": 0.0,
        "global_rope_theta": 160000.0,
        "local_rope_theta": 10000.0,
        "local_attention": 128,
        "global_attn_every_n_layers": 3,
        "pad_token_id": 50283,
        "initializer_range": 0.02,
        "classifier_activation": "gelu",
        "classifier_bias": False,
        "decoder_bias": True,
        "bos_token_id": 50281,
        "eos_token_id": 50282,
    },
    outside={
        "embeddings.pieces": ("embeddings.tok_embeddings",),
        "embeddings.norm": ("embeddings.norm",),
        "final_norm": ("final_norm",),
    },
    block="layers.{i}",
    inside={
        "attention.qkv": ("attn.Wqkv",),
        "attention.output": ("attn.Wo",),
        "attention_norm": ("attn_norm",),
        "feedforward.up": ("mlp.Wi",),
        "feedforward.down": ("mlp.Wo",),
        "feedforward_norm": ("mlp_norm",),
    },
    activations={"gelu": "geglu", "silu": "swiglu"},
    rules=Rules(
        fixed={"global_attn_every_n_layers": 1, "rope_scaling": None},
        twins={
            "attention_bias": "norm_bias",
            "mlp_bias": "norm_bias",
            "mlp_dropout": "embedding_dropout",
        },
    ),
    simplify=_with_global_attention,
    boundary_keys={
        "bos_token_id": "start",
        "cls_token_id": "start",
        "eos_token_id": "end",
        "sep_token_id": "end",
    },
    head=HeadLayout(
        architecture="ModernBertForMaskedLM",
        modules={"dense": "head.dense", "norm": "head.norm"},
        bias="decoder.bias",
        rules=Rules(
            fixed={**TIED, "decoder_bias": True},
            twins={"classifier_activation": "hidden_activation", "classifier_bias": "norm_bias"},
        ),
    ),
)
