"""The task API: what a component must say, and nothing about how spaCy runs it.

A task is a small dataclass. Its fields are the settings that a config may set; `labels` and
`learned` are filled at initialisation and saved with the component. It turns gold annotations into
targets, logits into a torch loss, logits into annotations, and annotations into scores. Everything
else (prediction in batches, training, labels, serialisation, calibration) is `TaskPipe`'s, the same
for every task. `register_task` makes a spaCy factory of it:

    @register_task("my_task", model=MODEL, assigns=["doc.cats"], score_weights={"my_f": 1.0})
    @dataclass(kw_only=True)
    class MyTask(Task):
        threshold: float = 0.5
        ...
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from spacy.tokens import Doc
from spacy.training import Example
from torch import Tensor, nn

from ..layers.encode import Inputs
from ..layers.joint import Joint
from ..layers.task_head import HeadInput
from ..tokenization.sequences import Sequences


@dataclass(kw_only=True)
class Task(ABC):
    """What is particular to one task.

    labels (Tuple[str]): The labels, in the order of the logits.
    learned (Dict[str, Any]): What initialisation and calibration found out; JSON types only.
    run (Callable[[HeadInput], Tensor]): Runs the head without a graph, for a task that is asked
        something outside the pipeline's own pass, or whose score needs more than the docs.
    layout (Callable[[Inputs], Sequences]): Lays texts or pairs out as the encoder will read them.
    apart (Callable[..., Joint]): The same for pairs whose texts its lower layers read apart.
    """

    labels: tuple[str, ...] = field(default=(), init=False)
    learned: dict[str, Any] = field(default_factory=dict, init=False)
    run: Callable[[HeadInput], Tensor] = field(init=False, repr=False, compare=False)
    layout: Callable[[Inputs], Sequences] = field(init=False, repr=False, compare=False)
    apart: Callable[..., Joint] = field(init=False, repr=False, compare=False)

    #: Whether the task can do without labels (a head of fixed size).
    needs_labels: ClassVar[bool] = True

    @abstractmethod
    def labels_of(self, example: Example) -> Iterable[str]:
        """RETURNS (Iterable[str]): The labels that occur in an example's gold annotation."""

    @abstractmethod
    def targets(self, examples: Sequence[Example]) -> Any:
        """Turn gold annotation into what `loss` needs.

        examples (Sequence[Example]): A training batch.
        RETURNS (Any): The targets, or None if nothing in the batch is annotated for this task.
            Tensors, also those in a tuple, list or dict, reach `loss` on the logits' device.
        """

    def inputs(self, docs: Sequence[Doc], targets: Any = None) -> HeadInput:
        """What the head is given. By default the docs alone; a task may add a plan (which pairs to
        score, say), or texts that the encoder reads for it in a pass of its own.

        docs (Sequence[Doc]): The docs of a batch.
        targets (Any): In training, what `targets` made of the gold; None in prediction.
        RETURNS (HeadInput): The docs, and what goes with them.
        """
        return HeadInput(docs)

    @abstractmethod
    def loss(self, logits: Tensor, targets: Any) -> Tensor:
        """RETURNS (Tensor): A scalar, differentiable in the logits; autograd does the rest."""

    @abstractmethod
    def decode(self, logits: Tensor, docs: Sequence[Doc]) -> list[Any]:
        """RETURNS (List[Any]): One prediction per doc, in plain Python and numpy types."""

    @abstractmethod
    def annotate(self, doc: Doc, prediction: Any) -> None:
        """Write a prediction to its doc."""

    @abstractmethod
    def score(self, examples: Iterable[Example]) -> dict[str, Any]:
        """RETURNS (Dict[str, Any]): Scores; None where the gold has no such annotation."""

    @property
    def scoring(self) -> dict[str, Any]:
        """RETURNS (Dict[str, Any]): Settings for a scorer from the config, in `score`'s place."""
        return {}

    def prepare(self, examples: Iterable[Example]) -> None:  # noqa: B027
        """Learn from the training data before training, into `learned`. Optional."""

    def configure(self, head: nn.Module) -> None:  # noqa: B027
        """Hand `learned` to the head's module; called after it is built or loaded. Optional."""

    def calibrate(self, examples: Sequence[Example], logits: Sequence[Tensor]) -> bool:
        """Fit temperatures and thresholds on held-out examples, into `learned`. Optional.

        examples (Sequence[Example]): Held-out examples.
        logits (Sequence[Tensor]): The head's output for each of them.
        RETURNS (bool): Whether the task can be calibrated and something was fitted.
        """
        return False

    def reliability(self, examples: Sequence[Example]) -> tuple[np.ndarray, np.ndarray]:
        """Confidences of annotated predictions and whether each was right, for the ECE.

        RETURNS (Tuple[ndarray, ndarray]): (K,) floats in 0..1 and (K,) bools.
        """
        return np.zeros(0), np.zeros(0, dtype=bool)

    def split(self, logits: Tensor, docs: Sequence[Doc]) -> list[Tensor]:
        """Cut the logits of a batch into those of each doc. By default, one row per token."""
        return list(logits.split([len(doc) for doc in docs]))
