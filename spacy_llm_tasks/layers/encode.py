"""A head's second way into its encoder: texts or pairs of texts that are no docs.

A question is read together with its passage, or a sentence with entity markers put in, by the same
weights that read the docs, in a pass of its own. The encoder is reached through the head's
`tok2vec` layer, but it is no layer of the head: its weights are saved once, by the encoder
component, and stepped once, with the gradients of this pass and of the shared one together.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from thinc.api import Model
from torch import Tensor

from ..errors import Errors
from ..tokenization.sequences import Sequences, lay_out
from .encoder import N_SPECIAL, EncoderShim, shim_of, window_of
from .listener import Listener


class Encoded(NamedTuple):
    """What an encoder made of texts or pairs.

    rows (Tensor): (R, W) the state of every position of every sequence, end to end; no graph.
    sequences (Sequences): Which text, piece and characters each row is of.
    """

    rows: Tensor
    sequences: Sequences


Backprop = Callable[[Tensor], None]
# Texts, pairs of texts, or what `layout` made of them before.
Inputs = Sequence[str] | Sequence[tuple[str, str]] | Sequences


def encode(tok2vec: Model, inputs: Inputs, *, is_train: bool = False) -> tuple[Encoded, Backprop]:
    """Read texts or pairs with the encoder that a head listens to, or has of its own.

    tok2vec (Model): The head's upstream.
    inputs (Sequence): Texts, or pairs of texts: the first is repeated, the second is read in
        overlapping windows where the pair is too long for the encoder. Or their `layout`.
    is_train (bool): Whether gradients will come back. Call it in an `update`, after the encoder's
        own: an encoder that has not been updated in this step is frozen, and learns nothing here.
    RETURNS (tuple): The rows, and a function that takes their gradient (R, W).
    RAISES (ValueError): if the upstream is another library's, or no encoder is linked to it.
    """
    node = _way_in(tok2vec)
    if isinstance(node, Listener):
        encoded, backprop = node.encoder.encode(inputs, is_train=is_train, listener=node)
        return encoded, partial(_scaled, backprop, node.grad_factor)
    return update_texts(node, inputs) if is_train else (predict_texts(node, inputs), ignore)


def layout(tok2vec: Model, inputs: Inputs) -> Sequences:
    """Lay texts or pairs out as the encoder of a head will read them, without reading them yet: for
    a task that must know where an answer stands before it is scored.

    tok2vec (Model): The head's upstream.
    inputs (Sequence): Texts or pairs.
    RETURNS (Sequences): The layout; `encode` takes it, or parts of it, in the place of the texts.
    RAISES (ValueError): as `encode`.
    """
    node = _way_in(tok2vec)
    return _lay_out(node.encoder.model if isinstance(node, Listener) else node, inputs)


def _way_in(tok2vec: Model) -> Model:
    """The listener or encoder layer of a head, the former linked to its encoder."""
    for node in tok2vec.walk():
        if isinstance(node, Listener):
            if node.encoder is None:
                raise ValueError(Errors.E426.format(upstream=node.upstream_name))
            return node
        if node.shims and isinstance(node.shims[0], EncoderShim):
            return node
    raise ValueError(Errors.E416.format(kind="texts or pairs", upstream=tok2vec.name))


def predict_texts(model: Model, inputs: Inputs) -> Encoded:
    """Read texts or pairs without a graph.

    model (Model): The encoder layer.
    inputs (Sequence): Texts or pairs.
    RETURNS (Encoded): The rows.
    """
    sequences, shim = _lay_out(model, inputs), shim_of(model)
    shim.count_pass()
    with shim.predicting():
        return Encoded(shim.encoder.read(sequences), sequences)


def update_texts(model: Model, inputs: Inputs) -> tuple[Encoded, Backprop]:
    """Read texts or pairs in training mode.

    model (Model): The encoder layer.
    inputs (Sequence): Texts or pairs.
    RETURNS (tuple): The rows, and a function that adds their gradient to the weights' gradients.
    """
    sequences, shim = _lay_out(model, inputs), shim_of(model)
    shim.count_pass()
    shim.training(model.attrs["dropout_rate"])
    rows = shim.encoder.read(sequences)

    def backprop(d_rows: Tensor) -> None:
        torch.autograd.backward([rows], [d_rows.to(rows)])

    return Encoded(rows.detach(), sequences), backprop


def ignore(d_rows: Tensor) -> None:
    """The way back into an encoder that does not learn."""


def _scaled(backprop: Backprop, factor: float, d_rows: Tensor) -> None:
    backprop(d_rows if factor == 1.0 else d_rows * factor)


def _lay_out(model: Model, inputs: Inputs) -> Sequences:
    if isinstance(inputs, Sequences):
        return inputs
    tokenizer, window = shim_of(model).built_tokenizer, window_of(model)
    if not len(inputs) or not isinstance(inputs[0], str):
        return lay_out(inputs, tokenizer, max_length=window + N_SPECIAL)
    # Texts are cut into the windows that docs are cut into, so that equal ones have equal states.
    repeated = window - min(model.attrs["stride"], window)
    overlap = (repeated + 0.5) / window  # half a piece more: the share is rounded down again
    return lay_out(inputs, tokenizer, max_length=window + N_SPECIAL, overlap=overlap)
