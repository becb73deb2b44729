"""The attributes under `doc._` and `span._`."""

import warnings
from collections.abc import Callable
from typing import Any

from spacy.tokens import Doc, Span

from ..errors import Warnings
from .confidence import get_confidence
from .embedding import get_embedding, set_embedding
from .pairs import get_pair, set_pair
from .questions import get_questions, set_questions
from .relations import get_relations, set_relations


def install_extensions() -> None:
    """Install `doc._.relations`, `doc._.questions`, `doc._.pair`, `doc._.embedding` and
    `span._.confidence`.

    Runs once on import and may be called again. A name that another package has taken is left to
    it, with a warning: the functions of this module work all the same.
    """
    _install(Doc, "relations", get_relations, set_relations)
    _install(Doc, "questions", get_questions, set_questions)
    _install(Doc, "pair", get_pair, set_pair)
    _install(Doc, "embedding", get_embedding, set_embedding)
    _install(Span, "confidence", get_confidence, None)


def _install(owner: Any, name: str, getter: Callable, setter: Callable | None) -> None:
    if not owner.has_extension(name):
        owner.set_extension(name, getter=getter, setter=setter)
        return
    found = owner.get_extension(name)[2]
    # By name, not identity: the module may have been reloaded.
    if (getattr(found, "__module__", None) or "").rpartition(".")[0] != __package__:
        warnings.warn(Warnings.W300.format(owner=owner.__name__, name=name), stacklevel=3)
