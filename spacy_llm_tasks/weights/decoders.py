"""Reading and writing a decoder as a folder in the published layout.

    gpt2    Radford et al. 2019 (Language Models are Unsupervised Multitask Learners): pre-norm,
            learned positions, GELU by tanh. Its linear layers are stored as (in, out), with
            queries, keys and values in one.

The pieces are predicted by the product with the piece table alone: the head has no parameters.
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor

from ..nn.decoder import TransformerDecoder
from ..nn.piece_head import PieceHead
from .checkpoint import Checkpoint
from .family import Boundaries, Family, HeadLayout, get_family
from .folder import blaming, open_weights, read_raw, shapes_of, write_folder
from .heads import head_tensors
from .rules import TIED, Rules

GPT2 = Family(
    name="gpt2",
    architecture="GPT2LMHeadModel",
    prefix="transformer.",
    common={
        "positions": "learned",
        "norm": "layer",
        "norm_position": "pre",
        "bias": True,
        "embedding_norm": False,
        "final_norm": True,
    },
    settings={
        "n_pieces": "vocab_size",
        "width": "n_embd",
        "depth": "n_layer",
        "n_heads": "n_head",
        "ffn_width": "n_inner",
        "max_length": "n_positions",
        "norm_eps": "layer_norm_epsilon",
        "activation": "activation_function",
        "dropout": "resid_pdrop",
        "attention_dropout": "attn_pdrop",
        "pad_piece": "pad_token_id",
        "init_std": "initializer_range",
    },
    defaults={
        "vocab_size": 50257,
        "n_embd": 768,
        "n_layer": 12,
        "n_head": 12,
        "n_inner": None,
        "n_positions": 1024,
        "layer_norm_epsilon": 1e-5,
        "activation_function": "gelu_new",
        "resid_pdrop": 0.1,
        "embd_pdrop": 0.1,
        "attn_pdrop": 0.1,
        "pad_token_id": 0,
        "initializer_range": 0.02,
        "bos_token_id": 50256,
        "eos_token_id": 50256,
    },
    outside={
        "embeddings.pieces": ("wte",),
        "embeddings.positions": ("wpe",),
        "final_norm": ("ln_f",),
    },
    block="h.{i}",
    inside={
        "attention.qkv": ("attn.c_attn",),
        "attention.output": ("attn.c_proj",),
        "attention_norm": ("ln_1",),
        "feedforward.up": ("mlp.c_fc",),
        "feedforward.down": ("mlp.c_proj",),
        "feedforward_norm": ("ln_2",),
    },
    rules=Rules(
        fixed={
            **TIED,
            "scale_attn_weights": True,
            "scale_attn_by_inverse_layer_idx": False,
            "add_cross_attention": False,
        },
        twins={"embd_pdrop": "resid_pdrop"},
    ),
    boundary_keys={"bos_token_id": "start", "eos_token_id": "end"},
    transposed=frozenset(
        {"attention.qkv", "attention.output", "feedforward.up", "feedforward.down"}
    ),
    constants=frozenset({"attn.bias", "attn.masked_bias"}),  # the causal mask, in old files
    head=HeadLayout(architecture="GPT2LMHeadModel"),
)

DECODERS = MappingProxyType({f.name: f for f in (GPT2,)})


def load_decoder(folder: str | Path, *, device: torch.device | str | None = None) -> Checkpoint:
    """Read a published decoder.

    folder (str | Path): Holds config.json and model.safetensors.
    device (torch.device | str | None): Where the tensors go; None: the CPU.
    RETURNS (Checkpoint): Config and parameters, for `TransformerDecoder`. Pieces are predicted by
        `PieceHead(config, transform=False, bias=False)`.
    RAISES (FileNotFoundError): No such folder or file, or only pickled weights.
    RAISES (ValueError): A broken or unsupported file, or a parameter missing or misshapen.
    """
    raw = read_raw(folder)
    with blaming(folder):
        family = get_family(raw.get("model_type"), DECODERS, kind="decoder")
        config = family.read_config(raw)
    shapes = shapes_of(lambda: TransformerDecoder(config))
    with open_weights(folder, (family,), device) as weights:
        state = weights.read_all(shapes, family.place_of)
        return Checkpoint(config, state, weights.unused(), family.name, family.read_boundaries(raw))


def save_decoder(
    folder: str | Path,
    decoder: TransformerDecoder,
    *,
    family: str = "gpt2",
    head: PieceHead | None = None,
    boundaries: Boundaries | None = None,
) -> None:
    """Write a decoder so that other libraries load it. The tokenizer is written elsewhere.

    folder (str | Path): Where config.json and model.safetensors go; made where missing.
    decoder (TransformerDecoder): The decoder.
    family (str): "gpt2".
    head (PieceHead | None): What predicts its pieces; None: the product with the piece table.
    boundaries (Boundaries | None): Ids of the pieces that begin and end a text; None: unknown.
    RAISES (ValueError): No such family, or it cannot express this decoder or head.
    """
    layout = get_family(family, DECODERS, kind="decoder")
    raw = layout.write_config(decoder.config)
    tensors: dict[str, Tensor] = {}
    for ours, tensor in decoder.state_dict().items():
        for name, part in layout.place_of(ours).split(tensor).items():
            tensors[f"{layout.prefix}{name}"] = part
    if head is not None:
        tensors |= head_tensors(layout, head, raw, decoder.config)
    raw |= layout.write_boundaries(boundaries or Boundaries())
    header = {"architectures": [layout.architecture], "model_type": family}
    write_folder(folder, {**header, **raw, "torch_dtype": "float32"}, tensors)
