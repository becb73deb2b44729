"""How a value is kept in `doc.user_data`: under a string key, with the length of its text."""

from typing import Any

from spacy.tokens import Doc

from ..errors import Errors


def n_characters(doc: Doc) -> int:
    """Length of `doc.text` in characters, without building it."""
    if not len(doc):
        return 0
    last = doc[len(doc) - 1]
    return last.idx + len(last.text_with_ws)


def store(doc: Doc, key: str, value: Any) -> None:
    """Keep a value on a Doc.

    doc (Doc): The Doc.
    key (str): A name of the package's own.
    value (Any): Lists, strings, numbers, bytes and dicts with string keys.
    """
    doc.user_data[key] = [n_characters(doc), value]


def load(doc: Doc, key: str, default: Any) -> Any:
    """Read what `store` kept.

    doc (Doc): The Doc.
    key (str): The name.
    default (Any): What to return when nothing is kept.
    RETURNS (Any): The value.
    RAISES (ValueError): If it was kept for a text of another length.
    """
    stored = doc.user_data.get(key)
    if stored is None:
        return default
    expected, value = stored
    found = n_characters(doc)
    if found != expected:
        what = key.rpartition(".")[2]
        raise ValueError(Errors.E300.format(what=what, expected=expected, found=found, key=key))
    return value


def checked_score(score: Any, owner: object) -> float:
    """RETURNS (float): The score. RAISES (ValueError): if it is no number between 0 and 1, with its
    owner as text, which no other call has to make."""
    try:
        value = float(score)
    except (TypeError, ValueError):
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise ValueError(Errors.E303.format(what="score", found=owner))
    return value
