"""`trf_encoder`: reads a batch of docs once, for every component that listens to it."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import srsly
from spacy import util
from spacy.language import Language
from spacy.pipeline.tok2vec import Tok2Vec, Tok2VecListener
from spacy.tokens import Doc
from spacy.training import Example, validate_examples, validate_get_examples
from spacy.vocab import Vocab
from thinc.api import Config, Model, Optimizer, set_dropout_rate
from thinc.types import Floats2d
from torch import Tensor

from ..errors import Errors
from ..layers import trf_data
from ..layers.doc_encoder import NONE, TOKENS, View
from ..layers.encode import Backprop, Encoded, Inputs, ignore, predict_texts, update_texts
from ..layers.encoder import Gradients, Views, install, predict_views, shim_of, update_views
from ..layers.listener import Listener, remember
from ..nn.config import TransformerConfig
from ..tokenization.tokenizer import PieceTokenizer
from . import encoder_files
from .groups import bounded_groups
from .init_tok2vec import find_init_tok2vec, take_shape
from .pending import PendingUpdate

DEFAULT_ENCODER_MODEL = Config().from_str(
    """
    [model]
    @architectures = "spacy_llm_tasks.Transformer.v1"
    """
)["model"]

# Docs are encoded in groups of about this many characters, so that `nlp.pipe` with large buffers
# of large docs keeps a bounded number of states in memory.
CHARACTERS_PER_GROUP = 250_000

# The layers that each encoder was ever linked to and that still live, outside of the components:
# copies and pickles have nothing to do with them.
_once_linked: WeakKeyDictionary["EncoderComponent", WeakSet[Tok2VecListener]] = WeakKeyDictionary()


@Language.factory(
    "trf_encoder", assigns=["doc.tensor"], default_config={"model": DEFAULT_ENCODER_MODEL}
)
def make_encoder(
    nlp: Language, name: str, model: Model[list[Doc], list[Floats2d]]
) -> "EncoderComponent":
    """Make the shared encoder.

    model (Model[List[Doc], List[Floats2d]]): `spacy_llm_tasks.Transformer.v1`.
    """
    return EncoderComponent(nlp.vocab, model, name)


class EncoderComponent(Tok2Vec):
    """The shared encoder: one row per token on `doc.tensor`, and gradients from all who listen.

    It is a `spacy.pipeline.tok2vec.Tok2Vec`, so every stock component trains and predicts on it
    through `spacy.Tok2VecListener.v1`, and through `spacy-transformers.TransformerListener.v1` too.
    It differs where the stock one loses something: the gradients of all listeners are summed and
    run backward once, whichever of them answered; docs are batched by size; dropout reaches torch.

    vocab (Vocab): The shared vocabulary.
    model (Model[List[Doc], List[Floats2d]]): The encoder layer.
    name (str): The component's name, which listeners call their upstream.
    """

    def __init__(self, vocab: Vocab, model: Model, name: str = "transformer") -> None:
        self._listener_map: dict[str, list[Tok2VecListener]] = {}
        super().__init__(vocab, model, name)
        self._pending: PendingUpdate | None = None

    # Listening -----------------------------------------------------------------------------------

    def find_listeners(self, component: Any) -> None:
        """Link every layer of a component that listens to this encoder, of whichever kind."""
        if not isinstance(getattr(component, "model", None), Model):
            return
        for node in component.model.walk():
            if getattr(node, "upstream_name", None) not in ("*", self.name):
                continue
            if isinstance(node, Tok2VecListener) or trf_data.is_listener(node):
                self.add_listener(node, component.name)
                if isinstance(node, Listener):
                    node.encoder = self
                    self._name_branch(node, component.name)
                elif trf_data.is_listener(node):
                    trf_data.install_extension()
        self._fit_listeners()

    @property
    def listener_map(self) -> dict[str, list[Tok2VecListener]]:
        """RETURNS (Dict[str, List[Model]]): The layers that listen, by component."""
        return self._listener_map

    @listener_map.setter
    def listener_map(self, linked: dict[str, list[Tok2VecListener]]) -> None:
        # spaCy links anew, and to one pipeline alone, when a component is sourced by another. The
        # pipeline it comes from goes on predicting.
        for listeners in self._listener_map.values():
            _once_linked.setdefault(self, WeakSet()).update(listeners)
        self._listener_map = linked

    def _name_branch(self, listener: Listener, name: str) -> None:
        """Private blocks are kept under the name of the component, under a new one if a component
        is sourced under another name."""
        if not listener.private_layers:
            return
        if listener.view.branch != name:
            shim_of(self.model).rename_branch(listener.view.branch, name)
        listener.view = listener.view._replace(branch=name)

    def _fit_listeners(self, *, loaded: bool = False) -> None:
        """Tell the listeners the encoder's width, and give those their private blocks that shall
        have some; a loaded encoder must have these."""
        if self.model.has_dim("nO"):
            width = self.model.get_dim("nO")
            for listener in self.listeners:
                if listener.has_dim("nO") and listener.get_dim("nO") != width:
                    found = listener.get_dim("nO")
                    raise ValueError(Errors.E409.format(found=found, width=width, name=self.name))
                listener.set_dim("nO", width, force=True)
        shim = shim_of(self.model)
        for listener in self.listeners if shim.is_built else ():
            if isinstance(listener, Listener) and listener.private_layers:
                shim.need_branch(listener.view.branch, listener.private_layers, add=not loaded)

    @property
    def views(self) -> set[View]:
        """RETURNS (set[View]): What the linked listeners read, token rows always included."""
        views = {_view_of(listener) for listener in (*self.listeners, *_once_linked.get(self, ()))}
        return {TOKENS} | {view for view in views if view.kind != NONE}

    # Predicting ----------------------------------------------------------------------------------

    def predict(self, docs: Iterable[Doc]) -> Views:  # type: ignore[override]
        """Encode docs without changing them.

        docs (Iterable[Doc]): Any docs, empty ones included.
        RETURNS (Dict[View, List[Floats2d]]): For each view that somebody reads, one array per doc.
        """
        self._step_if_due()
        docs, views = list(docs), self.views
        rows: Views = {view: [] for view in views}
        for group in bounded_groups(docs, _n_characters, CHARACTERS_PER_GROUP):
            for view, group_rows in predict_views(self.model, group, views).items():
                rows[view].extend(group_rows)
        return rows

    def set_annotations(self, docs: Sequence[Doc], rows: Views) -> None:  # type: ignore[override]
        """Write the token rows to `doc.tensor` and keep the other views for the listeners."""
        for view, arrays in rows.items():
            for doc, array in zip(docs, arrays, strict=True):
                if view == TOKENS:
                    doc.tensor = array  # type: ignore[assignment]
                else:
                    remember(doc, self.name, view, array)
        if any(trf_data.is_listener(listener) for listener in self.listeners):
            trf_data.annotate(docs, rows[TOKENS])

    def encode(
        self, inputs: Inputs, *, is_train: bool = False, listener: Listener | None = None
    ) -> tuple[Encoded, Backprop]:
        """Read texts or pairs of texts in a pass of their own, for the head that asks.

        Heads come here through `layers.encode.encode`, which works for heads with an encoder of
        their own too.

        inputs (Sequence): Texts, or pairs of texts.
        is_train (bool): Whether gradients will come back. Ignored while the encoder is frozen,
            which shows in that `update` was not called before.
        listener (Listener): Who asks. With the gradient of its texts, one that reads no docs has
            given its answer.
        RETURNS (tuple): The rows of all positions, and a function that takes their gradient.
        """
        pending = self._pending
        view = TOKENS if listener is None else listener.view
        if not is_train or pending is None:
            self._step_if_due()
            return predict_texts(self.model, inputs, view=view), ignore
        encoded, backward = update_texts(self.model, inputs, view=view)

        def backprop(d_rows: Tensor) -> None:
            backward(d_rows)
            pending.has_other_gradients = True
            if listener in self.listeners and _view_of(listener).kind == NONE:
                pending.answered(self.listeners.index(listener))
                self._step_if_complete(pending)

        return encoded, backprop

    # Training ------------------------------------------------------------------------------------

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Encode a training batch and hand it to the listeners, whose gradients are awaited.

        Backward runs once for all of them: at `finish_update`, or before the next `update`.

        examples (Iterable[Example]): A batch of examples.
        drop (float): The dropout rate.
        sgd (Optimizer): Steps the encoder as soon as every listener has answered. spaCy's training
            loop gives none and calls `finish_update` itself.
        losses (Dict[str, float]): Takes the sum of the squared gradients under the component's
            name, as spaCy's `tok2vec` reports it.
        RETURNS (Dict[str, float]): The losses.
        """
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, "EncoderComponent.update")
        self._flush()
        docs = [eg.predicted for eg in examples]
        if not docs:
            return losses
        set_dropout_rate(self.model, drop)
        rows, backward = self._read(docs)
        pending = PendingUpdate(backward, losses, self.name, len(self.listeners))
        self._pending = pending
        pending.sgd = sgd
        batch_id = Tok2VecListener.get_batch_id(docs)
        for index, listener in enumerate(self.listeners):
            view = _view_of(listener)
            if view.kind == NONE:
                continue
            collect = partial(self._collect, pending, index, view)
            if trf_data.is_listener(listener):
                listener.receive(batch_id, *trf_data.wrap(rows[view], collect))
            else:
                listener.receive(batch_id, rows[view], collect)
        return losses

    def _read(self, docs: Sequence[Doc]) -> tuple[Views, Callable[[Gradients], None]]:
        """The pass over the docs of an update, if anybody reads it."""
        if self.listeners and all(_view_of(listener).kind == NONE for listener in self.listeners):
            return {}, _no_pass
        rows, backward = update_views(self.model, docs, self.views)
        # A component that annotates later in this update finds its rows without another pass.
        self.set_annotations(docs, rows)
        return rows, backward

    def _collect(
        self, pending: PendingUpdate, index: int, view: View, d_rows: list[Floats2d]
    ) -> list[Doc]:
        """Take a listener's gradient; once all have answered and a step is due, do it."""
        pending.add(index, view, d_rows)
        self._step_if_complete(pending)
        return []

    def _step_if_complete(self, pending: PendingUpdate) -> None:
        if pending.sgd is not None and pending.is_complete and pending is self._pending:
            self._flush()

    def finish_update(self, sgd: Optimizer) -> None:
        """Run backward for the gradients that have come in and step the encoder's weights.

        `nlp.update(..., sgd=optimizer)` calls this before the heads have answered: the step then
        waits until they have.
        """
        pending = self._pending
        if pending is not None and not pending.has_gradients:
            pending.sgd = sgd
            self.model.finish_update(sgd)
            return
        self._flush()
        self.model.finish_update(sgd)

    def _step_if_due(self) -> None:
        """Take the step that waits for heads which did not answer, as before a prediction.

        A pass that nobody has answered yet is left alone: an annotating encoder predicts between
        its own update and those of its heads, whose gradients are still to come.
        """
        pending = self._pending
        if pending is not None and pending.sgd is not None and pending.has_gradients:
            self._flush()

    def _flush(self) -> None:
        """Run the backward pass that is due, and the step if one is waiting for it."""
        pending, self._pending = self._pending, None
        if pending is None:
            return
        # A head that trains on while the encoder is frozen must not find the rows of this pass.
        for listener in self.listeners:
            listener._batch_id = listener._outputs = listener._backprop = None
        if not pending.has_gradients:
            return
        pending.run()
        if pending.sgd is not None:
            self.model.finish_update(pending.sgd)

    def initialize(  # type: ignore[override]
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        weights: str | Path | None = None,
        tokenizer: str | Path | None = None,
    ) -> None:
        """Fill the encoder from a checkpoint, or with random weights around a tokenizer.

        Settings come from `[initialize.components.NAME]`; a saved pipeline loads without them.
        Without both, the file that `[initialize] init_tok2vec` names will fill it (`init_tok2vec`).

        get_examples (Callable[[], Iterable[Example]]): Gives a sample of training examples.
        nlp (Language): The pipeline.
        weights (str / Path): Folder with a published checkpoint (`config.json`,
            `model.safetensors`, and `tokenizer.json` or `vocab.txt`).
        tokenizer (str / Path): Folder or `tokenizer.json` to use instead of the checkpoint's own;
            required without weights.
        RAISES (ValueError): if there is nothing to initialise from, or the files do not fit.
        """
        validate_get_examples(get_examples, "EncoderComponent.initialize")
        if not list(islice(get_examples(), 1)):
            raise ValueError(Errors.E410.format(name=self.name))
        if weights is not None:
            encoder_files.fill(self.model, weights, tokenizer)
        elif tokenizer is not None:
            pieces = PieceTokenizer.from_folder(tokenizer)
            wanted = {k: v for k, v in shim_of(self.model).architecture.items() if v is not None}
            config = TransformerConfig(
                n_pieces=pieces.n_pieces, pad_piece=pieces.special.pad, **wanted
            )
            install(self.model, config, pieces)
        elif (path := find_init_tok2vec(nlp, self.name)) is not None:
            take_shape(self.model, path)
        elif not shim_of(self.model).is_built:
            raise ValueError(Errors.E411.format(name=self.name))
        self._fit_listeners()

    # Saving --------------------------------------------------------------------------------------

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Save the encoder in files of their own: config, tokenizer, memory-mapped weights."""
        self._step_if_due()
        serialize = {
            "cfg": lambda p: srsly.write_json(p, self.cfg),
            "vocab": lambda p: self.vocab.to_disk(p, exclude=exclude),
            "encoder": lambda p: encoder_files.save(p, self.model),
        }
        util.to_disk(path, serialize, exclude)

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> "EncoderComponent":
        """Load what `to_disk` saved. RAISES (ValueError): if a file is missing or damaged."""
        deserialize: dict[str, Callable[[Path], Any]] = {
            "cfg": lambda p: self.cfg.update(srsly.read_json(p)),
            "vocab": lambda p: self.vocab.from_disk(p, exclude=exclude),
            "encoder": lambda p: encoder_files.load(p, self.model),
        }
        util.from_disk(path, deserialize, exclude)
        self._fit_listeners(loaded=True)
        return self

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        self._step_if_due()
        return super().to_bytes(exclude=exclude)

    def from_bytes(self, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> "EncoderComponent":
        super().from_bytes(bytes_data, exclude=exclude)
        self._fit_listeners(loaded=True)
        return self


def _no_pass(gradients: Gradients) -> None:
    """The way back through a pass that nobody needed."""


def _view_of(listener: Any) -> View:
    return listener.view if isinstance(listener, Listener) else TOKENS


def _n_characters(doc: Doc) -> int:
    return doc[-1].idx + len(doc[-1]) if len(doc) else 0
