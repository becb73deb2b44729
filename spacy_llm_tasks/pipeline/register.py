"""`register_task`: from a task class to a spaCy factory."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

from spacy.language import Language
from thinc.api import Model

from .task import Task
from .task_pipe import TaskPipe


def register_task(
    factory: str,
    *,
    model: dict[str, Any],
    scorer: dict[str, Any] | None = None,
    assigns: Sequence[str] = (),
    requires: Sequence[str] = (),
    score_weights: dict[str, float | None] | None = None,
    pipe: type[TaskPipe] = TaskPipe,
) -> Callable[[type[Task]], type[Task]]:
    """Make a spaCy factory of a task class.

    factory (str): The factory's name, as for `nlp.add_pipe`.
    model (dict): Default config of the model.
    scorer (dict): Default config of the scorer; None scores by the task's own `score`.
    assigns, requires (Sequence[str]): Attributes, as for `Language.factory`.
    score_weights (dict): Default weights of the scores, None to leave one out of the table.
    pipe (type[TaskPipe]): The component's class, for a task with methods of its own to offer.
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
            func=_factory_function(task_class, settings, pipe),
        )
        return task_class

    return register


def _factory_function(
    task_class: type[Task], settings: Sequence[Any], pipe: type[TaskPipe]
) -> Callable:
    """A factory with one argument per setting, so that spaCy checks and documents each by name."""

    def make(
        nlp: Language, name: str, model: Model, scorer: Callable | None, **config: Any
    ) -> TaskPipe:
        return pipe(nlp.vocab, model, name, task=task_class(**config), scorer=scorer)

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
    # `spacy package` reads from here which installed package a pipeline needs.
    make.__module__ = task_class.__module__
    return make
