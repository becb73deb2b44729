"""The encoder as a thinc layer, `Model[List[Doc], List[Floats2d]]`: one row per spaCy token."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

import numpy as np
import torch
from spacy.tokens import Doc
from thinc.api import Model, torch2xp, xp2torch
from thinc.types import Floats2d
from torch import Tensor

from ..errors import Errors
from ..nn.config import TransformerConfig
from ..tokenization.tokenizer import PieceTokenizer
from . import trf_data
from .checks import at_least
from .doc_batch import prepare
from .doc_encoder import TOKENS, DocEncoder, View
from .encoder_shim import EncoderShim

Views = dict[View, list[Floats2d]]
Gradients = dict[View, list[list[Floats2d]]]

# Room that the special pieces take in every sequence.
N_SPECIAL = 2


def build_transformer_v1(
    width: int | None = None,
    depth: int | None = None,
    n_heads: int | None = None,
    ffn_width: int | None = None,
    max_length: int | None = None,
    positions: Literal["learned", "sinusoidal", "rope", "alibi"] | None = None,
    norm: Literal["layer", "rms"] | None = None,
    norm_position: Literal["pre", "post"] | None = None,
    activation: Literal["gelu", "relu", "swiglu", "geglu"] | None = None,
    dropout: float | None = None,
    window: int = 384,
    stride: int = 320,
    precision: Literal["fp32", "bf16", "int8"] = "fp32",
    training_precision: Literal["fp32", "bf16"] = "fp32",
    compiled: bool = False,
    recompute_rows: int | None = None,
) -> Model[list[Doc], list[Floats2d]]:
    """Build our Transformer as a thinc layer (registered as `spacy_llm_tasks.Transformer.v1`).

    Every setting of the architecture may be left open (null): a checkpoint then decides it, and
    without a checkpoint the defaults of `nn.TransformerConfig` do. A setting that is given must
    agree with the checkpoint.

    width, depth, n_heads, ffn_width (int): Sizes of the encoder.
    max_length (int): Positions that the encoder knows, special pieces included.
    positions, norm, norm_position, activation (str): See `nn.TransformerConfig`.
    dropout (float): Rate in training, if the pipeline's `[training] dropout` never sets one.
    window, stride (int): Long docs are read in windows of this many pieces, this many pieces apart.
        Both are cut to what `max_length` leaves room for.
    precision (str): "fp32", or for faster predictions with rounded weights "bf16" or "int8" (CPU
        only). A trained pipeline takes it at load time:
        `spacy.load(path, config={"components.transformer.model.precision": "int8"})`.
    training_precision (str): "fp32", or "bf16" for products in bfloat16 while training, with the
        weights and everything else in float32: faster where the processor has it, and a little
        less exact.
    compiled (bool): Send the blocks through `torch.compile`, in training and in predictions. For
        long runs on a GPU, or with `training_precision = "bf16"`: the first batches take longer.
    recompute_rows (int): Train on batches that are too large for the memory: the activations of
        about so many word pieces are kept at a time, the others are worked out again for the
        gradient, for about a third more time. null keeps all.
    RETURNS (Model[List[Doc], List[Floats2d]]): One row of `width` numbers per token.
    """
    if recompute_rows is not None:
        at_least("recompute_rows", recompute_rows, 1)
    if not 0 < stride <= window:
        raise ValueError(Errors.E406.format(window=window, stride=stride))
    architecture = {
        "width": width,
        "depth": depth,
        "n_heads": n_heads,
        "ffn_width": ffn_width,
        "max_length": max_length,
        "positions": positions,
        "norm": norm,
        "norm_position": norm_position,
        "activation": activation,
        "dropout": dropout,
    }
    return Model(
        "trf-encoder",
        forward,
        dims={"nO": width},
        attrs={
            "window": window,
            "stride": stride,
            "dropout_rate": None,
            "view": list(TOKENS),
            "replace_listener": replace_listener,
            "replace_listener_cfg": trf_data.replace_listener_cfg,
        },
        shims=[
            EncoderShim(
                architecture,
                precision=precision,
                training_precision=training_precision,
                compiled=compiled,
                recompute_rows=recompute_rows,
            )
        ],
    )


def install(
    model: Model,
    config: TransformerConfig,
    tokenizer: PieceTokenizer,
    branches: dict[str, int] | None = None,
) -> DocEncoder:
    """Give the layer an encoder of this config, randomly initialised, and a tokenizer."""
    encoder = shim_of(model).install(config, tokenizer, branches)
    model.set_dim("nO", config.width, force=True)
    return encoder


def restore(
    model: Model,
    config: TransformerConfig,
    branches: dict[str, int] | None,
    state: dict[str, Tensor],
) -> DocEncoder:
    """Give the layer an encoder of this config with saved weights; its shim has the tokenizer.

    RAISES (ValueError): naming the first weight that does not fit.
    """
    encoder = shim_of(model).restore(state, config=config.to_dict(), branches=branches or {})
    model.set_dim("nO", config.width, force=True)
    return cast(DocEncoder, encoder)


def shim_of(model: Model) -> EncoderShim:
    """RETURNS (EncoderShim): The shim of an encoder layer."""
    return cast(EncoderShim, model.shims[0])


def forward(
    model: Model, docs: Sequence[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
    """One pass over the docs; the rows of each (of tokens, unless a head asked otherwise)."""
    view = View(*model.attrs["view"])
    if not is_train:
        return predict_views(model, docs, {view})[view], _no_backprop
    rows, backward = update_views(model, docs, {view})

    def backprop(d_rows: list[Floats2d]) -> list[Doc]:
        backward({view: [d_rows]})
        return []

    return rows[view], backprop


def replace_listener(encoder: Model, listener: Model, component: Any) -> Model:
    """Called by `nlp.replace_listeners`: the head's own encoder gives what its listener gave.

    encoder (Model): A copy of the shared encoder layer.
    listener (Model): The listener that it replaces.
    component (EncoderComponent): The shared encoder.
    RETURNS (Model): The layer to put in the listener's place.
    """
    if trf_data.is_listener(listener):
        return trf_data.with_trf_data(encoder)
    encoder.attrs["view"] = list(getattr(listener, "view", TOKENS))
    return encoder


def predict_views(model: Model, docs: Sequence[Doc], views: set[View]) -> Views:
    """Encode docs without a graph.

    docs (Sequence[Doc]): At least one doc.
    views (set[View]): What to read off the pass.
    RETURNS (dict): For each view one array per doc, which owns its memory.
    """
    shim = shim_of(model)
    with shim.predicting() as encoder:
        batch = _prepare(model, docs)
        shim.count_rows(len(batch.ids))
        tensors = encoder(batch, views)
    return {
        view: [rows.copy() for rows in _split(model, tensor, view, batch)]
        for view, tensor in tensors.items()
    }


def update_views(
    model: Model, docs: Sequence[Doc], views: set[View]
) -> tuple[Views, Callable[[Gradients], None]]:
    """Encode docs in training mode.

    docs (Sequence[Doc]): At least one doc.
    views (set[View]): What to read off the pass.
    RETURNS (tuple): The rows, as for `predict_views`, and a function that takes, for each view, the
        gradients of everyone who read it, sums them and runs backward once.
    """
    shim, batch = shim_of(model), _prepare(model, docs)
    shim.count_rows(len(batch.ids))
    tensors = shim.training(model.attrs["dropout_rate"])(batch, views)

    def backward(gradients: Gradients) -> None:
        roots, grads = [], []
        for view, answers in gradients.items():
            if tensors[view].requires_grad:
                roots.append(tensors[view])
                grads.append(_sum(answers, tensors[view]))
        torch.autograd.backward(roots, grads)

    return {view: _split(model, t.detach(), view, batch) for view, t in tensors.items()}, backward


def _prepare(model: Model, docs: Sequence[Doc]):
    shim = shim_of(model)
    window = window_of(model)
    stride = min(model.attrs["stride"], window)
    return prepare(docs, shim.built_tokenizer, window=window, stride=stride)


def window_of(model: Model) -> int:
    """RETURNS (int): Pieces in a window, special pieces not counted: as asked for, or as many as
    the encoder has room for."""
    return min(model.attrs["window"], shim_of(model).encoder.config.max_length - N_SPECIAL)


def _split(model: Model, tensor: Tensor, view: View, batch: Any) -> list[Floats2d]:
    """Cut the rows of a view into one array per doc, of the pipeline's kind: an exported encoder
    reads on the CPU wherever the pipeline is."""
    if view.kind in ("cls", "mean"):
        lengths = np.ones(batch.n_docs, dtype=np.int64)
    else:
        lengths = batch.token_lengths if view.kind == "tokens" else batch.piece_lengths
    rows = cast(Floats2d, torch2xp(tensor, ops=model.ops))
    ends = np.cumsum(lengths).tolist()
    return [rows[end - n : end] for end, n in zip(ends, lengths.tolist(), strict=True)]


def _sum(answers: list[list[Floats2d]], like: Tensor) -> Tensor:
    total = torch.zeros_like(like)
    for d_rows in answers:
        parts = [xp2torch(d, device=like.device) for d in d_rows if d.shape[0]]
        if parts:
            total += torch.cat(parts)
    return total


def _no_backprop(d_rows: list[Floats2d]) -> list[Doc]:
    return []
