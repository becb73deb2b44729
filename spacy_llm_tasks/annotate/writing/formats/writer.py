"""What the writers of all formats have in common."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any


class Writer(ABC):
    """Writes rows to one file.

    path (Path): The file. One that is there is replaced.
    RAISES (OSError): Here and later, if the file cannot be written, for a full disk too.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path.open("wb")

    @abstractmethod
    def write(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Add rows: all of them, or none if there is one that the format cannot hold.

        records (Iterable[Mapping[str, Any]]): Rows as `outputs.row_of` makes them.
        RAISES (Exception): Whatever keeps a row from being written; an OSError is the disk's.
        """

    @abstractmethod
    def finish(self) -> None:
        """Write what is still to be written, before the file is closed."""

    def abandon(self) -> None:
        """Close the file as it is: it is not whole, and shall not become so."""
        try:
            self.file.close()
        except OSError:  # the disk is full, as the error on its way says already
            pass

    def close(self) -> None:
        """Make the file whole and close it. If that fails it is abandoned."""
        try:
            self.finish()
            self.file.close()
        except BaseException:
            self.abandon()
            raise

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()
