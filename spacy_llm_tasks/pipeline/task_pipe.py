"""`TaskPipe`: the one spaCy component behind every task of the task API."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import srsly
import torch
from spacy import util
from spacy.language import Language
from spacy.pipeline.trainable_pipe import TrainablePipe
from spacy.tokens import Doc
from spacy.training import Example, validate_examples, validate_get_examples
from spacy.vocab import Vocab
from thinc.api import Model, Optimizer, set_dropout_rate
from torch import Tensor

from ..errors import Errors, Warnings
from ..layers.encode import Inputs, Pairs, apart, layout
from ..layers.joint import Joint
from ..layers.listener import require_read
from ..layers.shim import TorchShim
from ..layers.task_head import HeadInput, build_head, shim_of
from ..tokenization.sequences import Sequences
from .groups import bounded_groups
from .task import Task

# Docs are scored in groups of about this many tokens, so that memory stays bounded.
TOKENS_PER_GROUP = 16_384


class TaskPipe(TrainablePipe):
    """Runs a `Task` as a trainable component.

    vocab (Vocab): The shared vocabulary.
    model (Model[List[Doc], Tensor]): A head, made by `layers.task_head.task_model`.
    name (str): The component's name.
    task (Task): What is particular to the task.
    scorer (Callable): Scores examples instead of the task's own `score`, or None.
    """

    def __init__(
        self, vocab: Vocab, model: Model, name: str, *, task: Task, scorer: Callable | None = None
    ) -> None:
        self.vocab = vocab
        self.model = model
        self.name = name
        self.task = task
        self.scorer = scorer
        self.cfg: dict[str, Any] = {"labels": [], "learned": {}}
        self._unknown: set[str] = set()  # labels of which `update` has warned
        self._bind()

    def _bind(self) -> None:
        """Show the task what was saved, and the head what the task has learned."""
        self.task.labels = tuple(self.cfg["labels"])
        self.task.learned = self.cfg["learned"]
        self.task.run, self.task.layout, self.task.apart = self.run, self.layout, self.apart
        if self._shim.is_built:
            self.task.configure(self._shim.module)

    @property
    def _shim(self) -> TorchShim:
        return shim_of(self.model)

    def _require_head(self) -> None:
        if not self._shim.is_built:
            raise ValueError(Errors.E453.format(name=self.name))

    # Labels --------------------------------------------------------------------------------------

    @property
    def labels(self) -> tuple[str, ...]:
        """RETURNS (Tuple[str]): The labels."""
        return self.task.labels

    @property
    def label_data(self) -> list[str]:
        """RETURNS (List[str]): What `spacy init labels` saves and `initialize` takes back."""
        return list(self.task.labels)

    def add_label(self, label: str) -> int:
        """Add a label before initialisation.

        label (str): The label.
        RETURNS (int): 1, or 0 if it was there.
        RAISES (ValueError): if it is not a string, or the head already has its size.
        """
        if not isinstance(label, str):
            raise ValueError(Errors.E417.format(found=label))
        if label in self.labels:
            return 0
        if self._shim.is_built:
            raise ValueError(Errors.E418.format(name=self.name, label=label, known=self.labels))
        return self._append_label(label)

    def _append_label(self, label: str) -> int:
        self.cfg["labels"].append(label)
        self.vocab.strings.add(label)
        self._bind()
        return 1

    # Predicting ----------------------------------------------------------------------------------

    def predict(self, docs: Iterable[Doc]) -> list[Any]:
        """Predict without changing the docs.

        docs (Iterable[Doc]): Any docs, empty ones included.
        RETURNS (List[Any]): One prediction per doc.
        RAISES (ValueError): if no encoder has read the docs, or the component was never
            initialized.
        """
        docs = list(docs)
        require_read(self.model, docs, name=self.name)
        predictions: list[Any] = []
        for group, logits in self._logits(docs):
            predictions.extend(self.task.decode(logits, group))
        return predictions

    def run(self, inputs: HeadInput) -> Tensor:
        """Run the head without a graph.

        inputs (HeadInput): Docs, texts or both.
        RETURNS (Tensor): What the head returns.
        RAISES (ValueError): if the component was never initialized.
        """
        self._require_head()
        return self.model.predict(inputs)

    def layout(self, inputs: Inputs) -> Sequences:
        """RETURNS (Sequences): Texts or pairs laid out as the encoder will read them."""
        return layout(self.model.get_ref("tok2vec"), inputs)

    def apart(self, pairs: Pairs, *, after: int, is_train: bool = False) -> Joint:
        """RETURNS (Joint): Pairs whose texts the encoder's lower layers read apart."""
        return apart(self.model.get_ref("tok2vec"), pairs, after=after, is_train=is_train)

    def _logits(self, docs: Sequence[Doc]) -> Iterator[tuple[list[Doc], Tensor]]:
        for group in bounded_groups(docs, len, TOKENS_PER_GROUP):
            yield group, self.run(self.task.inputs(group))

    def set_annotations(self, docs: Iterable[Doc], predictions: Sequence[Any]) -> None:
        """Write predictions to their docs."""
        for doc, prediction in zip(docs, predictions, strict=True):
            self.task.annotate(doc, prediction)

    # Training ------------------------------------------------------------------------------------

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Learn from a batch. Without gold annotation for this task, nothing is learned from it.

        examples (Iterable[Example]): A batch of examples.
        drop (float): The dropout rate.
        sgd (Optimizer): Steps the head's weights, if given.
        losses (Dict[str, float]): Takes the loss under the component's name.
        RETURNS (Dict[str, float]): The losses.
        RAISES (ValueError): if the component was never initialized.
        """
        self._require_head()
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, "TaskPipe.update")
        self._warn_of_unknown(examples)
        targets = self.task.targets(examples) if examples else None
        if targets is None:
            return losses
        set_dropout_rate(self.model, drop)
        docs = [eg.predicted for eg in examples]
        logits, backprop = self.model.begin_update(self.task.inputs(docs, targets))
        loss, d_logits = self._loss(logits, targets)
        backprop(d_logits)
        if sgd not in (None, False):
            self.finish_update(sgd)
        losses[self.name] += loss
        return losses

    def _warn_of_unknown(self, examples: Sequence[Example]) -> None:
        found = {label for eg in examples for label in self.task.labels_of(eg)}
        unknown = found - {*self.labels, *self._unknown}
        if unknown:
            self._unknown |= unknown
            message = Warnings.W419.format(
                name=self.name, unknown=sorted(unknown), known=self.labels
            )
            warnings.warn(message, stacklevel=3)

    def get_loss(  # type: ignore[override]
        self, examples: Iterable[Example], scores: Tensor
    ) -> tuple[float, Tensor]:
        """RETURNS (Tuple[float, Tensor]): The loss and its gradient in the logits."""
        targets = self.task.targets(list(examples))
        if targets is None:
            return 0.0, torch.zeros_like(scores)
        return self._loss(scores, targets)

    def _loss(self, logits: Tensor, targets: Any) -> tuple[float, Tensor]:
        logits = logits.detach().requires_grad_(True)
        loss = self.task.loss(logits, _moved(targets, logits.device))
        loss.backward()
        gradient = torch.zeros_like(logits) if logits.grad is None else logits.grad
        return loss.item(), gradient

    def initialize(  # type: ignore[override]
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        """Collect the labels and build the head.

        get_examples (Callable[[], Iterable[Example]]): Gives the training examples.
        nlp (Language): The pipeline.
        labels (Sequence[str]): The labels, instead of collecting them from the examples.
        RAISES (ValueError): if there are no examples or no labels.
        """
        validate_get_examples(get_examples, "TaskPipe.initialize")
        sample = [eg.predicted for eg in islice(get_examples(), 10)]
        if not sample:
            raise ValueError(Errors.E410.format(name=self.name))
        found = {label for eg in get_examples() for label in self.task.labels_of(eg)}
        if labels is not None and found - set(labels):
            unknown = sorted(found - set(labels))
            raise ValueError(Errors.E419.format(name=self.name, unknown=unknown, known=labels))
        for label in labels if labels is not None else sorted(found):
            if label not in self.labels:  # a head that was built before is built anew below
                self._append_label(label)
        if self.task.needs_labels and not self.labels:
            raise ValueError(Errors.E420.format(name=self.name))
        self.task.prepare(get_examples())
        build_head(self.model, sample, n_labels=len(self.labels), name=self.name)
        self._bind()

    # Scoring -------------------------------------------------------------------------------------

    def score(self, examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
        """RETURNS (Dict[str, Any]): Scores of predicted against gold annotation."""
        if self.scorer is not None:
            return self.scorer(examples, labels=self.labels, **self.task.scoring, **kwargs)
        return self.task.score(examples)

    def calibrate(self, examples: Sequence[Example]) -> bool:
        """Fit temperatures and thresholds on held-out examples whose docs went through the
        pipeline.

        examples (Sequence[Example]): `predicted` docs that the components before this one have
            read.
        RETURNS (bool): Whether there was something to fit.
        """
        logits: list[Tensor] = []
        for group, batch in self._logits([eg.predicted for eg in examples]):
            logits.extend(part.cpu() for part in self.task.split(batch, group))
        fitted = self.task.calibrate(examples, logits)
        self._bind()
        return fitted

    def reliability(self, examples: Sequence[Example]) -> tuple[np.ndarray, np.ndarray]:
        """Confidences of predictions, and which of these are right, to measure calibration by.

        examples (Sequence[Example]): Predicted and gold docs.
        RETURNS (Tuple[ndarray, ndarray]): Confidences in 0..1 and bools, of one length.
        """
        return self.task.reliability(examples)

    # Saving --------------------------------------------------------------------------------------

    def from_bytes(self, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> "TaskPipe":
        """Load what `to_bytes` gave.

        RAISES (ValueError): if the head's weights are damaged, or its labels are not these.
        """
        super().from_bytes(bytes_data, exclude=exclude)
        self._check_labels()
        self._bind()
        return self

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> "TaskPipe":
        """Load what `to_disk` saved.

        RAISES (ValueError): if a file is missing or damaged, or the head's labels are not these.
        """
        deserialize: dict[str, Callable[[Path], Any]] = {
            "cfg": partial(_read, lambda p: self.cfg.update(srsly.read_json(p))),
            "vocab": lambda p: self.vocab.from_disk(p, exclude=exclude),
            "model": partial(_read, self._load_head),
        }
        util.from_disk(path, deserialize, exclude)
        self._bind()
        return self

    def _load_head(self, path: Path) -> None:
        self.model.from_bytes(path.read_bytes())
        self._check_labels()

    def _check_labels(self) -> None:
        found = len(self.cfg["labels"])
        if self._shim.is_built and found != (expected := self._shim.cfg["sizes"]["n_labels"]):
            raise ValueError(Errors.E452.format(name=self.name, found=found, expected=expected))


def _read(load: Callable[[Path], Any], path: Path) -> None:
    """Load from a file. RAISES (ValueError): naming the file, if it is missing or damaged."""
    if not path.exists():
        raise ValueError(Errors.E413.format(path=path))
    try:
        load(path)
    except Exception as error:  # damaged bytes fail wherever they happen to lead
        problem = str(error) if isinstance(error, ValueError) else repr(error)
        raise ValueError(Errors.E423.format(path=path, error=f"{problem.rstrip('.')}.")) from error


def _moved(targets: Any, device: torch.device) -> Any:
    """Targets on the device of the logits: tensors, also in tuples, lists and dicts."""
    if isinstance(targets, Tensor):
        return targets.to(device)
    if type(targets) in (tuple, list):
        return type(targets)(_moved(part, device) for part in targets)
    if type(targets) is dict:
        return {key: _moved(part, device) for key, part in targets.items()}
    return targets
