"""A task's head as a thinc layer: rows from any upstream into the torch module of the head.

The head sees one packed batch, `HeadBatch`, and returns a tensor. Gradients cross the border
between torch and thinc twice: into the logits (from the task's loss) and out of the rows (to the
upstream).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from spacy.tokens import Doc
from thinc.api import Model, torch2xp, xp2torch
from thinc.types import Floats2d
from torch import Tensor, nn

from ..errors import Errors
from ..nn.packing import Packing
from ..tokenization.sequences import Sequences
from .checks import attributes
from .encode import Inputs, encode
from .listener import upstream_of
from .shim import TorchShim
from .views import ask_for


class HeadInput(NamedTuple):
    """What a head is given when the docs alone do not say all.

    docs (Sequence[Doc]): The docs of the shared pass.
    plan (Any): What the task worked out for the head, such as which pairs of spans to score.
    texts (Sequence): Texts, or pairs of texts, that the encoder reads for this head in a pass of
        its own, or their layout; None or empty for no such pass.
    """

    docs: Sequence[Doc]
    plan: Any = None
    texts: Inputs | None = None


@dataclass(frozen=True)
class HeadBatch:
    """What a head reads.

    rows (Tensor): (N, W) the upstream's rows of all docs, end to end.
    lengths (ndarray): (B,) rows of each doc.
    features (Tensor): (M, F) int64 hashes of lexical attributes of all tokens, or None.
    token_lengths (ndarray): (B,) tokens of each doc; the same as `lengths` where rows are tokens.
    plan (Any): What the task worked out for this batch, see `HeadInput`.
    text_rows (Tensor): (R, W) the states of the texts or pairs that were read for the head in a
        pass of their own, or None.
    sequences (Sequences): Which text, piece and characters each of these is of, or None.
    """

    rows: Tensor
    lengths: np.ndarray
    features: Tensor | None
    token_lengths: np.ndarray
    plan: Any = None
    text_rows: Tensor | None = None
    sequences: Sequences | None = None

    @property
    def row_docs(self) -> Tensor:
        """RETURNS (Tensor): (N,) the doc of each row."""
        docs = np.repeat(np.arange(len(self.lengths)), self.lengths)
        return torch.from_numpy(docs).to(self.rows.device)

    @property
    def packing(self) -> Packing:
        """RETURNS (Packing): The docs as sequences of rows, empty docs left out."""
        return Packing.from_lengths(self.lengths[self.lengths > 0], device=self.rows.device)


def task_model(
    tok2vec: Model[list[Doc], list[Floats2d]],
    build: Callable[..., nn.Module],
    *,
    features: Sequence[str] = (),
    reads_docs: bool = True,
) -> Model[list[Doc], Tensor]:
    """Put a torch head on an upstream.

    tok2vec (Model[List[Doc], List[Floats2d]]): Any layer that gives rows: one of our listeners, a
        stock listener, or an encoder of the head's own.
    build (Callable): Makes the head's module from the keywords `width` and `n_labels`. Module-level
        function, class or `functools.partial` of one. The module maps a HeadBatch to a tensor.
    features (Sequence[str]): Lexical attributes ("SHAPE", "PREFIX", ...) that the head reads too.
    reads_docs (bool): Whether the head reads the rows of the docs. One that lives on texts of its
        own alone says no, and the encoder need not read the docs for it in training.
    RETURNS (Model[List[Doc], Tensor]): The head.
    RAISES (ValueError): if spaCy has no such attribute.
    """
    attributes("features", features)
    if not reads_docs:
        ask_for(tok2vec, "none")
    model: Model[list[Doc], Tensor] = Model(
        "task-head",
        forward,
        layers=[tok2vec],
        refs={"tok2vec": tok2vec},
        attrs={"features": list(features), "dropout_rate": None, "reads_docs": reads_docs},
        shims=[TorchShim(build, role="head")],
    )
    return model


def build_head(model: Model, docs: list[Doc], *, n_labels: int, name: str) -> nn.Module:
    """Initialise the upstream, if it is the head's own, and build the head's module for its width.

    model (Model): What `task_model` made.
    docs (List[Doc]): A sample of docs.
    n_labels (int): The number of labels.
    name (str): The head's component, for messages.
    RETURNS (nn.Module): The module, randomly initialised.
    RAISES (ValueError): if the upstream's width is not known.
    """
    tok2vec = model.get_ref("tok2vec")
    tok2vec.initialize(X=docs)
    if not tok2vec.has_dim("nO"):
        raise ValueError(Errors.E415.format(name=name, encoder=upstream_of(tok2vec)))
    return shim_of(model).materialize(width=tok2vec.get_dim("nO"), n_labels=n_labels)


def shim_of(model: Model) -> TorchShim:
    """RETURNS (TorchShim): The shim of a head."""
    return cast(TorchShim, model.shims[0])


def forward(
    model: Model, given: Sequence[Doc] | HeadInput, is_train: bool
) -> tuple[Tensor, Callable[[Tensor], list[Doc]]]:
    """Logits for a batch of docs, and the way back for their gradient."""
    docs, plan, texts = given if isinstance(given, HeadInput) else HeadInput(given)
    shim, tok2vec = shim_of(model), model.get_ref("tok2vec")
    rows, backprop_rows = _read_docs(model, docs, is_train)
    batch = replace(_batch(model, rows, docs), plan=plan)
    backprop_texts = None
    if texts is not None and len(texts):
        encoded, backprop_texts = encode(tok2vec, texts, is_train=is_train)
        text_rows = encoded.rows.to(shim.device)
        batch = replace(batch, text_rows=text_rows, sequences=encoded.sequences)
    if not is_train:
        with shim.predicting() as head:
            return head(batch), _no_backprop
    batch.rows.requires_grad_(True)
    if batch.text_rows is not None:
        batch.text_rows.requires_grad_(True)
    logits = shim.training(model.attrs["dropout_rate"])(batch)

    def backprop(d_logits: Tensor) -> list[Doc]:
        if logits.requires_grad:
            torch.autograd.backward([logits], [d_logits])
        # The texts first: with the rows of the docs the encoder has its answer, and may step.
        if backprop_texts is not None and batch.text_rows is not None:
            backprop_texts(_gradient(batch.text_rows))
        if backprop_rows is not None:
            ends = np.cumsum(batch.lengths)
            d_rows = torch2xp(_gradient(batch.rows))
            backprop_rows([d_rows[e - n : e] for e, n in zip(ends, batch.lengths, strict=True)])
        return []

    return logits.detach(), backprop


def _read_docs(
    model: Model, docs: Sequence[Doc], is_train: bool
) -> tuple[Sequence[Floats2d], Callable | None]:
    tok2vec = model.get_ref("tok2vec")
    if model.attrs["reads_docs"] and docs:
        return tok2vec(docs, is_train)
    return [model.ops.alloc2f(0, tok2vec.get_dim("nO")) for _ in docs], None


def _gradient(rows: Tensor) -> Tensor:
    return torch.zeros_like(rows) if rows.grad is None else rows.grad


def _batch(model: Model, rows: Sequence[Floats2d], docs: Sequence[Doc]) -> HeadBatch:
    attrs, device = model.attrs["features"], shim_of(model).device
    if not docs:
        none = np.zeros(0, dtype=np.int64)
        nothing = torch.zeros((0, model.get_ref("tok2vec").get_dim("nO")), device=device)
        return HeadBatch(nothing, none, None, none)
    xp_rows = [xp2torch(r, device=device) for r in rows]
    lengths = np.fromiter((len(r) for r in rows), dtype=np.int64, count=len(docs))
    token_lengths = np.fromiter((len(doc) for doc in docs), dtype=np.int64, count=len(docs))
    features = None
    if attrs:
        hashes = [doc.to_array(attrs).reshape(len(doc), len(attrs)) for doc in docs]
        features = torch.from_numpy(np.concatenate(hashes).view(np.int64)).to(device)
    # A copy of its own, so that no upstream sees its rows change or require gradients.
    return HeadBatch(torch.cat(xp_rows), lengths, features, token_lengths)


def _no_backprop(d_logits: Tensor) -> list[Doc]:
    return []
