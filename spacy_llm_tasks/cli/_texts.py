"""Texts with their ids and other facts, for commands that run a pipeline over files."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import Errors


def read_texts(paths: Sequence[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read the texts of files.

    paths (Sequence[Path]): `.jsonl` (a "text" and anything else a line), `.spacy` (the Docs'
        texts), or any other file as one text.
    YIELDS (Tuple[str, Dict]): A text and its facts; "id" is the line's own, or made of the file's
        name and the line.
    RAISES (ValueError): If a file is not there, or a line is no object with a text.
    """
    import srsly

    for path in paths:
        if not path.is_file():
            raise ValueError(Errors.E310.format(path=path))
        if path.suffix == ".jsonl":
            for number, row in enumerate(srsly.read_jsonl(path), start=1):
                if not isinstance(row, dict) or not isinstance(row.get("text"), str):
                    raise ValueError(Errors.E525.format(path=path, line=number))
                facts = {key: value for key, value in row.items() if key != "text"}
                yield row["text"], {"id": f"{path.stem}:{number}", **facts}
        elif path.suffix == ".spacy":
            from spacy.vocab import Vocab

            from ..corpora.files import read_docs

            for number, doc in enumerate(read_docs(path, Vocab()), start=1):
                yield doc.text, {"id": f"{path.stem}:{number}"}
        else:
            yield path.read_text(encoding="utf8"), {"id": path.stem}
