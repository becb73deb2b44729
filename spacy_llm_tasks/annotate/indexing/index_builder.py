"""The search index of a run, made while the run goes on: finished shards are added in their order.

A worker leaves a file beside its shard, and the file is removed when the index has it. Each shard
is one change of the index, which is whole or did not happen, so a shard is known to be in it by
its first entry. A run that is killed at any moment goes on to the same index, row by row.
"""

import threading
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path

from ...errors import Errors
from ...files import is_full, sync
from ...search import SearchIndex
from ..reading.shards import part_name
from .index_file import IndexFile, Origin, index_file_name

FOLDER = "index"
SECONDS_BETWEEN_LOOKS = 0.2


class IndexBuilder:
    """Adds shards to an index, in a thread of its own. Leaving it ends the thread after the shard
    that it is at.

    path (Path): Folder of the index, which is made with the first shard.
    files (Path): Folder of what workers leave.
    precision (str): Of a new index, see `SearchIndex.create`.
    is_done (Callable): (number of a shard) -> whether it is done. What it has left is there then,
        unless the index has it.
    """

    def __init__(
        self, path: Path, files: Path, *, precision: str, is_done: Callable[[int], bool]
    ) -> None:
        self.path = path
        self._files = files
        self._precision = precision
        self._is_done = is_done
        self._next = 0
        self._index: SearchIndex | None = None
        self._wake = threading.Event()
        self._is_last = self._is_left = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="index", daemon=True)

    def require_whole(self, done: Iterable[int], format: str) -> None:
        """Refuse to go on with an index that somebody has removed.

        done (Iterable[int]): Numbers of the shards that are done.
        format (str): Of the files of output, for the message.
        RAISES (ValueError): If it would lack shards. The first of them is named.
        """
        if self.path.exists():
            return
        for number in done:
            if not (self._files / index_file_name(number)).exists():
                part = part_name(number, format)
                raise ValueError(Errors.E857.format(path=self.path, part=part))

    def __enter__(self) -> "IndexBuilder":
        self._files.mkdir(exist_ok=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_left = True
        self._wake.set()
        self._thread.join()

    def wake(self) -> None:
        """Say that a shard is done. RAISES: What the thread could not do."""
        self._wake.set()
        if self._error is not None:
            raise self._error

    def finish(self, stop: Callable[[], bool]) -> bool:
        """Wait until all that is done is in the index.

        stop (Callable): Whether to stop waiting.
        RETURNS (bool): Whether all is.
        RAISES: What the thread could not do.
        """
        self._is_last = True
        self.wake()
        while self._thread.is_alive() and not stop():
            self._thread.join(SECONDS_BETWEEN_LOOKS)
        if self._error is not None:
            raise self._error
        return not self._thread.is_alive()

    def count(self) -> int:
        """RETURNS (int): Entries of the index."""
        if not self.path.exists():
            return 0
        with SearchIndex.open(self.path) as index:
            return len(index)

    def _work(self) -> None:
        try:
            while not self._is_left:
                is_last = self._is_last  # read first: nothing is done after it is set
                self._wake.clear()
                if self._add_next():
                    continue
                if is_last:
                    return
                if not (self._is_left or self._is_last):
                    self._wake.wait()
        except OSError as error:
            self._error = error
            if is_full(error):
                self._error = OSError(Errors.E843.format(problem=error))
        except BaseException as error:
            self._error = error
        finally:
            if self._index is not None:
                self._index.close()

    def _add_next(self) -> bool:
        """RETURNS (bool): Whether the next shard was done."""
        if not self._is_done(self._next):
            return False
        path = self._files / index_file_name(self._next)
        if path.exists():
            self._add(path)
            path.unlink()
        self._next += 1
        return True

    def _add(self, path: Path) -> None:
        with IndexFile(path) as file:
            if self._index is None:
                self._index = self._opened(file.origin)
            blocks = file.blocks()
            first = next(blocks, None)
            # The index has it already if the file was not removed in time, or was made again.
            if first is None or first[0][0].id in self._index:
                return
            with self._index.update():
                for entries, vectors in chain([first], blocks):
                    self._index.add(entries, vectors)

    def _opened(self, origin: Origin) -> SearchIndex:
        if self.path.exists():
            return SearchIndex.open(self.path, fingerprint=origin.fingerprint)
        index = SearchIndex.create(
            self.path,
            width=origin.width,
            unit=origin.unit,
            precision=self._precision,
            fingerprint=origin.fingerprint,
        )
        sync(self.path.parent)
        return index
