"""From a Doc to the component that can answer for it, by the vocabulary that both share; from a
pipeline to its component of a kind."""

import gc
from typing import TypeVar
from weakref import WeakKeyDictionary

from spacy.language import Language
from spacy.tokens import Doc
from spacy.vocab import Vocab

from ..errors import Errors
from .task_pipe import TaskPipe

Pipe = TypeVar("Pipe", bound=TaskPipe)

# A component has its own vocabulary, and that of every pipeline that was given the component with
# `nlp.add_pipe(..., source=...)`: spaCy shares the object and leaves its vocabulary as it was. A
# vocabulary has no weak references and is large, so the latest few are kept.
_vocabs: WeakKeyDictionary[TaskPipe, list[Vocab]] = WeakKeyDictionary()
MOST_VOCABS = 16


def announce(component: TaskPipe, vocab: Vocab) -> None:
    """Let a component be found for the docs of a vocabulary, until it has met many others."""
    known = _vocabs.setdefault(component, [component.vocab])
    if not any(vocab is other for other in known):
        known.append(vocab)
        del known[1:-MOST_VOCABS]


def owner_of(doc: Doc, kind: type[TaskPipe], factory: str) -> TaskPipe:
    """Find the component of a doc's pipeline.

    doc (Doc): A doc that a pipeline made.
    kind (type[TaskPipe]): The class of the component.
    factory (str): Its factory, for the message.
    RETURNS (TaskPipe): The component.
    RAISES (ValueError): If no pipeline with this vocabulary has one, or more than one has.
    """
    if len(_known(doc, kind)) > 1:
        gc.collect()  # one that was removed from its pipeline may still wait for this
    found = _known(doc, kind)
    if len(found) != 1:
        raise ValueError(Errors.E430.format(factory=factory, found=len(found)))
    return found[0]


def _known(doc: Doc, kind: type[TaskPipe]) -> list[TaskPipe]:
    return [
        component
        for component, vocabs in list(_vocabs.items())
        if isinstance(component, kind) and any(vocab is doc.vocab for vocab in vocabs)
    ]


def component_of(nlp: Language, kind: type[Pipe], factory: str) -> Pipe:
    """Find the component of a pipeline, the first if there are several.

    nlp (Language): The pipeline.
    kind (type[TaskPipe]): The class of the component.
    factory (str): Its factory, for the message.
    RETURNS (TaskPipe): The component.
    RAISES (ValueError): If there is none.
    """
    for _, component in nlp.pipeline:
        if isinstance(component, kind):
            return component
    raise ValueError(Errors.E430.format(factory=factory, found=0))
