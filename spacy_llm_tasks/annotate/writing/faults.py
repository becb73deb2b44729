"""Documents that could not be annotated, as they are written to errors.jsonl."""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...files import PART, sync
from ..reading.rows import BadRow, Row

# A message is told in full up to here, and a run of a document's characters in it up to there.
MAX_MESSAGE = 500
MAX_QUOTED = 16


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
    message (str): What it says. Holds nothing of the document's content.
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
        return cls(row.id, row.file, row.number, component, error, message)

    @classmethod
    def of_exception(cls, row: Row, component: str, error: BaseException) -> "Fault":
        """RETURNS (Fault): What an exception says, without what it quotes of the document."""
        message = without_content(str(error), row.text)
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


def without_content(message: str, text: str) -> str:
    """Blank out what a message quotes of a document, which may be confidential.

    message (str): Of an exception.
    text (str): The document.
    RETURNS (str): The message, at most `MAX_MESSAGE` characters of it, with "..." for each run of
        at least `MAX_QUOTED` characters that the document has too, or all of a shorter document.
    """
    message = message[:MAX_MESSAGE]
    size = min(MAX_QUOTED, len(text.strip()))
    if size < 3:  # such a document quotes nothing: every message has its letters
        return message
    needle = text.strip() if size < MAX_QUOTED else text
    hidden = [False] * len(message)
    for start in range(len(message) - size + 1):
        if message[start : start + size] in needle:
            hidden[start : start + size] = [True] * size
    shown = []
    for character, is_hidden in zip(message, hidden, strict=True):
        if not is_hidden:
            shown.append(character)
        elif not shown or shown[-1] != "...":
            shown.append("...")
    return "".join(shown)
