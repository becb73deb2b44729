"""What a run takes in: one row per document, readable or not."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """A document to be annotated.

    id (str): Its name, unique in the corpus. Taken from the input, or "<file name>:<number>" (just
        the file's name where the file is the document): the same wherever the corpus is mounted.
    text (str): The text.
    columns (dict[str, Any]): What else the row of the input had, carried through: JSON values, and
        from Parquet also bytes, dates and decimals.
    doc (bytes | None): The Doc of a `.spacy` input as `Doc.to_bytes` writes it. It is annotated as
        it stands; nothing is tokenized anew.
    mended (bool): Something in it was no Unicode text and has been replaced.
    file (str): Name of the input file, see `InputFile`.
    number (int): Its line or row there, from 1; 0 for the file itself.
    """

    id: str
    text: str
    columns: dict[str, Any] = field(default_factory=dict)
    doc: bytes | None = None
    mended: bool = False
    file: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class BadRow:
    """A document, or the rest of a file, that cannot be read.

    id (str): What the document would be called, as far as that is known.
    file (str): Name of the input file, see `InputFile`.
    number (int): Its line or row there, from 1; 0 for the file itself.
    reason (str): What is wrong. Holds nothing of the document's content.
    left_out (bool): The user asked to leave such rows out: it is counted, and is no error.
    """

    id: str
    file: str
    number: int
    reason: str
    left_out: bool = False
