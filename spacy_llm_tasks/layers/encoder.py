"""The encoder as a thinc layer, `Model[List[Doc], List[Floats2d]]`: one row per spaCy token."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

import numpy as np
import torch
from spacy.tokens import Doc
from thinc.api import Model, torch2xp, xp2torch
from thinc.types import Floats2d
from torch import Tensor, nn

from ..errors import Errors
from ..nn.config import TransformerConfig
from ..nn.linear import set_precision
from ..nn.precision import check as check_precision
from ..nn.reduced import reduce
from ..tokenization.tokenizer import PieceTokenizer
from . import memory, trf_data
from .checks import at_least
from .doc_batch import prepare
from .doc_encoder import TOKENS, DocEncoder, View
from .lower_halves import LowerHalves
from .shim import TorchShim

Views = dict[View, list[Floats2d]]
Gradients = dict[View, list[list[Floats2d]]]

# Room that the special pieces take in every sequence.
N_SPECIAL = 2


class EncoderShim(TorchShim):
    """A DocEncoder together with the tokenizer that feeds it; saved and loaded as one thing.

    architecture (dict): What the config asked for; None where it left the choice open.
    precision (str): Precision of predictions, see `nn.precision`. It belongs to the run, not to
        the weights: it is not saved with them, and neither is the next one.
    recompute_rows (int): In training, rows whose activations are kept at a time; None for all.
    stored (dict): The precisions in which the weights are kept, if they are reduced ("linear" and
        "embeddings", see `nn.reduced`); saved with them.
    """

    weights_file = "model.safetensors"  # its name in a saved pipeline

    def __init__(
        self,
        architecture: dict[str, Any],
        *,
        precision: str = "fp32",
        recompute_rows: int | None = None,
    ) -> None:
        super().__init__(DocEncoder, role="encoder")
        self.architecture = architecture
        self.precision = check_precision(precision)
        self.recompute_rows = recompute_rows
        self.stored: dict[str, str] = {}
        self.tokenizer: PieceTokenizer | None = None
        self.lower_halves = LowerHalves()
        self._n_rows = 0

    def count_rows(self, n_rows: int) -> None:
        """Note that so much is read: from time to time, free memory is given back."""
        memory.keep_blocks()
        self._n_rows += n_rows
        if self._n_rows >= memory.ROWS:
            self._n_rows = 0
            memory.give_back()

    def install(
        self,
        config: TransformerConfig,
        tokenizer: PieceTokenizer,
        branches: dict[str, int] | None = None,
    ) -> DocEncoder:
        """Build the encoder of a config, which must agree with what the pipeline's config asked
        for, and its branches.

        RAISES (ValueError): naming the first setting that disagrees, or a tokenizer with more
            pieces than the encoder has embeddings.
        """
        self.take_tokenizer(config, tokenizer)
        self.stored = {}
        return cast(DocEncoder, self.materialize(config=config.to_dict(), branches=branches or {}))

    def take_tokenizer(self, config: TransformerConfig, tokenizer: PieceTokenizer) -> None:
        """Check that a config and a tokenizer belong here and to each other, and keep the latter.

        RAISES (ValueError): as `install`.
        """
        values = config.to_dict()
        for key, wanted in self.architecture.items():
            if wanted is not None and values[key] != wanted:
                raise ValueError(Errors.E404.format(key=key, wanted=wanted, found=values[key]))
        if tokenizer.n_pieces > config.n_pieces:
            found, expected = tokenizer.n_pieces, config.n_pieces
            raise ValueError(Errors.E405.format(found=found, expected=expected))
        self.tokenizer = tokenizer

    def need_branch(self, name: str, n_blocks: int, *, add: bool) -> None:
        """See that a listener has its private blocks.

        name (str): Its branch.
        n_blocks (int): How many.
        add (bool): Whether to make them if there are none.
        RAISES (ValueError): if it has another number of them.
        """
        sizes = self.cfg["sizes"].setdefault("branches", {})
        if add and name not in sizes:
            self.encoder.add_branch(name, n_blocks)
            sizes[name] = n_blocks
            self._weights_changed()
        if sizes.get(name, 0) != n_blocks:
            found = sizes.get(name, 0)
            raise ValueError(Errors.E458.format(name=name, found=found, wanted=n_blocks))

    def rename_branch(self, old: str, new: str) -> None:
        """Keep the private blocks of a listener under another name, if there are any."""
        if self.is_built and old in self.encoder.branches:
            self.encoder.branches[new] = self.encoder.branches.pop(old)
            sizes = self.cfg["sizes"]["branches"]
            sizes[new] = sizes.pop(old)

    @property
    def encoder(self) -> DocEncoder:
        """The module, as what it is. RAISES (ValueError): if it has not been built yet."""
        return cast(DocEncoder, self.module)

    @property
    def built_tokenizer(self) -> PieceTokenizer:
        """The tokenizer. RAISES (ValueError): if the encoder has not been built yet."""
        if self.tokenizer is None:
            raise ValueError(Errors.E401.format(role=self.role))
        return self.tokenizer

    def reduce(self, *, embeddings: str) -> None:
        """Round the weights to the precision of predictions, for good.

        embeddings (str): Precision of the piece table: "fp32", "bf16" or "int8".
        RAISES (ValueError): if the precision is fp32, or they are rounded already.
        """
        if self.stored or self.precision == "fp32":
            found = self.stored.get("linear", self.precision)
            raise ValueError(Errors.E442.format(found=found))
        self.keep_in({"linear": self.precision, "embeddings": check_precision(embeddings)})
        reduce(self.module, **self.stored)
        self._weights_changed()

    @property
    def n_bytes(self) -> int:
        """RETURNS (int): Bytes of the weights, as they are kept and saved."""
        tensors = self.module.state_dict().values() if self.is_built else ()
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def keep_in(self, stored: dict[str, str]) -> None:
        """Note the precisions of weights that are about to be loaded.

        RAISES (ValueError): if predictions shall have another one.
        """
        kept = stored.get("linear", self.precision)
        if kept != self.precision:
            raise ValueError(Errors.E441.format(found=kept, wanted=self.precision))
        self.stored = stored

    def _hollow(self, sizes: dict[str, Any]) -> nn.Module:
        module = super()._hollow(sizes)
        if self.stored:
            reduce(module, **self.stored)
        return module

    def _take(self, module: nn.Module, sizes: dict[str, Any]) -> nn.Module:
        super()._take(module, sizes)
        self.encoder.recompute_rows = self.recompute_rows
        self._weights_changed()
        return self.encoder

    def training(self, dropout: float | None) -> nn.Module:
        if self.stored:
            raise ValueError(Errors.E440.format(found=self.precision))
        if self.precision == "int8":
            raise ValueError(Errors.E427)
        return super().training(dropout)

    def finish_update(self, optimizer: Any) -> None:
        super().finish_update(optimizer)
        self._weights_changed()

    def to_device(self, device_type: str, device_id: int) -> None:
        super().to_device(device_type, device_id)
        self._weights_changed()

    def _weights_changed(self) -> None:
        """The float32 weights have changed or moved: those in fewer bits are made anew, and what
        was read with the old ones is forgotten."""
        self.lower_halves.clear()
        if self.is_built and self.precision != "fp32":
            set_precision(self.module, self.precision)

    def extra_state(self) -> dict[str, Any]:
        if self.tokenizer is None:
            return {}
        return {"tokenizer": self.tokenizer.to_bytes(), "stored": self.stored}

    def load_extra_state(self, extra: dict[str, Any]) -> None:
        self.keep_in(extra.get("stored", {}))
        self.tokenizer = PieceTokenizer.from_bytes(extra["tokenizer"])


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
        shims=[EncoderShim(architecture, precision=precision, recompute_rows=recompute_rows)],
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
        view: [rows.copy() for rows in _split(tensor, view, batch)]
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

    return {view: _split(t.detach(), view, batch) for view, t in tensors.items()}, backward


def _prepare(model: Model, docs: Sequence[Doc]):
    shim = shim_of(model)
    window = window_of(model)
    stride = min(model.attrs["stride"], window)
    return prepare(docs, shim.built_tokenizer, window=window, stride=stride)


def window_of(model: Model) -> int:
    """RETURNS (int): Pieces in a window, special pieces not counted: as asked for, or as many as
    the encoder has room for."""
    return min(model.attrs["window"], shim_of(model).encoder.config.max_length - N_SPECIAL)


def _split(tensor: Tensor, view: View, batch: Any) -> list[Floats2d]:
    """Cut the rows of a view into one array per doc."""
    if view.kind in ("cls", "mean"):
        lengths = np.ones(batch.n_docs, dtype=np.int64)
    else:
        lengths = batch.token_lengths if view.kind == "tokens" else batch.piece_lengths
    rows = cast(Floats2d, torch2xp(tensor))
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
