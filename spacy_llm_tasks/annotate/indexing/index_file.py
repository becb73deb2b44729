"""What a shard has for the search index, as a file: on its way from a worker to the run.

The file has a line that says what made its vectors, then blocks: a line with the number N of the
entries, N lines of JSON, and the N vectors as float32, the lowest byte first. All lines end in a
newline. It is written whole or not at all, and removed when the index has what is in it.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...errors import Errors
from ...search import Entry

_NUMBER = np.dtype("<f4")


@dataclass(frozen=True, slots=True)
class Origin:
    """What made the vectors of a file.

    unit (str): What an entry is: "doc", "sent" or "ent".
    width (int): Numbers in a vector.
    fingerprint (str): Of the pipeline, see `indexing.fingerprint`.
    """

    unit: str
    width: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class IndexEntries:
    """The entries of a document.

    lines (list[bytes]): Each as one line of JSON, from `to_line`.
    vectors (ndarray): (N, W) float32, a row for each.
    """

    lines: list[bytes]
    vectors: NDArray[np.float32]


def index_file_name(number: int) -> str:
    """RETURNS (str): File name of what a shard has for the index, such as part-00012.entries."""
    return f"part-{number:05d}.entries"


def to_line(entry: Entry) -> bytes:
    """RETURNS (bytes): An entry as JSON. RAISES (ValueError): If an index could not store it, for
    a number that is not finite or a text that is no Unicode."""
    return json.dumps(asdict(entry), ensure_ascii=False, allow_nan=False).encode("utf8")


class IndexFileWriter:
    """Writes the file of a shard, in a `with` block.

    path (Path): The file.
    origin (Origin): What makes the vectors.
    """

    def __init__(self, path: Path, origin: Origin) -> None:
        self._file = path.open("wb")
        self._write_line(json.dumps(asdict(origin)).encode("ascii"))

    def __enter__(self) -> "IndexFileWriter":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, documents: Sequence[IndexEntries]) -> None:
        """Write the entries of a batch.

        documents (Sequence[IndexEntries]): Those of its documents.
        """
        lines = [line for entries in documents for line in entries.lines]
        if not lines:
            return
        self._write_line(b"%d" % len(lines))
        for line in lines:
            self._write_line(line)
        for entries in documents:
            self._file.write(np.ascontiguousarray(entries.vectors, dtype=_NUMBER).tobytes())

    def _write_line(self, line: bytes) -> None:
        self._file.write(line + b"\n")


class IndexFile:
    """The file of a shard, to be read once, in a `with` block.

    path (Path): The file.
    RAISES (ValueError): If it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = path.open("rb")
        try:
            self.origin = Origin(**json.loads(self._file.readline()))
        except (TypeError, ValueError) as error:
            self._file.close()
            raise self._damaged() from error

    def __enter__(self) -> "IndexFile":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def blocks(self) -> Iterator[tuple[list[Entry], NDArray[np.float32]]]:
        """YIELDS (tuple[list[Entry], ndarray]): Entries and their (N, W) vectors.

        RAISES (ValueError): If the file is damaged.
        """
        while line := self._file.readline():
            try:
                entries = [_entry(self._file.readline()) for _ in range(int(line))]
            except (TypeError, ValueError) as error:
                raise self._damaged() from error
            shape = (len(entries), self.origin.width)
            n_bytes = shape[0] * shape[1] * _NUMBER.itemsize
            data = self._file.read(n_bytes)
            if len(data) != n_bytes:
                raise self._damaged()
            yield entries, np.frombuffer(data, dtype=_NUMBER).reshape(shape)

    def _damaged(self) -> ValueError:
        return ValueError(Errors.E856.format(path=self._path, part=self._path.stem))


def _entry(line: bytes) -> Entry:
    values = json.loads(line)
    values["ents"] = tuple((label, text) for label, text in values["ents"])
    return Entry(**values)
