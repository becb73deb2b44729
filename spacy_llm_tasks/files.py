"""Folders and files that are either whole or not there."""

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import Errors

PART = ".part-"
# Error numbers of a disk, a quota or a file system that takes no more.
NO_SPACE = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG}
_RUST_NUMBER = re.compile(r"\bos error (\d+)|\bOs \{ code: (\d+)")


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
        with naming(path):
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


def require_replaceable(path: Path, marker: str) -> None:
    """Refuse to write a folder where something of another kind is, such as files of the user's own.

    path (Path): Where the folder shall be.
    marker (str): A file that every folder of the kind to be written has.
    RAISES (ValueError): If anything is there but an empty folder or one with that file.
    """
    if path.is_dir():
        names = sorted(found.name for found in path.iterdir())
        if not names or (path / marker).is_file():
            return
        found = f"a folder of other files ({', '.join(names[:3])}{', ...' if names[3:] else ''})"
    elif path.exists():
        found = "a file"
    else:
        return
    raise ValueError(Errors.E530.format(path=path, found=found, marker=marker))


def require_writable(*paths: Path | None) -> None:
    """Refuse files that cannot be written, before the work is done whose results they shall hold.

    paths (Path | None): The files; folders that they need may be missing yet.
    RAISES (ValueError): If one is a folder, or its folder cannot be made or written to.
    """
    for path in paths:
        if path is None:
            continue
        if path.is_dir():
            raise ValueError(Errors.E531.format(path=path, reason="it is a folder"))
        folder = next(folder for folder in path.absolute().parents if folder.exists())
        if not folder.is_dir():
            raise ValueError(Errors.E531.format(path=path, reason=f"{folder} is a file"))
        if not os.access(folder, os.W_OK):
            reason = f"nothing may be written to {folder}"
            raise ValueError(Errors.E531.format(path=path, reason=reason))


def is_full(error: BaseException) -> bool:
    """RETURNS (bool): Whether the disk, or what one may use of it, was at its end."""
    return error_number(error) in NO_SPACE


def error_number(error: BaseException) -> int | None:
    """RETURNS (int | None): The operating system's number of an error. Libraries in Rust, such as
    safetensors, raise errors of their own and tell it in the message: `(os error 28)`."""
    if isinstance(error, OSError):
        return error.errno
    found = _RUST_NUMBER.search(str(error))
    return int(found[1] or found[2]) if found else None


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add a path to the error of a full disk, which says where it was when a file is opened, but
    not when it is written."""
    try:
        yield
    except OSError as error:
        if is_full(error) and error.filename is None:
            error.filename = str(path)
        raise


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
    write_together({path: data})


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write files that belong together: none takes its place before all of them are on the disk.

    On an error, such as a full disk, the old ones stay. Only a kill between two moves leaves some
    of both.

    contents (Mapping): Path -> bytes; moved to their places in this order. The folders exist.
    """
    parts = {path: path.parent / f"{PART}{path.name}" for path in contents}
    try:
        for path, data in contents.items():
            with naming(path):
                parts[path].write_bytes(data)
                sync(parts[path])
        for path, part in parts.items():
            os.replace(part, path)
    except BaseException:
        for part in parts.values():
            part.unlink(missing_ok=True)
        raise


def grant_usual_rights(path: Path) -> None:
    """Give a file the rights that any new file gets here, by the umask of this process. Some
    writers, such as that of safetensors, make files that only their owner can read."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)


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
