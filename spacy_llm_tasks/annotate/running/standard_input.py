"""The standard input as a file of the run: it cannot be read twice, and a run may have to."""

import os
import select
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import Errors
from ...files import PART, sync
from ...streams import STDIN
from ..reading.input_files import InputFile

NAME = "stdin"
BLOCK = 1 << 20
SECONDS_BETWEEN_LOOKS = 0.2


class Stopped(Exception):
    """The user has asked to stop, before the work has begun."""


def go_on_unless(stop: Callable[[], bool]) -> None:
    """RAISES (Stopped): If it is time to stop."""
    if stop():
        raise Stopped


def spooled(files: Sequence[InputFile], own: Path, *, stop: Callable[[], bool]) -> list[InputFile]:
    """Copy the standard input, if it is among the inputs.

    files (Sequence[InputFile]): The inputs.
    own (Path): Folder for the copy. If there is one, of a run that goes on, what comes in now must
        be the same; a terminal and an empty input are not asked.
    stop (Callable): Whether to stop.
    RETURNS (list[InputFile]): The inputs, with the copy in the place of the standard input.
    RAISES (ValueError): If another corpus comes in than the one that the run began with.
    RAISES (Stopped): If it was stopped.
    """
    kept = []
    for file in files:
        if file.path == STDIN:
            path = own / f"{NAME}.{file.format}"
            blocks = _blocks(sys.stdin.buffer, stop)
            if not path.exists():
                _copy(blocks, path)
            elif not sys.stdin.isatty():
                _compare(blocks, path)
            file = replace(file, path=str(path))
        kept.append(file)
    return kept


def forget_spooled(own: Path) -> None:
    """Delete the copy, of a run that has done nothing."""
    for path in own.glob(f"{NAME}.*"):
        path.unlink(missing_ok=True)


def _blocks(stream: Any, stop: Callable[[], bool]) -> Iterator[bytes]:
    """What comes in, as it comes. An open pipe to which nobody writes can be left."""
    while True:
        go_on_unless(stop)
        if not _is_ready(stream):
            continue
        block = stream.read1(BLOCK)
        if not block:
            return
        yield block


def _is_ready(stream: Any) -> bool:
    """Wait a moment. RETURNS (bool): Whether reading gives something now, as far as can be told."""
    try:
        return bool(select.select([stream], [], [], SECONDS_BETWEEN_LOOKS)[0])
    except (OSError, ValueError, TypeError):  # no pipe, or a system that cannot say
        return True


def _copy(blocks: Iterator[bytes], path: Path) -> None:
    part = path.parent / f"{PART}{path.name}"
    try:
        with part.open("wb") as file:
            for block in blocks:
                file.write(block)
        sync(part)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _compare(blocks: Iterator[bytes], path: Path) -> None:
    """RAISES (ValueError): If something comes in, and it is not the same."""
    anything = False
    with path.open("rb") as file:
        for block in blocks:
            anything = True
            if file.read(len(block)) != block:
                raise ValueError(Errors.E858)
        if anything and file.read(1):
            raise ValueError(Errors.E858)
