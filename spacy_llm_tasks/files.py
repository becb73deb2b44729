"""Folders and files that are either whole or not there."""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PART = ".part-"
# Error numbers of a disk, a quota or a file system that takes no more.
NO_SPACE = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG}


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Fill a folder beside its place, and move it there when all of it is on the disk.

    path (Path): Where the folder shall be. One that is there already stays until the move.
    YIELDS (Path): An empty folder to write to. On an error it is removed and `path` is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.parent / f"{PART}{path.name}"
    replaced = path.parent / f"{PART}old-{path.name}"
    clean_parts(path.parent, path.name)
    part.mkdir()
    try:
        yield part
        sync_folder(part)
        if path.exists():
            path.rename(replaced)
        part.rename(path)
        sync(path.parent)
        _remove(replaced)
    except BaseException:
        clean_parts(path.parent, path.name)
        raise


def is_full(error: BaseException) -> bool:
    """RETURNS (bool): Whether the disk, or what one may use of it, was at its end."""
    return isinstance(error, OSError) and error.errno in NO_SPACE


def clean_parts(folder: Path, name: str = "*") -> None:
    """Undo what an interrupted `whole_folder` or `write_json` left behind.

    folder (Path): The folder that they wrote to.
    name (str): The name that was to be written, or a pattern.
    """
    restore_replaced(folder, name)
    for part in folder.glob(f"{PART}{name}"):
        _remove(part)


def restore_replaced(folder: Path, name: str = "*") -> None:
    """Put back what an interrupted `whole_folder` had taken from its place and not replaced.

    Nothing that another process may be writing now is touched.

    folder (Path): The folder that it wrote to.
    name (str): The name that was to be written, or a pattern.
    """
    old = f"{PART}old-"
    for replaced in folder.glob(f"{old}{name}"):
        path = folder / replaced.name.removeprefix(old)
        if not path.exists():
            replaced.rename(path)
        else:
            _remove(replaced)


def write_json(path: Path, data: Any) -> None:
    """Write JSON so that a reader finds the old file or the new one, never half of it."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write text so that a reader finds the old file or the new one, never half of it."""
    write_bytes(path, text.encode("utf8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes so that a reader finds the old file or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.parent / f"{PART}{path.name}"
    try:
        part.write_bytes(data)
        sync(part)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def files_under(folder: Path) -> list[Path]:
    """RETURNS (list): Every file below a folder, sorted; the file itself if it is one."""
    if folder.is_file():
        return [folder]
    return sorted(p for p in folder.rglob("*") if p.is_file())


def sync_folder(folder: Path) -> None:
    """Wait until a folder and all that is in it has reached the disk."""
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)


def sync(path: Path) -> None:
    """Wait until a file, or the list of a folder's names, has reached the disk."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders, and has no need to
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
