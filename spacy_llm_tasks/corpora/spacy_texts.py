"""The texts of `.spacy` files, for readers of text that know nothing of spaCy."""

from collections.abc import Iterator
from pathlib import Path

from spacy.vocab import Vocab

from .files import read_docs


def spacy_texts(path: Path) -> Iterator[str]:
    """Read the texts of a `.spacy` file, which is in memory as a whole meanwhile.

    path (Path): The file.
    YIELDS (str): The Docs' texts in order.
    RAISES (ValueError): If there is no such file or it is not a `.spacy` file.
    """
    for doc in read_docs(path, Vocab()):
        yield doc.text
