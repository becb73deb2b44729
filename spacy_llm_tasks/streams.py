"""Files as streams of bytes, plain or compressed, and their lines with a bound on memory."""

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, cast

from .errors import Errors
from .packages import import_optional

STDIN = "-"
COMPRESSIONS = (".gz", ".zst")
# What reading a damaged file may raise; the disk's own failures are among them: see `is_damage`.
DAMAGE = (EOFError, OSError, zlib.error)
# What of this package needs `pyarrow`.
EXTRAS = "spacy-llm-tasks[annotate] or spacy-llm-tasks[pretrain]"
_BLOCK = 2**16
_BOM = b"\xef\xbb\xbf"


def open_bytes(path: str | Path) -> AbstractContextManager[BinaryIO]:
    """Open a file to be read once, from its beginning on.

    path (str | Path): The file; what ends in `.gz` or `.zst` is decompressed. "-" is the standard
        input, which stays open behind the block.
    RETURNS (AbstractContextManager[BinaryIO]): The stream. What a damaged file holds before the
        damage is read before the error is raised.
    RAISES (OSError): If it cannot be opened.
    RAISES (ImportError): For `.zst` without `pyarrow`.
    """
    if str(path) == STDIN:
        return nullcontext(sys.stdin.buffer)
    suffix = Path(path).suffix.lower()
    if suffix == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if suffix == ".zst":
        return cast(BinaryIO, io.BufferedReader(_ZstdStream(path), _BLOCK))
    return Path(path).open("rb")


def is_damage(path: str | Path, error: BaseException) -> bool:
    """RETURNS (bool): Whether an error of reading means that the file's content is damaged or ends
    too early, and not that the disk or the network failed."""
    if Path(path).suffix.lower() not in COMPRESSIONS:
        return False
    return not isinstance(error, OSError) or error.errno is None


def numbered_lines(stream: BinaryIO, limit: int) -> Iterator[tuple[int, bytes]]:
    """Cut a stream at its newlines; nothing else ends a line.

    stream (BinaryIO): The stream. A byte order mark of UTF-8 is taken off its beginning.
    limit (int): Of a longer line only so many bytes are given. The rest is passed over, and is
        never in memory.
    YIELDS (tuple[int, bytes]): The number of the line, from 1, and the line with its end.
    """
    number = 0
    while line := stream.readline(limit):
        number += 1
        yield number, line.removeprefix(_BOM) if number == 1 else line
        while len(line) == limit and not line.endswith(b"\n"):
            line = stream.readline(limit)


def first_bytes(stream: BinaryIO, limit: int | None) -> bytes:
    """Read a stream to its end, or as far as it is needed.

    stream (BinaryIO): The stream. A byte order mark of UTF-8 is taken off its beginning.
    limit (int | None): Read so many bytes and no more.
    RETURNS (bytes): What was read.
    """
    blocks: list[bytes] = []
    missing = limit
    while missing is None or missing > 0:
        block = stream.read(_BLOCK if missing is None else min(_BLOCK, missing))
        if not block:
            break
        blocks.append(block)
        missing = None if missing is None else missing - len(block)
    return b"".join(blocks).removeprefix(_BOM)


class _ZstdStream(io.RawIOBase):
    """What a `.zst` file holds.

    Arrow's stream forgets what it has decompressed when it comes to damage. The file is then read
    once more up to that place, and on from there in the smallest steps.

    path (str | Path): The file.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self._position = 0
        self._damage: OSError | None = None
        self._in_steps = False
        self._open(steps_from=None)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[:_BLOCK]
        if not self._in_steps:
            try:
                n = int(self._stream.readinto(view))
                self._position += n
                return n
            except OSError as error:
                if error.errno is not None:  # the disk's
                    raise
                self._read_again(error)
        n = 0
        while n < len(view) and self._damage is None:
            try:
                byte = self._stream.read(1)
            except OSError as error:
                self._damage = error
                break
            if not byte:
                break
            view[n] = byte[0]
            n += 1
        if n == 0 and self._damage is not None:
            raise self._damage
        return n

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()

    def _open(self, *, steps_from: int | None) -> None:
        self._source = _Source(self._path, steps_from)
        try:
            self._stream = pyarrow("pyarrow").CompressedInputStream(self._source, "zstd")
        except BaseException:
            self._source.close()
            raise

    def _read_again(self, error: OSError) -> None:
        """Go to where the last read began that did not fail."""
        self._source.close()
        self._open(steps_from=self._source.last)
        self._in_steps = True
        missing = self._position
        while missing:
            block = self._stream.read(min(_BLOCK, missing))
            if not block:  # the file has changed meanwhile
                raise error
            missing -= len(block)


class _Source(io.FileIO):
    """The bytes of a file, one by one from some place on.

    path (str | Path): The file.
    steps_from (int | None): That place; None: nowhere.
    """

    def __init__(self, path: str | Path, steps_from: int | None) -> None:
        super().__init__(str(path))
        self.last = 0  # where the last read began
        self._steps_from = steps_from

    def read(self, size: int | None = -1, /) -> bytes:
        self.last = self.tell()
        if self._steps_from is not None and size is not None:
            size = 1 if self.last >= self._steps_from else min(size, self._steps_from - self.last)
        return super().read(-1 if size is None else size) or b""


def pyarrow(module: str) -> Any:
    """Import a module of `pyarrow` where it is needed, and not before.

    module (str): Its full name.
    RETURNS (Any): The module.
    RAISES (ImportError): If it is not installed, with what to install.
    """
    found = {"what": "Parquet and .zst files", "package": "pyarrow", "extras": EXTRAS}
    return import_optional(module, Errors.E707.format(**found))
