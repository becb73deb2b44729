"""Which ids a run has seen, on the disk: duplicates are found in a corpus of any size."""

import hashlib
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from ...errors import Errors
from .read_settings import DUPLICATE_IDS
from .rows import BadRow, Row

_CACHE_KIB = 16_384
_DIGEST_BYTES = 16
_NUMBER_BITS = 40  # of a position: the row in its file; the bits above are the file's
_TABLES = """
CREATE TABLE IF NOT EXISTS files (name TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS ids (
    digest BLOB PRIMARY KEY, position INTEGER NOT NULL, last INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS renamed (position INTEGER PRIMARY KEY, id TEXT NOT NULL);
"""
_INSERT = "INSERT OR IGNORE INTO ids (digest, position) VALUES (?, ?)"


class IdRegister:
    """A register of ids in an SQLite file. Ids are told apart by 128 bits of BLAKE2b.

    All rows of a corpus are checked once, in their order and in batches of any size; `settled` then
    gives their ids whenever they are read again. A row that is checked again, known by its file and
    number, gets the same answer.

    path (Path): The file. It is made if it is not there.
    policy (str): What becomes of a row whose id an earlier row has: "refuse" raises an error,
        "number" calls it "<id>#2", or the next number that nobody has.
    RAISES (ValueError): If the policy is unknown, or the file cannot be used.
    """

    def __init__(self, path: str | Path, policy: str) -> None:
        if policy not in DUPLICATE_IDS:
            expected = "one of " + ", ".join(DUPLICATE_IDS)
            raise ValueError(
                Errors.E806.format(name="duplicate_ids", expected=expected, found=policy)
            )
        self.path = path
        self.policy = policy
        self._files: dict[str, int] = {}
        try:
            # Used by one thread at a time, but not always by the one that opened it.
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            self._db.executescript(_TABLES)
            self._db.execute("BEGIN")
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def check(self, rows: Sequence[Row | BadRow]) -> None:
        """Register the ids of rows.

        rows (Sequence[Row | BadRow]): Rows as they are read. Bad ones have no say.
        RAISES (ValueError): If an id is there twice and that is refused, with both places; or if
            the register cannot be written.
        """
        good = [row for row in rows if isinstance(row, Row)]
        try:
            entries = [(_digest(row.id), self._position(row)) for row in good]
            before = self._db.total_changes
            self._db.execute("SAVEPOINT checked")
            self._db.executemany(_INSERT, entries)
            if self._db.total_changes - before != len(entries):
                # One by one, so that it does not matter which rows are checked together.
                self._db.execute("ROLLBACK TO checked")
                for row, (digest, position) in zip(good, entries, strict=True):
                    self._check(row, digest, position)
            self._db.execute("RELEASE checked")
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def settled(self, rows: Sequence[Row | BadRow]) -> list[Row | BadRow]:
        """Give rows that were checked the ids that they are to have.

        rows (Sequence[Row | BadRow]): Rows of one file, as they were read.
        RETURNS (list[Row | BadRow]): The same, those under a new id that have been renamed.
        RAISES (ValueError): If the register cannot be read.
        """
        try:
            places = [self._position(row) if isinstance(row, Row) else -1 for row in rows]
            query = "SELECT position, id FROM renamed WHERE position BETWEEN ? AND ?"
            span = (min(places, default=0), max(places, default=0))
            names = dict(self._db.execute(query, span).fetchall())
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        return [
            replace(row, id=names[place]) if isinstance(row, Row) and place in names else row
            for row, place in zip(rows, places, strict=True)
        ]

    def commit(self) -> None:
        """Have what was registered on the disk.

        RAISES (ValueError): If it cannot be written.
        """
        try:
            self._db.execute("COMMIT")
            self._db.execute("BEGIN")
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def close(self) -> None:
        """Close the file. What was not committed is forgotten."""
        self._db.close()

    def __enter__(self) -> "IdRegister":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.commit()
        finally:
            self.close()

    def _check(self, row: Row, digest: bytes, position: int) -> None:
        if self._db.execute(_INSERT, (digest, position)).rowcount:
            return
        first, last = self._one("SELECT position, last FROM ids WHERE digest = ?", digest)
        if first == position:
            return
        if self.policy == "refuse":
            places = [self._place(at) for at in (first, position)]
            raise ValueError(Errors.E812.format(id=row.id, first=places[0], second=places[1]))
        if self._one("SELECT 1 FROM renamed WHERE position = ?", position):
            return
        name = ""
        while not name or not self._db.execute(_INSERT, (_digest(name), position)).rowcount:
            last += 1
            name = f"{row.id}#{last}"
        self._db.execute("UPDATE ids SET last = ? WHERE digest = ?", (last, digest))
        self._db.execute("INSERT INTO renamed VALUES (?, ?)", (position, name))

    def _position(self, row: Row) -> int:
        """The row's file and number as one number, by which the register knows it."""
        if row.file not in self._files:
            self._db.execute("INSERT OR IGNORE INTO files VALUES (?)", (row.file,))
            self._files[row.file] = self._one("SELECT rowid FROM files WHERE name = ?", row.file)[0]
        return (self._files[row.file] << _NUMBER_BITS) + row.number

    def _place(self, position: int) -> str:
        file, number = divmod(position, 1 << _NUMBER_BITS)
        name = self._one("SELECT name FROM files WHERE rowid = ?", file)[0]
        return f"{name}:{number}" if number else name

    def _one(self, query: str, value: object) -> Any:
        return self._db.execute(query, (value,)).fetchone()

    def _unusable(self, error: sqlite3.Error) -> ValueError:
        return ValueError(Errors.E811.format(path=self.path, reason=error))


def _digest(id: str) -> bytes:
    return hashlib.blake2b(id.encode("utf-8"), digest_size=_DIGEST_BYTES).digest()
