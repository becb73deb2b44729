"""A head's second way into its encoder: texts or pairs of texts that are no docs.

A question is read together with its passage, or a sentence with entity markers put in, by the same
weights that read the docs, in a pass of its own. The encoder is reached through the head's
`tok2vec` layer, but it is no layer of the head: its weights are saved once, by the encoder
component, and stepped once, with the gradients of this pass and of the shared one together.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from thinc.api import Model
from torch import Tensor

from ..errors import Errors, Warnings
from ..tokenization.sequences import LEAST_ROOM, Sequences, lay_out
from ..tokenization.tokenizer import PieceTokenizer
from .doc_encoder import TOKENS, DocEncoder, View
from .encoder import N_SPECIAL, shim_of, window_of
from .encoder_shim import EncoderShim
from .joint import Joint, join
from .listener import Listener
from .lower_halves import LowerHalf
from .segments import index_on


class Encoded(NamedTuple):
    """What an encoder made of texts or pairs.

    rows (Tensor): (R, W) the state of every position of every sequence, end to end; no graph.
    sequences (Sequences): Which text, piece and characters each row is of.
    """

    rows: Tensor
    sequences: Sequences


Backprop = Callable[[Tensor], None]
Pairs = Sequence[tuple[str, str]]
# Texts, pairs of texts, or what was made of them before: a `layout`, or pairs `apart`.
Inputs = Sequence[str] | Pairs | Sequences | Joint


def encode(tok2vec: Model, inputs: Inputs, *, is_train: bool = False) -> tuple[Encoded, Backprop]:
    """Read texts or pairs with the encoder that a head listens to, or has of its own.

    tok2vec (Model): The head's upstream.
    inputs (Sequence): Texts, or pairs of texts: the first is repeated, the second is read in
        overlapping windows where the pair is too long for the encoder. Of a first text that leaves
        no room for the second, the beginning is read, with a warning. Or their `layout`, or pairs
        that are read `apart` first.
    is_train (bool): Whether gradients will come back. Call it in an `update`, after the encoder's
        own: an encoder that has not been updated in this step is frozen, and learns nothing here.
    RETURNS (tuple): The rows, and a function that takes their gradient (R, W).
    RAISES (ValueError): if the upstream is another library's, or no encoder is linked to it.
    """
    node = _way_in(tok2vec)
    if isinstance(node, Listener):
        encoded, backprop = node.encoder.encode(inputs, is_train=is_train, listener=node)
        return encoded, partial(_scaled, backprop, node.grad_factor)
    view = View(*node.attrs["view"])
    if is_train:
        return update_texts(node, inputs, view=view)
    return predict_texts(node, inputs, view=view), ignore


def layout(tok2vec: Model, inputs: Inputs) -> Sequences:
    """Lay texts or pairs out as the encoder of a head will read them, without reading them yet: for
    a task that must know where an answer stands before it is scored.

    tok2vec (Model): The head's upstream.
    inputs (Sequence): Texts or pairs.
    RETURNS (Sequences): The layout; `encode` takes it, or parts of it, in the place of the texts.
    RAISES (ValueError): as `encode`.
    """
    return _lay_out(_encoder_of(tok2vec), inputs)


def apart(tok2vec: Model, pairs: Pairs, *, after: int, is_train: bool = False) -> Joint:
    """Lay pairs out whose texts the lower blocks read apart, each text once.

    tok2vec (Model): The head's upstream.
    pairs (Sequence[Tuple[str, str]]): The pairs.
    after (int): The last block that reads them apart.
    is_train (bool): In training they are only laid out. Otherwise the lower blocks read them now,
        and the encoder keeps its latest second texts for the next time.
    RETURNS (Joint): `encode` takes it, or parts of it, in the place of the pairs.
    RAISES (ValueError): as `encode`; or if the encoder has no blocks above these.
    """
    node, model = _way_in(tok2vec), _encoder_of(tok2vec)
    view = node.view if isinstance(node, Listener) else View(*node.attrs["view"])
    depth = shim_of(model).encoder.depth if view.layer == -1 else view.layer
    if not 0 < after < depth:
        raise ValueError(Errors.E459.format(found=after, depth=depth))
    pairs = _with_room(model, pairs)
    firsts = {text: i for i, text in enumerate(dict.fromkeys(a for a, _ in pairs))}
    seconds = {text: len(firsts) + i for i, text in enumerate(dict.fromkeys(b for _, b in pairs))}
    numbers = [firsts[a] for a, _ in pairs], [seconds[b] for _, b in pairs]
    if is_train:
        sequences = _lay_out(model, [*firsts, *seconds])
        sequences = _as_seconds(sequences, from_item=len(firsts))
        return join(sequences, *numbers, after=after)
    halves = [
        *_lower_halves(model, list(firsts), after, view.branch, second=False),
        *_lower_halves(model, list(seconds), after, view.branch, second=True),
    ]
    found = join(Sequences.chain([half.sequences for half in halves]), *numbers, after=after)
    return replace(found, lower=torch.cat([half.rows for half in halves]))


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


def _encoder_of(tok2vec: Model) -> Model:
    node = _way_in(tok2vec)
    return node.encoder.model if isinstance(node, Listener) else node


def predict_texts(model: Model, inputs: Inputs, *, view: View = TOKENS) -> Encoded:
    """Read texts or pairs without a graph.

    model (Model): The encoder layer.
    inputs (Sequence): Texts or pairs.
    view (View): Whose last blocks to go through, and to which layer.
    RETURNS (Encoded): The rows.
    """
    shim, laid_out = shim_of(model), _lay_out(model, inputs)
    shim.count_rows(_n_rows(laid_out))
    with shim.predicting():
        return _read(shim.encoder, laid_out, view)


def update_texts(model: Model, inputs: Inputs, *, view: View = TOKENS) -> tuple[Encoded, Backprop]:
    """Read texts or pairs in training mode.

    model (Model): The encoder layer.
    inputs (Sequence): Texts or pairs.
    view (View): Whose last blocks to go through, and to which layer.
    RETURNS (tuple): The rows, and a function that adds their gradient to the weights' gradients.
    """
    shim, laid_out = shim_of(model), _lay_out(model, inputs)
    shim.count_rows(_n_rows(laid_out))
    shim.training(model.attrs["dropout_rate"])
    rows, sequences = _read(shim.encoder, laid_out, view)

    def backprop(d_rows: Tensor) -> None:
        torch.autograd.backward([rows], [d_rows.to(rows)])

    return Encoded(rows.detach(), sequences), backprop


def ignore(d_rows: Tensor) -> None:
    """The way back into an encoder that does not learn."""


def _scaled(backprop: Backprop, factor: float, d_rows: Tensor) -> None:
    backprop(d_rows if factor == 1.0 else d_rows * factor)


def _n_rows(inputs: Sequences | Joint) -> int:
    return len(inputs.ids if isinstance(inputs, Sequences) else inputs.source)


def _read(encoder: DocEncoder, inputs: Sequences | Joint, view: View) -> Encoded:
    until, branch = None if view.layer == -1 else view.layer, view.branch
    if isinstance(inputs, Sequences):
        return Encoded(encoder.read(inputs, branch=branch, until=until), inputs)
    lower = inputs.lower
    if lower is None:
        lower = encoder.read(inputs.apart, branch=branch, until=inputs.after)
    lower = lower.index_select(0, index_on(inputs.source, lower))
    lengths = inputs.together.lengths
    rows = encoder.read_on(lower, lengths, after=inputs.after, branch=branch, until=until)
    return Encoded(rows, inputs.together)


def _lower_halves(
    model: Model, texts: list[str], after: int, branch: str, *, second: bool
) -> list[LowerHalf]:
    """Read texts with the lower blocks; second texts are kept, and not read again if they were."""
    shim = shim_of(model)
    kept = shim.lower_halves
    found = {text: kept.get((text, after, branch)) if second else None for text in texts}
    new = [text for text, half in found.items() if half is None]
    if new:
        sequences = _lay_out(model, new)
        if second:
            sequences = _as_seconds(sequences, from_item=0)
        shim.count_rows(_n_rows(sequences))
        with shim.predicting():
            rows = shim.encoder.read(sequences, branch=branch, until=after)
        owner = np.repeat(sequences.item, sequences.lengths)
        sizes = np.bincount(owner, minlength=len(new)).tolist()
        parts = rows.index_select(0, index_on(np.argsort(owner, kind="stable"), rows)).split(sizes)
        halves = map(LowerHalf, sequences.of_each(len(new)), parts)
        found.update(zip(new, halves, strict=True))
    if second:
        for text, half in found.items():
            kept.keep((text, after, branch), cast(LowerHalf, half))
    return cast(list[LowerHalf], [found[text] for text in texts])


def _as_seconds(sequences: Sequences, *, from_item: int) -> Sequences:
    """Mark texts as second ones by their segment, as in pairs that are read together: the upper
    blocks could not tell a question from a passage otherwise."""
    second = np.repeat(sequences.item >= from_item, sequences.lengths)
    return replace(sequences, segments=second.astype(np.int64))


def _lay_out(model: Model, inputs: Inputs) -> Any:
    """Sequences of texts or pairs; a layout is left as it is."""
    if isinstance(inputs, Sequences | Joint):
        return inputs
    tokenizer, window = shim_of(model).built_tokenizer, window_of(model)
    if not len(inputs) or not isinstance(inputs[0], str):
        pairs = _with_room(model, cast(Pairs, inputs))
        return lay_out(pairs, tokenizer, max_length=window + N_SPECIAL)
    # Texts are cut into the windows that docs are cut into, so that equal ones have equal states.
    repeated = window - min(model.attrs["stride"], window)
    overlap = (repeated + 0.5) / window  # half a piece more: the share is rounded down again
    return lay_out(inputs, tokenizer, max_length=window + N_SPECIAL, overlap=overlap)


def _with_room(model: Model, pairs: Pairs) -> Pairs:
    """Cut first texts that would leave no room for a window of their second text."""
    tokenizer = shim_of(model).built_tokenizer
    room = window_of(model) + N_SPECIAL - 2 - tokenizer.n_between  # for both texts
    most = room - LEAST_ROOM
    if most < 1 or not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
        return pairs  # `lay_out` says what is wrong
    lengths = tokenizer.encode([first for first, _ in pairs]).lengths
    fitting = list(pairs)
    for i in np.flatnonzero(lengths > most).tolist():
        first, second = pairs[i]
        if lengths[i] + len(tokenizer.encode([second])) > room:
            fitting[i] = _beginning(first, tokenizer, most), second
            message = Warnings.W216.format(found=lengths[i], most=most, text=first[:80])
            warnings.warn(message, stacklevel=2)
    return fitting


def _beginning(text: str, tokenizer: PieceTokenizer, most: int) -> str:
    """As much of a text as so many pieces hold."""
    while len(pieces := tokenizer.encode([text])) > most:
        text = text[: min(int(pieces.ends[most - 1]), len(text) - 1)]
    return text
