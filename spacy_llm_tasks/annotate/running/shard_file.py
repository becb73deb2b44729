"""A shard becomes a file: annotated batch by batch, written beside its place, moved when whole."""

import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

from ...errors import Errors
from ...files import sync
from ..annotator import Annotated, Annotator
from ..indexing.index_file import IndexFileWriter, index_file_name
from ..reading.columns import Columns
from ..reading.rows import Row
from ..reading.shards import Cut, Place, Shard, batches_of, part_name
from ..writing.faults import Fault
from ..writing.formats.writer import Writer
from ..writing.outputs import open_writer
from ..writing.shard_summary import ShardSummary
from .beat import Beat
from .journal import Done

OWN_CODES = "E8"  # with which messages of this room begin
_FIELDS = tuple(Row.__dataclass_fields__)
_values_of = attrgetter(*_FIELDS)


@dataclass(frozen=True, kw_only=True)
class OutputSettings:
    """Where shards are written, and how.

    folder (str): For the files of output.
    temporary (str): For those that are not whole yet, on the same file system.
    format (str): Of the files, see `outputs.FORMATS`.
    columns (dict): The columns of the input, as `Columns.to_dict` gives them.
    cut (Cut): Where batches end.
    entries (str | None): For what shards have for the search index; None if there is none.
    """

    folder: str
    temporary: str
    format: str
    columns: dict[str, Any]
    cut: Cut
    entries: str | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker is given.

    number (int): Of the shard.
    start (Place): Where it begins.
    end (Place): Where it ends.
    rows (list[tuple]): The fields of its rows: half the work of sending them as objects.
    probe (int | None): Only annotate this batch, row by row, to find the one that kills workers.
    alone (frozenset[int]): Batches whose rows go through the pipeline one by one.
    faults (Mapping[int, Fault]): Rows to leave out, and why.
    """

    number: int
    start: Place
    end: Place
    rows: list[tuple[Any, ...]]
    probe: int | None = None
    alone: frozenset[int] = frozenset()
    faults: Mapping[int, Fault] = field(default_factory=dict)

    @classmethod
    def of(cls, shard: Shard, **options: Any) -> "Task":
        """RETURNS (Task): The rows of a shard; the options are the fields above."""
        rows = [_values_of(row) for row in shard.rows]
        return cls(shard.number, shard.start, shard.end, rows, **options)


class ShardWriter:
    """Carries out tasks.

    annotator (Annotator): The pipeline.
    settings (OutputSettings): Where to write, and how.
    beat (Beat): Where to say how far it is.
    """

    def __init__(self, annotator: Annotator, settings: OutputSettings, beat: Beat) -> None:
        self.annotator = annotator
        self.settings = settings
        self.beat = beat
        self._columns = Columns.from_dict(settings.columns)
        self._width: int | None = None
        if "embedding" in annotator.settings.parts:
            self._width = annotator.embedding_width()

    def probe(self, task: Task) -> None:
        """Annotate one batch row by row, for nothing but to come through it alive."""
        rows = [Row(*values) for values in task.rows]
        start, end = batches_of(rows, self.settings.cut)[task.probe or 0]
        for i in range(start, end):
            if i not in task.faults:
                self.beat.set(batch=task.probe or 0, row=i)
                self.annotator([rows[i]])
        self.beat.set()

    def write(self, task: Task) -> Done:
        """Annotate a shard and put its file into its place, on the disk.

        task (Task): The shard.
        RETURNS (Done): What is to be noted of it.
        RAISES (OSError): If the file cannot be written. What there was of it is removed.
        """
        started = time.perf_counter()
        name = part_name(task.number, self.settings.format)
        # No other process writes to this name, not even one of a run that was killed and whose
        # workers have not noticed it yet.
        temporary = Path(self.settings.temporary) / f"{os.getpid()}-{os.urandom(4).hex()}-{name}"
        entries = temporary.with_name(f"{temporary.name}.entries")
        target = Path(self.settings.folder) / name
        try:
            written, faults, summary = self._fill(temporary, entries, task)
            n_bytes = temporary.stat().st_size
            if self.settings.entries is not None:
                # First, so that what the index needs is there for each shard that is done.
                _move(entries, Path(self.settings.entries) / index_file_name(task.number))
            _move(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            entries.unlink(missing_ok=True)
            raise
        return Done(
            number=task.number,
            start=task.start,
            end=task.end,
            written=written,
            part=name,
            n_bytes=n_bytes,
            seconds=time.perf_counter() - started,
            faults=[fault.to_dict() for fault in faults],
            summary=summary.to_dict(),
        )

    def _fill(self, path: Path, entries: Path, task: Task) -> tuple[int, list[Fault], ShardSummary]:
        rows = [Row(*values) for values in task.rows]
        written, faults, summary = 0, [], ShardSummary()
        with (
            open_writer(
                self.settings.format,
                path,
                columns=self._columns,
                parts=self.annotator.settings.parts,
                embedding_width=self._width,
            ) as writer,
            self._index_file(entries) as index_file,
        ):
            for batch, (start, end) in enumerate(batches_of(rows, self.settings.cut)):
                annotated = _write(writer, self._batch(rows, task, batch, start, end))
                self.beat.set(rows_done=end)
                for one in annotated:
                    if one.record is None:
                        faults += [one.fault] if one.fault is not None else []
                        continue
                    written += 1
                    summary.add(
                        one.record,
                        n_tokens=one.n_tokens,
                        n_characters=len(one.row.text),
                        seconds=one.seconds,
                        mended=one.row.mended,
                    )
                if index_file is not None:
                    index_file.write([one.entries for one in annotated if one.entries is not None])
        return written, faults, summary

    def _index_file(self, path: Path) -> AbstractContextManager[IndexFileWriter | None]:
        origin = self.annotator.origin() if self.settings.entries is not None else None
        return nullcontext() if origin is None else IndexFileWriter(path, origin)

    def _batch(
        self, rows: list[Row], task: Task, batch: int, start: int, end: int
    ) -> list[Annotated]:
        """What became of each row of the batch, in its order."""
        became = {
            i: Annotated(rows[i], None, task.faults[i])
            for i in range(start, end)
            if i in task.faults
        }
        wanted = [i for i in range(start, end) if i not in became]
        if batch in task.alone:
            for i in wanted:
                self.beat.set(batch=batch, row=i, rows_done=start)
                became[i] = self.annotator([rows[i]])[0]
        elif wanted:
            self.beat.set(batch=batch, rows_done=start)
            became.update(zip(wanted, self.annotator([rows[i] for i in wanted]), strict=True))
        return [became[i] for i in range(start, end)]


def _write(writer: Writer, annotated: list[Annotated]) -> list[Annotated]:
    """Write a batch. What the format cannot hold is left out, and returned as a fault."""
    try:
        writer.write([one.record for one in annotated if one.record is not None])
        return annotated
    except (OSError, ImportError, MemoryError):  # no document's
        raise
    except Exception:  # of which record is found one by one
        return [_written(writer, one) for one in annotated]


def _written(writer: Writer, one: Annotated) -> Annotated:
    if one.record is None:
        return one
    try:
        writer.write([one.record])
        return one
    except (OSError, ImportError, MemoryError):
        raise
    except Exception as error:
        # Our own messages say nothing of the document. Those of others may quote any value.
        message, name = str(error), type(error).__name__
        is_own = message.startswith(f"[{OWN_CODES}")
        told = message if is_own else Errors.E814.format(reason=name)
        return Annotated(one.row, None, Fault.of(one.row, "output", name, told))


def _move(path: Path, target: Path) -> None:
    """Put a file into its place, on the disk."""
    sync(path)
    os.replace(path, target)
    sync(target.parent)
