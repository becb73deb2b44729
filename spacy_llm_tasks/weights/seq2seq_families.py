"""The encoder-decoders that we read and write.

    bart     Lewis et al. 2020, https://arxiv.org/abs/1910.13461: post-norm, learned positions that
             begin in row 2 of the table, a norm after the embeddings
    marian   Junczys-Dowmunt et al. 2018, https://arxiv.org/abs/1804.00344: the translation models;
             post-norm, sinusoidal positions, no norm after the embeddings

Both sides are described by one config.json, so a family is two records: settings that they share
must be equal in both, settings of their own have keys of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ..errors import Errors
from ..nn.config import TransformerConfig
from .family import Family, HeadLayout, Values
from .places import ROW, Names, Place
from .rules import TIED, Rules

PIECES = "embeddings.pieces.weight"


@dataclass(frozen=True, kw_only=True)
class Seq2SeqFamily:
    """How one family spells an encoder-decoder.

    name (str): Its `model_type`.
    encoder (Family): How it spells the encoder.
    decoder (Family): How it spells the decoder; its head is the model's.
    share_key (str | None): Key that says whether both sides have one piece table; None: always.
    """

    name: str
    encoder: Family
    decoder: Family
    share_key: str | None = None

    @property
    def sides(self) -> tuple[Family, Family]:
        """RETURNS (tuple[Family, Family]): Encoder and decoder."""
        return self.encoder, self.decoder

    def read_config(
        self, raw: Mapping[str, Any]
    ) -> tuple[TransformerConfig, TransformerConfig, bool]:
        """Translate the content of config.json.

        raw (Mapping): Its keys and values; missing keys take the family's defaults.
        RETURNS (tuple): The encoder's shape, the decoder's, and whether they share a piece table.
        RAISES (ValueError): The model does something we do not, or a value is out of range.
        """
        shared = self.share_key is None or bool(self.encoder.values_of(raw)[self.share_key])
        return self.encoder.read_config(raw), self.decoder.read_config(raw), shared

    def write_config(
        self, encoder: TransformerConfig, decoder: TransformerConfig, *, share: bool
    ) -> Values:
        """Translate two configs into the content of config.json.

        encoder (TransformerConfig): The encoder in our words.
        decoder (TransformerConfig): The decoder in our words.
        share (bool): Whether they have one piece table.
        RETURNS (dict): Content of config.json.
        RAISES (ValueError): The family cannot express this model; the settings are named.
        """
        raw = {**self.encoder.settings_of(encoder), **self.decoder.settings_of(decoder)}
        if self.share_key is not None:
            raw[self.share_key] = share
        lost = [f"encoder's {setting}" for setting in self.encoder.lost(encoder, raw)]
        lost += [f"decoder's {setting}" for setting in self.decoder.lost(decoder, raw)]
        if self.share_key is None and not share:
            lost.append("share_embeddings = False")
        if lost:
            raise ValueError(Errors.E122.format(family=self.name, found=", ".join(lost)))
        return {**raw, "is_encoder_decoder": True}

    def place_of(self, ours: str, *, share: bool) -> Place:
        """Where one of our parameters lies.

        ours (str): A name from the `state_dict` of an `EncoderDecoder`.
        share (bool): Whether both sides have one piece table.
        RETURNS (Place): Its place.
        """
        side, _, rest = ours.partition(".")
        if rest == PIECES and not share:
            return Place((f"{side}.embed_tokens.weight",))
        return (self.encoder if side == "encoder" else self.decoder).place_of(rest)


_ENCODER_INSIDE: dict[str, Names] = {
    "attention.qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attention.output": ("self_attn.out_proj",),
    "attention_norm": ("self_attn_layer_norm",),
    "feedforward.up": ("fc1",),
    "feedforward.down": ("fc2",),
    "feedforward_norm": ("final_layer_norm",),
}
_INSIDE = {
    "encoder": _ENCODER_INSIDE,
    "decoder": {
        **_ENCODER_INSIDE,
        "cross_attention.query": ("encoder_attn.q_proj",),
        "cross_attention.kv": ("encoder_attn.k_proj", "encoder_attn.v_proj"),
        "cross_attention.output": ("encoder_attn.out_proj",),
        "cross_attention_norm": ("encoder_attn_layer_norm",),
    },
}
_COMMON = {
    "norm": "layer",
    "norm_position": "post",
    "norm_eps": 1e-5,
    "bias": True,
    "final_norm": False,
}
_DEFAULTS = {
    "vocab_size": 50265,
    "d_model": 1024,
    "encoder_layers": 12,
    "decoder_layers": 12,
    "encoder_attention_heads": 16,
    "decoder_attention_heads": 16,
    "encoder_ffn_dim": 4096,
    "decoder_ffn_dim": 4096,
    "max_position_embeddings": 1024,
    "activation_function": "gelu",
    "dropout": 0.1,
    "attention_dropout": 0.0,
    "pad_token_id": 1,
    "init_std": 0.02,
    "scale_embedding": False,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
}
# Switches of the libraries that these models come from, which later ones read past.
_FIXED = {
    **TIED,
    "normalize_before": False,
    "add_final_layer_norm": False,
    "tie_encoder_decoder": False,
    "activation_dropout": 0.0,
    "encoder_layerdrop": 0.0,
    "decoder_layerdrop": 0.0,
}


def _settings(side: str) -> dict[str, str]:
    return {
        "n_pieces": "vocab_size",
        "width": "d_model",
        "depth": f"{side}_layers",
        "n_heads": f"{side}_attention_heads",
        "ffn_width": f"{side}_ffn_dim",
        "max_length": "max_position_embeddings",
        "activation": "activation_function",
        "dropout": "dropout",
        "attention_dropout": "attention_dropout",
        "pad_piece": "pad_token_id",
        "init_std": "init_std",
    }


def _bart(side: str) -> Family:
    return Family(
        name="bart",
        architecture="BartForConditionalGeneration",
        prefix="model.",
        common={**_COMMON, "positions": "learned", "position_offset": 2, "embedding_norm": True},
        settings=_settings(side),
        defaults=_DEFAULTS,
        outside={
            "embeddings.pieces": ("shared",),
            "embeddings.positions": (f"{side}.embed_positions",),
            "embeddings.norm": (f"{side}.layernorm_embedding",),
        },
        block=f"{side}.layers.{{i}}",
        inside=_INSIDE[side],
        rules=Rules(
            fixed={**_FIXED, "normalize_embedding": True, "static_position_embeddings": False}
        ),
        scale_key="scale_embedding",
        boundary_keys={
            "bos_token_id": "start",
            "eos_token_id": "end",
            "forced_eos_token_id": "end",
            "decoder_start_token_id": "decoder_start",
        },
        head=HeadLayout(
            architecture="BartForConditionalGeneration",
            bias="final_logits_bias",
            bias_form=ROW,
        ),
    )


def _marian(side: str) -> Family:
    return Family(
        name="marian",
        architecture="MarianMTModel",
        prefix="model.",
        common={
            **_COMMON,
            "positions": "sinusoidal",
            "sinusoidal_order": "halves",
            "embedding_norm": False,
        },
        settings=_settings(side),
        defaults={
            **_DEFAULTS,
            "vocab_size": 58101,
            "decoder_vocab_size": None,
            "pad_token_id": 58100,
            "eos_token_id": 0,
            "decoder_start_token_id": 58100,
            "share_encoder_decoder_embeddings": True,
        },
        outside={"embeddings.pieces": ("shared",)},
        block=f"{side}.layers.{{i}}",
        inside=_INSIDE[side],
        rules=Rules(
            fixed={**_FIXED, "normalize_embedding": False, "static_position_embeddings": True},
            twins={"decoder_vocab_size": "vocab_size"},
        ),
        simplify=_with_decoder_vocabulary,
        scale_key="scale_embedding",
        boundary_keys={
            "eos_token_id": "end",
            "forced_eos_token_id": "end",
            "decoder_start_token_id": "decoder_start",
        },
        head=HeadLayout(
            architecture="MarianMTModel",
            bias="final_logits_bias",
            bias_form=ROW,
        ),
    )


def _with_decoder_vocabulary(values: Values) -> Values:
    """A decoder that shares the encoder's table has its vocabulary, whatever else is written."""
    if values["share_encoder_decoder_embeddings"] or values["decoder_vocab_size"] is None:
        return {**values, "decoder_vocab_size": values["vocab_size"]}
    return values


BART = Seq2SeqFamily(name="bart", encoder=_bart("encoder"), decoder=_bart("decoder"))
MARIAN = Seq2SeqFamily(
    name="marian",
    encoder=_marian("encoder"),
    decoder=_marian("decoder"),
    share_key="share_encoder_decoder_embeddings",
)

SEQ2SEQ = MappingProxyType({f.name: f for f in (BART, MARIAN)})
