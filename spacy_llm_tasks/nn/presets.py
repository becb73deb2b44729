"""Shapes of models to train from scratch: a kind, which is an arrangement, times a size.

    encoder   ModernBERT's (Warner et al. 2024, https://arxiv.org/abs/2412.13663): pre-norm, rotary
              positions, a gated feed-forward network, no biases
    decoder   GPT-2's (Radford et al. 2019): pre-norm, learned positions, GELU by tanh, biases
    seq2seq   BART's (Lewis et al. 2019, https://arxiv.org/abs/1910.13461): post-norm, learned
              positions counted from 2; encoder and decoder have the same shape

These are arrangements that other libraries know, so that what comes out of a training run can be
loaded there. None has dropout: a run that sees each text once or a few times does not need it, and
attention without it is faster.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..errors import Errors
from .config import TransformerConfig

HEAD_WIDTH = 64

# Size -> blocks and width; heads are HEAD_WIDTH wide.
PRESETS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "tiny": MappingProxyType({"depth": 4, "width": 128}),
        "mini": MappingProxyType({"depth": 4, "width": 256}),
        "small": MappingProxyType({"depth": 6, "width": 384}),
        "base": MappingProxyType({"depth": 12, "width": 768}),
    }
)
_KINDS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "encoder": MappingProxyType(
            {
                "positions": "rope",
                "rope_base": 10000.0,
                "norm_position": "pre",
                "first_norm": False,
                "final_norm": True,
                "embedding_norm": True,
                "activation": "geglu",
                "bias": False,
            }
        ),
        "decoder": MappingProxyType(
            {
                "positions": "learned",
                "norm_position": "pre",
                "final_norm": True,
                "embedding_norm": False,
                "activation": "gelu_tanh",
                "bias": True,
            }
        ),
        "seq2seq": MappingProxyType(
            {
                "positions": "learned",
                "position_offset": 2,
                "norm_position": "post",
                "final_norm": False,
                "embedding_norm": True,
                "activation": "gelu",
                "bias": True,
            }
        ),
    }
)
KINDS = tuple(_KINDS)


def preset(kind: str, size: str, *, n_pieces: int, **overrides: Any) -> TransformerConfig:
    """The config of a model to train from scratch.

    kind (str): "encoder", "decoder" or "seq2seq" (whose encoder and decoder share the config).
    size (str): "tiny", "mini", "small" or "base".
    n_pieces (int): Size of the sub-word vocabulary.
    overrides: Other settings of `TransformerConfig`, which replace those of the preset. Where the
        width is one of them, heads and feed-forward network follow it.
    RETURNS (TransformerConfig): The config.
    RAISES (ValueError): There is no such kind, size or setting, or a value is out of range.
    """
    if kind not in _KINDS or size not in PRESETS:
        known = {"kinds": ", ".join(KINDS), "sizes": ", ".join(PRESETS)}
        raise ValueError(Errors.E127.format(kind=kind, size=size, **known))
    settings = {
        "norm_eps": 1e-5,
        "dropout": 0.0,
        "attention_dropout": 0.0,
        **PRESETS[size],
        **_KINDS[kind],
        **overrides,
        "n_pieces": n_pieces,
    }
    width = settings["width"]
    if isinstance(width, int) and not isinstance(width, bool):  # the config refuses all others
        settings.setdefault("n_heads", max(1, width // HEAD_WIDTH))
        if settings["activation"] == "geglu":
            settings.setdefault("ffn_width", _gated_width(width))
    return TransformerConfig.from_dict(settings)


def _gated_width(width: int) -> int:
    """8/3 W, rounded up to what matrix products like."""
    step = 64 if width >= 256 else 8
    return -(-8 * width // 3 // step) * step
