"""From a Doc to the component that can answer for it: by the vocabulary that both share."""

from weakref import WeakSet

from spacy.tokens import Doc

from ..errors import Errors
from .task_pipe import TaskPipe

_components: WeakSet[TaskPipe] = WeakSet()


def announce(component: TaskPipe) -> None:
    """Let a component be found, for as long as it lives."""
    _components.add(component)


def owner_of(doc: Doc, kind: type[TaskPipe], factory: str) -> TaskPipe:
    """Find the component of a doc's pipeline.

    doc (Doc): A doc that a pipeline made.
    kind (type[TaskPipe]): The class of the component.
    factory (str): Its factory, for the message.
    RETURNS (TaskPipe): The component.
    RAISES (ValueError): If no pipeline with this vocabulary has one, or more than one has.
    """
    found = [c for c in _components if isinstance(c, kind) and c.vocab is doc.vocab]
    if len(found) != 1:
        raise ValueError(Errors.E430.format(factory=factory, found=len(found)))
    return found[0]
