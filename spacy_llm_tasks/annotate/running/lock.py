"""One run at a time in an output folder, by a lock that ends with the process that holds it.

The lock is the operating system's (`flock`, on Windows `msvcrt.locking`): it is released when its
owner ends, however that happens, and what the file says is for the message only. Some network file
systems have no such locks; there the file itself is the lock, and counts for as long as a process
of that number and start time lives on the machine that it names.
"""

import errno
import json
import os
import socket
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from ...errors import Errors

WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
# Windows keeps others from reading what is locked: a byte far behind the text.
FAR = 2**30


class FolderLock:
    """Holds a folder while entered.

    path (Path): The file of the lock. Its folder must be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def __enter__(self) -> "FolderLock":
        """RAISES (ValueError): If another run holds the folder."""
        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            owner = _owner(file)
            if not _take(file, owner):
                raise ValueError(Errors.E840.format(path=self.path, owner=_describe(owner)))
            os.lseek(file, 0, os.SEEK_SET)
            os.ftruncate(file, 0)
            os.write(file, json.dumps(_myself()).encode("utf8"))
        except BaseException:
            os.close(file)
            raise
        self._file = file
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            # The file stays: who removed it could remove one that another run has just locked.
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None


def _take(file: int, owner: dict[str, Any]) -> bool:
    """Lock an open file. RETURNS (bool): Whether it is ours now."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(file, FAR, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in WITHOUT_LOCKS:
            return not _is_alive(owner)
        return False
    return True


def _owner(file: int) -> dict[str, Any]:
    """What the file says of the last owner; nothing if it has left or was killed while writing."""
    try:
        found = json.loads(os.read(file, 4096))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _myself() -> dict[str, Any]:
    pid = os.getpid()
    return {"host": socket.gethostname(), "pid": pid, "started": start_time(pid)}


def _describe(owner: dict[str, Any]) -> str:
    return f"process {owner['pid']} on {owner['host']}" if owner else "unknown"


def _is_alive(owner: dict[str, Any]) -> bool:
    """Whether the process that wrote the file lives. That of another machine is believed to."""
    if not owner:
        return False
    if owner.get("host") != socket.gethostname():
        return True
    pid = int(owner.get("pid", 0))
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return start_time(pid) == owner.get("started")


def start_time(pid: int) -> int | None:
    """When a process started, by which it is told from a later one of the same number.

    pid (int): Its number.
    RETURNS (int | None): In ticks since the machine was started, field 22 of /proc/PID/stat; None
        where there is no such file.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    # Field 2 is the name in parentheses, which may hold spaces and parentheses itself.
    return int(stat.rpartition(")")[2].split()[19])
