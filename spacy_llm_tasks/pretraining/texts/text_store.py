"""Texts on disk: JSON lines, compressed, which `read_texts` and other programs read too."""

import gzip
import json
import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from types import TracebackType

from ...errors import Errors
from .corpus_report import Split


class TextWriter:
    """Writes texts and keeps count of them. The same texts make the same bytes.

    path (Path): The file, `.jsonl.gz`.
    split (Split): Takes the counts, and when the writer is closed the sum.
    """

    def __init__(self, path: Path, split: Split) -> None:
        self._file = path.open("wb")
        # No name and time in the header; the lowest level that is still twice as small as the text.
        self._gzip = gzip.GzipFile("", "wb", compresslevel=3, fileobj=self._file, mtime=0)
        self._split = split
        self._sum = sha256()

    def write(self, text: str) -> None:
        """Append a text."""
        self._gzip.write(json.dumps({"text": text}, ensure_ascii=False).encode("utf-8") + b"\n")
        self._sum.update(text.encode("utf-8") + b"\0")
        self._split.documents += 1
        self._split.characters += len(text)

    def __enter__(self) -> "TextWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._split.sha256 = self._sum.hexdigest()
        try:
            self._gzip.close()
        finally:
            self._file.close()


def read_store(path: Path) -> Iterator[str]:
    """Read what a `TextWriter` wrote.

    path (Path): The file.
    YIELDS (str): The texts in order.
    RAISES (ValueError): If the file is missing or damaged.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
            for line in file:
                yield json.loads(line)["text"]
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise ValueError(Errors.E709.format(folder=path.parent, reason=error)) from error
