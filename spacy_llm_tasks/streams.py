"""Files as streams of bytes, plain or compressed, and their lines with a bound on memory."""

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, cast

from .errors import Errors

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
    RETURNS (AbstractContextManager[BinaryIO]): The stream.
    RAISES (OSError): If it cannot be opened.
    RAISES (ImportError): For `.zst` without `pyarrow`.
    """
    if str(path) == STDIN:
        return nullcontext(sys.stdin.buffer)
    suffix = Path(path).suffix.lower()
    if suffix == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if suffix == ".zst":
        stream = pyarrow("pyarrow").input_stream(str(path), compression="zstd")
        return cast(BinaryIO, io.BufferedReader(stream, _BLOCK))
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


def pyarrow(module: str) -> Any:
    """Import a module of `pyarrow` where it is needed, and not before.

    module (str): Its full name.
    RETURNS (Any): The module.
    RAISES (ImportError): If it is not installed, with what to install.
    """
    try:
        return import_module(module)
    except ImportError as error:
        found = {"what": "Parquet and .zst files", "package": "pyarrow", "extras": EXTRAS}
        raise ImportError(Errors.E707.format(**found)) from error
