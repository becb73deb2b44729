"""What is done of a run: one line per shard, written when its file of output is whole and in place.

A line that is missing or torn costs its shard being annotated once more, to the same bytes. So the
journal needs no transactions: a line counts if it is whole and the file that it names is there.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..reading.shards import Place


@dataclass(frozen=True, slots=True)
class Done:
    """A shard that is done.

    number (int): Of the shard.
    start (Place): Where it began.
    end (Place): Where it ended.
    written (int): Rows of its file.
    part (str): Name of its file.
    n_bytes (int): Size of its file.
    seconds (float): What its worker needed.
    faults (list[dict]): Lines for errors.jsonl.
    summary (dict): Counts, see `ShardSummary`.
    """

    number: int
    start: Place
    end: Place
    written: int
    part: str
    n_bytes: int
    seconds: float
    faults: list[dict[str, Any]]
    summary: dict[str, Any]

    def to_json(self) -> str:
        """RETURNS (str): A line of the journal."""
        values = {name: getattr(self, name) for name in _NAMES}
        for name in ("start", "end"):
            place = values[name]
            values[name] = [place.file, place.row]
        return json.dumps(values, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> "Done":
        """RETURNS (Done): The shard of a line. RAISES (ValueError): If it is not whole."""
        values = json.loads(line)
        if not isinstance(values, dict) or set(values) != set(_NAMES):
            raise ValueError(line[:80])
        for name in ("start", "end"):
            file, row = values[name]
            values[name] = Place(int(file), int(row))
        return cls(**values)


_NAMES = tuple(Done.__dataclass_fields__)


class Journal:
    """The shards that are done. Keeps where they end in memory, and all else on the disk.

    path (Path): The file, made at the first shard.
    folder (Path): Where the files of output are.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        self._forget()
        if path.exists():
            self._read(folder)

    def __len__(self) -> int:
        return len(self._ends)

    def clear(self) -> None:
        """Forget all shards, on the disk too."""
        self.path.unlink(missing_ok=True)
        self._forget()

    def _forget(self) -> None:
        self._ends: dict[int, Place] = {}
        self._offsets: dict[int, int] = {}
        self._size = 0

    def end_of(self, number: int) -> Place | None:
        """RETURNS (Place | None): Where a shard ends, or None if it is not done."""
        return self._ends.get(number)

    def add(self, done: Done) -> None:
        """Take note of a shard whose file is in place."""
        line = (done.to_json() + "\n").encode("utf8")
        with self.path.open("r+b" if self.path.exists() else "wb") as file:
            # Behind the last whole line: what a killed or full write left there is overwritten.
            file.seek(self._size)
            file.truncate()
            file.write(line)
        self._note(done, self._size)
        self._size += len(line)

    def in_order(self) -> Iterator[Done]:
        """YIELDS (Done): The shards along the corpus, one in memory at a time."""
        if not self._offsets:
            return
        with self.path.open("rb") as file:
            for number in sorted(self._offsets):
                file.seek(self._offsets[number])
                yield Done.from_json(file.readline().decode("utf8"))

    def _read(self, folder: Path) -> None:
        with self.path.open("rb") as file:
            for line in file:
                try:
                    done = Done.from_json(line.decode("utf8")) if line.endswith(b"\n") else None
                except (ValueError, TypeError):
                    done = None
                if done is None:
                    return  # torn: nothing behind it was ever told to be done
                if _size_of(folder / done.part) == done.n_bytes:
                    self._note(done, self._size)
                self._size += len(line)

    def _note(self, done: Done, offset: int) -> None:
        self._ends[done.number] = done.end
        self._offsets[done.number] = offset


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
