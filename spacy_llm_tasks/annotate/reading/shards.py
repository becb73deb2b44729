"""The corpus in pieces: shards of whole rows, each of which becomes one file of output.

Where shards end depends on the rows and the settings only, never on workers or on what happened in
an earlier run. Shards go across files, so that a million small files make no million shards.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from .input_files import InputFile
from .rows import BadRow, Row

ReadRows = Callable[[InputFile, int], Iterator[Row | BadRow]]
Settle = Callable[[Sequence[Row | BadRow]], list[Row | BadRow]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the corpus a shard begins or ends.

    file (int): Number of the input file.
    row (int): How many rows of it lie before, readable or not.
    """

    file: int
    row: int


@dataclass(frozen=True, slots=True)
class Shard:
    """Rows that are annotated and written together.

    number (int): From 0, along the corpus.
    start (Place): Where it begins.
    end (Place): Where the next one begins.
    rows (list[Row]): What is to be annotated.
    bad (list[BadRow]): What could not be read.
    """

    number: int
    start: Place
    end: Place
    rows: list[Row] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Cut:
    """Where shards and batches end: at the first row with which one of the limits is reached.

    shard_rows (int): Rows of a shard.
    shard_characters (int): Characters of a shard.
    batch_rows (int): Documents that go through the pipeline together.
    batch_characters (int): Characters of them; a longer document goes alone.
    """

    shard_rows: int = 1000
    shard_characters: int = 4_000_000
    batch_rows: int = 128
    batch_characters: int = 200_000


def shards_of(
    files: Sequence[InputFile],
    read: ReadRows,
    cut: Cut,
    *,
    done: Callable[[int], Place | None],
    settled: Settle,
) -> Iterator[Shard]:
    """Cut a corpus into shards, and pass over those that are done.

    files (Sequence[InputFile]): The corpus in order.
    read (Callable): (file, start) -> its rows from there.
    cut (Cut): Where shards end.
    done (Callable): (number of a shard) -> where it ends, or None if it is not done.
    settled (Callable): Gives rows their final ids.
    YIELDS (Shard): The shards that are not done.
    """
    number, place = 0, Place(0, 0)
    stream: Iterator[tuple[Row | BadRow, Place]] | None = None
    while True:
        passed = place
        while (end := done(number)) is not None:
            number, passed = number + 1, end
        if stream is None or passed != place:
            place = passed
            stream = _rows_from(files, read, place)
        shard = _next_shard(stream, number, place, cut, settled)
        if shard is None:
            return
        yield shard
        number, place = number + 1, shard.end


def batches_of(rows: Sequence[Row], cut: Cut) -> list[tuple[int, int]]:
    """Cut a shard into batches.

    rows (Sequence[Row]): The rows of the shard, also those that are known to fail: what else is in
        a batch does not depend on them.
    cut (Cut): Where batches end.
    RETURNS (list[tuple[int, int]]): First row and last row + 1 of each batch.
    """
    batches = []
    start = characters = 0
    for i, row in enumerate(rows):
        size = len(row.text)
        if i > start and characters + size > cut.batch_characters:
            batches.append((start, i))
            start, characters = i, 0
        characters += size
        if i + 1 - start == cut.batch_rows:
            batches.append((start, i + 1))
            start, characters = i + 1, 0
    if start < len(rows):
        batches.append((start, len(rows)))
    return batches


def part_name(number: int, format: str) -> str:
    """RETURNS (str): File name of a shard's output, such as part-00012.parquet."""
    return f"part-{number:05d}.{format}"


def _rows_from(
    files: Sequence[InputFile], read: ReadRows, start: Place
) -> Iterator[tuple[Row | BadRow, Place]]:
    """Rows, each with the place behind it."""
    for i in range(start.file, len(files)):
        first = start.row if i == start.file else 0
        for n, row in enumerate(read(files[i], first), start=first + 1):
            yield row, Place(i, n)


def _next_shard(
    stream: Iterator[tuple[Row | BadRow, Place]],
    number: int,
    start: Place,
    cut: Cut,
    settled: Settle,
) -> Shard | None:
    taken: list[Row | BadRow] = []
    end, characters = start, 0
    for row, behind in stream:
        taken.append(row)
        end = behind
        characters += len(row.text) if isinstance(row, Row) else 0
        if len(taken) >= cut.shard_rows or characters >= cut.shard_characters:
            break
    if not taken:
        return None
    found = settled(taken)
    rows = [row for row in found if isinstance(row, Row)]
    bad = [row for row in found if isinstance(row, BadRow)]
    return Shard(number, start, end, rows, bad)
