"""The layer through which a head reads the shared encoder."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal
from weakref import WeakKeyDictionary

from spacy.pipeline.tok2vec import Tok2VecListener
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from ..errors import Errors
from .doc_encoder import NONE, TOKENS, View

# Rows other than one per token have no place on a Doc that would not be saved with it. They live
# here from the encoder's pass until the Doc is gone, one table per encoder name.
_side_table: WeakKeyDictionary[Doc, dict[tuple[str, View], Floats2d]] = WeakKeyDictionary()


def remember(doc: Doc, encoder: str, view: View, rows: Floats2d) -> None:
    """Keep a view of a doc for the listeners of this encoder, for as long as the doc lives."""
    _side_table.setdefault(doc, {})[encoder, view] = rows


def recall(doc: Doc, encoder: str, view: View) -> Floats2d | None:
    """RETURNS (Floats2d): The rows that `remember` was given, or None."""
    return _side_table.get(doc, {}).get((encoder, view))


def forget(doc: Doc) -> None:
    """Drop all that `remember` was given for a doc."""
    _side_table.pop(doc, None)


class Listener(Tok2VecListener):
    """A `Tok2VecListener` that can also ask for pieces, the CLS state or an inner layer.

    In training it is fed by the encoder's `update`; in prediction it reads `doc.tensor`, or the
    side table for what is no row per token. Like spaCy's own listener it gives zeros for a doc that
    no encoder has read, since stock components infer their shapes that way; `require_read` tells.

    upstream (str): Name of the encoder component, or "*" for any.
    width (int): Width of the rows, or None to take it from the encoder.
    view (View): What to read.
    grad_factor (float): Factor on the gradient that this head sends to the encoder.
    private_layers (int): Last blocks of the encoder that belong to this listener alone.
    """

    # `spacy debug model` finds the upstream component by this name.
    name = "llm-tasks-transformer-listener"

    def __init__(
        self,
        upstream: str,
        width: int | None,
        view: View,
        *,
        grad_factor: float = 1.0,
        private_layers: int = 0,
    ) -> None:
        super().__init__(upstream_name=upstream, width=width)  # type: ignore[arg-type]
        self._func = forward
        self.view = view
        self.grad_factor = grad_factor
        self.private_layers = private_layers
        # The encoder component, set when it finds this listener: the way in for `encode`. It is no
        # layer below this one, so nobody saves or steps it through a head.
        self.encoder: Any = None


def build_listener_v1(
    upstream: str = "*",
    width: int | None = None,
    output: Literal["tokens", "pieces", "cls", "mean"] = "tokens",
    layer: int = -1,
    grad_factor: float = 1.0,
    private_layers: int = 0,
) -> Model[list[Doc], list[Floats2d]]:
    """Build a listener (registered as `spacy_llm_tasks.Listener.v1`).

    upstream (str): Name of the encoder component, or "*" for any.
    width (int): Width of the rows; null takes it from the encoder.
    output (str): "tokens": a row per token; "pieces": a row per piece; "cls" or "mean"
        (over all pieces, special ones included): one row per doc.
    layer (int): -1 for the encoder's output, 0 for its embeddings, k for block k.
    grad_factor (float): Factor on the gradient that this head sends to the encoder. Losses of
        different tasks have different sizes: where several heads train one encoder, this keeps one
        from drowning out another. 0 keeps the encoder out of this head's training.
    private_layers (int): Give this head so many last blocks of the encoder for itself, copies of
        the shared ones when training begins: for a task that sharing costs too much. The blocks
        below are still read once for all; each private block costs the time of one.
    RAISES (ValueError): if an inner layer is to be read through private blocks.
    """
    if private_layers < 0 or (private_layers and layer != -1):
        raise ValueError(Errors.E457.format(found=private_layers, layer=layer))
    return Listener(
        upstream,
        width,
        View(output, layer),
        grad_factor=grad_factor,
        private_layers=private_layers,
    )


def require_read(model: Model, docs: Sequence[Doc], *, name: str | None = None) -> None:
    """Check that the shared encoder has read all docs, if the model listens to one at all.

    model (Model): The model of a head.
    docs (Sequence[Doc]): Docs to predict on.
    name (str): The head's component, for the message; None for the one that the encoder knows.
    RAISES (ValueError): if a doc has tokens but no rows.
    """
    for node in model.walk():
        if isinstance(node, Tok2VecListener) and getattr(node, "view", TOKENS).kind != NONE:
            if any(len(doc) and doc.tensor.size == 0 for doc in docs):
                reader, encoder = name or _component_of(node), upstream_of(node)
                reader = f"'{reader}'" if reader else "a component"
                raise ValueError(Errors.E407.format(reader=reader, encoder=encoder))


def _component_of(listener: Tok2VecListener) -> str | None:
    encoder = getattr(listener, "encoder", None)
    known = {} if encoder is None else encoder.listener_map
    return next((name for name, listeners in known.items() if listener in listeners), None)


def upstream_of(tok2vec: Model) -> str:
    """RETURNS (str): What a layer reads from, for messages."""
    name = getattr(tok2vec, "upstream_name", tok2vec.name)
    return "a `trf_encoder`" if name == "*" else f"'{name}' (a `trf_encoder`)"


def forward(
    model: Listener, docs: Sequence[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable]:
    """Hand over the rows of the encoder's pass over these docs."""
    if is_train and model._batch_id is not None:
        model.verify_inputs(docs)
        backprop: Any = model._backprop
        if model.grad_factor != 1.0:
            backprop = partial(_scaled, backprop, model.grad_factor)
        return model._outputs, backprop  # type: ignore[return-value]
    if is_train:  # a frozen encoder must have annotated: nobody shall learn from zeros
        require_read(model, docs)
    return [_stored_rows(model, doc) for doc in docs], _no_backprop


def _stored_rows(model: Listener, doc: Doc) -> Any:
    if model.view == TOKENS:
        if doc.tensor.size == 0:
            return model.ops.alloc2f(len(doc), model.get_dim("nO"))
        return doc.tensor
    # A component that is sourced under another name has it for the pipeline of its listeners too.
    encoder = model.upstream_name if model.encoder is None else model.encoder.name
    rows = recall(doc, encoder, model.view)
    if rows is None:
        view = f"{model.view.kind} of layer {model.view.layer}"
        raise ValueError(Errors.E408.format(upstream=model.upstream_name, view=view))
    return rows


def _scaled(backprop: Callable, factor: float, d_rows: list[Floats2d]) -> list[Doc]:
    return backprop([d * factor for d in d_rows])


def _no_backprop(d_rows: list[Floats2d]) -> list[Doc]:
    return []
