"""Texts with their ids and other facts, for commands that run a pipeline over files."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import Errors


def read_texts(paths: Sequence[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read the texts of files, which are UTF-8.

    paths (Sequence[Path]): `.jsonl` (a "text" and anything else a line), `.spacy` (the Docs'
        texts), or any other file as one text.
    YIELDS (Tuple[str, Dict]): A text and its facts. Its "id", a string, is the line's own; where
        that is missing, null or empty, it is the file's path as given, and the line.
    RAISES (ValueError): If a file is not there, is empty or does not decode, or a line is no object
        with a text.
    """
    from ..corpora.files import read_text

    for path in paths:
        if path.suffix == ".jsonl":
            yield from _read_lines(path)
        elif path.suffix == ".spacy":
            from spacy.vocab import Vocab

            from ..corpora.files import read_docs

            for number, doc in enumerate(read_docs(path, Vocab()), start=1):
                yield doc.text, {"id": f"{path.as_posix()}:{number}"}
        else:
            yield read_text(path), {"id": path.as_posix()}


def _read_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if not path.is_file():
        raise ValueError(Errors.E310.format(path=path))
    with path.open("rb") as file:
        for number, data in enumerate(file, start=1):
            try:
                line = data.decode("utf-8-sig").strip()  # some editors put a mark in front
                if not line:
                    continue
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(Errors.E525.format(path=path, line=number, found=error)) from None
            if not _is_document(row):
                found = repr(line[:60])
                raise ValueError(Errors.E525.format(path=path, line=number, found=found))
            name = f"{path.as_posix()}:{number}" if row.get("id") in (None, "") else str(row["id"])
            facts = {key: value for key, value in row.items() if key not in ("text", "id")}
            yield row["text"], {"id": name, **facts}


def _is_document(row: Any) -> bool:
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        return False
    name = row.get("id")
    return name is None or (isinstance(name, (str, int)) and not isinstance(name, bool))
