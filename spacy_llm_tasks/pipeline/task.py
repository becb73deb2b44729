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

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, get_type_hints

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Model
from torch import Tensor, nn


@dataclass(kw_only=True)
class Task(ABC):
    """What is particular to one task.

    labels (Tuple[str]): The labels, in the order of the logits.
    learned (Dict[str, Any]): What initialisation and calibration found out; JSON types only.
    """

    labels: tuple[str, ...] = field(default=(), init=False)
    learned: dict[str, Any] = field(default_factory=dict, init=False)

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
        """

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


def register_task(
    factory: str,
    *,
    model: dict[str, Any],
    scorer: dict[str, Any] | None = None,
    assigns: Sequence[str] = (),
    requires: Sequence[str] = (),
    score_weights: dict[str, float | None] | None = None,
) -> Callable[[type[Task]], type[Task]]:
    """Make a spaCy factory of a task class.

    factory (str): The factory's name, as for `nlp.add_pipe`.
    model (dict): Default config of the model.
    scorer (dict): Default config of the scorer; None scores by the task's own `score`.
    assigns, requires (Sequence[str]): Attributes, as for `Language.factory`.
    score_weights (dict): Default weights of the scores, None to leave one out of the table.
    RETURNS (Callable): A decorator for a dataclass derived from `Task`.
    """

    def register(task_class: type[Task]) -> type[Task]:
        settings = [f for f in fields(task_class) if f.init]
        defaults = {
            f.name: f.default if f.default_factory is MISSING else f.default_factory()
            for f in settings
        }
        Language.factory(
            factory,
            default_config={"model": model, "scorer": scorer, **defaults},
            assigns=list(assigns),
            requires=list(requires),
            default_score_weights=score_weights or {},
            func=_factory_function(task_class, settings),
        )
        return task_class

    return register


def _factory_function(task_class: type[Task], settings: Sequence[Any]) -> Callable:
    """A factory with one argument per setting, so that spaCy checks and documents each by name."""
    from .task_pipe import TaskPipe

    def make(
        nlp: Language, name: str, model: Model, scorer: Callable | None, **config: Any
    ) -> TaskPipe:
        return TaskPipe(nlp.vocab, model, name, task=task_class(**config), scorer=scorer)

    # Resolved, since under `from __future__ import annotations` they are strings, unchecked.
    types = get_type_hints(task_class)
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("nlp", keyword, annotation=Language),
        inspect.Parameter("name", keyword, annotation=str),
        inspect.Parameter("model", keyword, annotation=Model),
        inspect.Parameter("scorer", keyword, annotation=Callable | None),
        *(inspect.Parameter(f.name, keyword, annotation=types[f.name]) for f in settings),
    ]
    make.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    make.__doc__ = task_class.__doc__
    return make
