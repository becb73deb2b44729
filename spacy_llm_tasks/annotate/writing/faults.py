"""Documents that could not be annotated, as they are written to errors.jsonl."""

import json
import os
import re
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...files import PART, sync
from ..reading.rows import BadRow, Row

MAX_MESSAGE = 500
HIDDEN = "..."
# From one quotation mark to the next of its kind, or to the end of a message that was cut.
_QUOTED = re.compile(r"(?<!\w)(['\"`])(.*?)(\1(?!\w)|$)", re.DOTALL)
_WORD = re.compile(r"\w+")
_SHORTEST = 3  # letters of a word that tells something
_REPEATED = re.compile(r"\.\.\.(?:[^\w()]*\.\.\.)+")


@dataclass(frozen=True, slots=True)
class Fault:
    """A document that is not in the output.

    id (str): Its id.
    file (str): Name of the input file.
    number (int): Its line or row there, from 1; 0 where the file is the document.
    component (str): Name of the component that failed on it; "tokenizer"; "reader" if it could not
        be read, "output" if its annotations could not be written; "worker" if the process died or
        took too long.
    error (str): Kind of the exception, such as "KeyError", or "died", "too slow", "unreadable".
    message (str): What it says, and where in the code. Holds nothing of the document's content.
    """

    id: str
    file: str
    number: int
    component: str
    error: str
    message: str

    @classmethod
    def of(cls, row: Row, component: str, error: str, message: str) -> "Fault":
        """RETURNS (Fault): What happened to a row."""
        message = message.encode("utf8", "backslashreplace").decode("utf8")
        return cls(row.id, row.file, row.number, component, error, message)

    @classmethod
    def of_exception(cls, row: Row, component: str, error: BaseException) -> "Fault":
        """RETURNS (Fault): What an exception says, without what it quotes of the document."""
        message = without_content(str(error), row) + _place(error)
        return cls.of(row, component, type(error).__name__, message)

    @classmethod
    def of_bad_row(cls, bad: BadRow) -> "Fault":
        """RETURNS (Fault): A row that could not be read."""
        return cls(bad.id, bad.file, bad.number, "reader", "unreadable", bad.reason)

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (dict): The line of errors.jsonl."""
        return asdict(self)


def write_faults(path: Path, faults: Iterable[dict[str, Any]]) -> None:
    """Write errors.jsonl, whole or not at all.

    path (Path): The file.
    faults (Iterable[dict]): Its lines; they are not in memory together.
    """
    part = path.parent / f"{PART}{path.name}"
    try:
        with part.open("w", encoding="utf8") as file:
            for fault in faults:
                file.write(json.dumps(fault, ensure_ascii=False) + "\n")
        sync(part)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def without_content(message: str, row: Row) -> str:
    """Blank out what a message may have of a document, which may be confidential.

    message (str): Of an exception.
    row (Row): The document; what was carried along with it counts as content too.
    RETURNS (str): The message, at most `MAX_MESSAGE` characters of it, with "..." for each word
        that the document has, whatever its case, and for all that is quoted together with such a
        word. Words of one or two letters stay.
    """
    content = {word.casefold() for text in _texts(row) for word in _WORD.findall(text)}

    def quoted(match: re.Match[str]) -> str:
        mark, inside, end = match.groups()
        words = (word.casefold() for word in _WORD.findall(inside))
        return f"{mark}{HIDDEN}{end}" if any(word in content for word in words) else match[0]

    def known(match: re.Match[str]) -> str:
        word = match[0]
        tells = len(word) >= _SHORTEST or any(c.isdigit() for c in word)
        return HIDDEN if tells and word.casefold() in content else word

    message = _WORD.sub(known, _QUOTED.sub(quoted, message))
    return _REPEATED.sub(HIDDEN, message)[:MAX_MESSAGE]


def _texts(row: Row) -> Iterator[str]:
    """All strings of a document."""
    values: list[Any] = [row.text, row.columns]
    while values:
        value = values.pop()
        if isinstance(value, dict):
            values += [*value, *value.values()]
        elif isinstance(value, list | tuple):
            values += value
        else:
            yield str(value)


def _place(error: BaseException) -> str:
    """Where an exception comes from, since its message may have lost what it is about."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
