"""Files in and out: text decoded with a clear error, results written whole or not at all."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from ..errors import Errors
from ..files import grant_usual_rights

MARK = "\ufeff"  # byte order mark


def read_text(path: Path, *, encoding: str = "utf-8", keep_mark: bool = False) -> str:
    """The text of a file, decoded strictly.

    path (Path): The file.
    encoding (str): Its encoding.
    keep_mark (bool): Leave a byte order mark of UTF-8 in the text; else it is taken off.
    RETURNS (str): The text.
    RAISES (ValueError): If there is no such file, it is empty, or a byte does not decode; the
        message has the byte offset and the line.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(Errors.E310.format(path=path))
    data = path.read_bytes()
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            Errors.E312.format(
                path=path,
                encoding=encoding,
                offset=error.start,
                line=data.count(b"\n", 0, error.start) + 1,
                reason=error.reason,
            )
        ) from None
    except LookupError:
        raise ValueError(
            Errors.E313.format(name="--encoding", expected="a codec of Python", found=encoding)
        ) from None
    bare = text.removeprefix(MARK)
    if not bare.strip():
        raise ValueError(Errors.E311.format(path=path, what="text"))
    return text if keep_mark else bare


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """(line number from 1, line without its end). Only newline ends a line: `str.splitlines` also
    cuts at characters such as U+2028 or U+0085, which occur inside tokens."""
    for number, line in enumerate(text.split("\n"), start=1):
        yield number, line.removesuffix("\r")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends without an error, so
    that nothing half-written stays behind."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        grant_usual_rights(temporary)  # mkstemp makes private files
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_docs(path: Path, docs: Iterable[Doc]) -> None:
    """Write Docs as a `.spacy` file with all that annotations.py stores.

    path (Path): Where to write.
    docs (Iterable[Doc]): The Docs.
    """
    box = DocBin(docs=docs, store_user_data=True)
    with replacing(path) as temporary:
        temporary.write_bytes(box.to_bytes())


def read_docs(path: Path, vocab: Vocab) -> Iterator[Doc]:
    """The Docs of a `.spacy` file.

    path (Path): The file.
    vocab (Vocab): The vocabulary that the Docs share.
    YIELDS (Doc): The Docs in order.
    RAISES (ValueError): If there is no such file or it is not a `.spacy` file.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(Errors.E310.format(path=path))
    try:
        box = DocBin().from_bytes(path.read_bytes())
    except Exception as error:
        raise ValueError(Errors.E321.format(path=path, reason=error)) from error
    yield from box.get_docs(vocab)
