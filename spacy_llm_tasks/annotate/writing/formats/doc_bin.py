"""`.spacy` files, with the ids and columns of the documents in their `user_data`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import srsly
from spacy.tokens import DocBin

from .writer import Writer


class DocBinWriter(Writer):
    """Writes a `.spacy` file. The format is one compressed block: memory holds the docs, packed,
    until the end.

    path (Path): The file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._box = DocBin(store_user_data=True)

    def write(self, records: Iterable[Mapping[str, Any]]) -> None:
        boxes: list[DocBin] = [record["doc"] for record in records]
        for box in boxes:
            # All else is packed already. What cannot be would be found at the end only.
            srsly.msgpack_dumps([list(box.strings), box.cats, box.flags])
        for box in boxes:
            self._box.merge(box)

    def finish(self) -> None:
        self.file.write(self._box.to_bytes())
