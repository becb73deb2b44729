"""Which documents are held out for development: every N-th of them, by position or by number."""

from collections.abc import Iterable

from spacy.tokens import Doc

NUMBER = "spacy_llm_tasks.id"


def set_number(doc: Doc, number: int) -> None:
    """Store the number that a document has in its public set; it survives a `.spacy` file.

    doc (Doc): The document.
    number (int): Its number, 0 or more.
    """
    doc.user_data[NUMBER] = number


def get_number(doc: Doc) -> int | None:
    """RETURNS (int): The number that the document has in its public set, or None without one."""
    number = doc.user_data.get(NUMBER)
    return None if number is None else int(number)


def split_docs(docs: Iterable[Doc], every: int, *, part: int = 0) -> tuple[list[Doc], list[Doc]]:
    """Hold out every N-th document. Where the public set numbers its documents these are the ones
    whose number N divides, whatever else was left out or put in another order; elsewhere position
    counts, from 0.

    docs (Iterable[Doc]): All documents, in the order of the file.
    every (int): N.
    part (int): Which of the N parts is held out: that of this remainder, from 0 to N - 1.
    RETURNS (tuple[list[Doc], list[Doc]]): The kept and the held-out documents.
    """
    kept: list[Doc] = []
    held: list[Doc] = []
    for position, doc in enumerate(docs):
        number = get_number(doc)
        (kept if (position if number is None else number) % every != part else held).append(doc)
    return kept, held
