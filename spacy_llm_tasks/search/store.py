"""Entries in a SQLite database: texts, places, annotations, keywords, and the index's manifest.

The database is what an index holds; the files of vectors follow it. A change is one transaction,
so that other processes see all of it or nothing, and a killed one leaves nothing
(https://sqlite.org/atomiccommit.html).
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import Errors
from .entries import Entry
from .filters import Scalar, folded, scalar
from .manifest import APPLICATION_ID, FORMAT, Manifest, read_manifest, write_manifest
from .nearest import Rows
from .words import TOKENIZER, spaced

FILE = "entries.sqlite"

# `key` names an entry within the database and `row` its vector, which moves when the index is
# compacted. `words` has the lists of the entries that have a word, by key, and no texts.
_SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT};
CREATE TABLE manifest (one INTEGER PRIMARY KEY CHECK (one = 1), value TEXT NOT NULL);
CREATE TABLE entries (
    key INTEGER PRIMARY KEY, row INTEGER UNIQUE NOT NULL, id TEXT UNIQUE NOT NULL,
    doc_id TEXT NOT NULL, text TEXT NOT NULL, start_char INTEGER NOT NULL,
    end_char INTEGER NOT NULL, ents TEXT NOT NULL, cats TEXT NOT NULL, meta TEXT NOT NULL
);
CREATE INDEX entries_of_doc ON entries (doc_id);
CREATE TABLE ents (key INTEGER NOT NULL, label TEXT NOT NULL, folded TEXT NOT NULL);
CREATE TABLE cats (key INTEGER NOT NULL, label TEXT NOT NULL, score REAL NOT NULL);
CREATE TABLE meta (key INTEGER NOT NULL, name TEXT NOT NULL, value);
CREATE INDEX ents_by_label ON ents (label, folded);
CREATE INDEX ents_by_text ON ents (folded);
CREATE INDEX cats_by_score ON cats (label, score);
CREATE INDEX meta_by_value ON meta (name, value);
CREATE INDEX ents_of_entry ON ents (key);
CREATE INDEX cats_of_entry ON cats (key);
CREATE INDEX meta_of_entry ON meta (key);
CREATE VIRTUAL TABLE words USING fts5(text, content='', tokenize="{TOKENIZER}");
"""
_COLUMNS = "id, text, start_char, end_char, doc_id, ents, cats, meta"
# Seconds to wait for another process that writes.
_TIMEOUT = 30.0


class Store:
    """The database of an index.

    path (Path): Folder of the index.
    RAISES (ValueError): If it holds no index that can be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not (path / FILE).is_file():
            raise ValueError(Errors.E602.format(path=path))
        # Not "rwc": opening must not make a file. A file that cannot be written is read.
        self._connection = _connect(path / FILE, mode="rw")
        try:
            with self._clear_errors():
                _prepare(self._connection)
                self.manifest()
        except BaseException:
            self._connection.close()
            raise

    @classmethod
    def create(cls, path: Path, manifest: Manifest) -> None:
        """Write an empty database into a folder.

        path (Path): The folder, which must be there.
        manifest (Manifest): What the index is.
        RAISES (ValueError): If this SQLite has no full-text search.
        """
        connection = _connect(path / FILE, mode="rwc")
        try:
            _prepare(connection)
            connection.executescript(f"BEGIN; {_SCHEMA}")
            write_manifest(connection, manifest)
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if "fts5" in str(error):
                raise ValueError(Errors.E615) from error
            raise
        finally:
            connection.close()

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._connection.close()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """See one state of the database throughout, whatever others write."""
        with self._clear_errors():
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Change the database: all of it when the block ends, nothing when it raises."""
        with self._clear_errors():
            # At once, not at the first write: the files of vectors are under this lock too.
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def manifest(self) -> Manifest:
        """RETURNS (Manifest): What the index says of itself now."""
        return read_manifest(self._connection, self.path)

    def set_manifest(self, manifest: Manifest) -> None:
        """Store the manifest, with the next version and the entries counted."""
        counted = replace(manifest, count=self.count(), version=manifest.version + 1)
        write_manifest(self._connection, counted)

    def put(self, entries: Iterable[Entry], *, first_row: int) -> None:
        """Store entries whose vectors lie in consecutive rows, replacing those of the same ids.

        entries (Iterable[Entry]): The entries.
        first_row (int): Row of the first one's vector.
        RAISES (ValueError): If an entry cannot be stored.
        """
        run = self._connection.execute
        # All of them first: an entry that cannot be stored must not leave those before it.
        prepared = [(entry, _columns(entry)) for entry in entries]
        for row, (entry, (columns, ents, cats, meta)) in enumerate(prepared, start=first_row):
            self._delete("id = ?", (entry.id,))
            marks = ", ".join("?" * len(columns))
            key = run(
                f"INSERT INTO entries (row, {_COLUMNS}) VALUES (?, {marks})", (row, *columns)
            ).lastrowid
            run("INSERT INTO words (rowid, text) VALUES (?, ?)", (key, spaced(entry.text)))
            many = self._connection.executemany
            many("INSERT INTO ents VALUES (?, ?, ?)", [(key, *pair) for pair in ents])
            many("INSERT INTO cats VALUES (?, ?, ?)", [(key, *pair) for pair in cats])
            many("INSERT INTO meta VALUES (?, ?, ?)", [(key, *pair) for pair in meta])

    def delete(self, ids: Iterable[str], doc_ids: Iterable[str]) -> int:
        """Remove entries by their ids, and all entries of documents. RETURNS (int): How many."""
        n = sum(self._delete("id = ?", (name,)) for name in ids)
        return n + sum(self._delete("doc_id = ?", (name,)) for name in doc_ids)

    def count(self) -> int:
        """RETURNS (int): How many entries there are."""
        return self._connection.execute("SELECT count(*) FROM entries").fetchone()[0]

    def rows(self, where: str = "", values: Sequence[Scalar] = ()) -> Rows:
        """Rows of the entries that meet conditions (see `Filters.where`), ascending."""
        query = f"SELECT row FROM entries WHERE {where or '1'} ORDER BY row"
        found = self._connection.execute(query, values)
        return np.fromiter((row for (row,) in found), dtype=np.int64)

    def entries(self, rows: Iterable[int]) -> dict[int, Entry]:
        """The entries whose vectors lie in these rows."""
        wanted = json.dumps([int(row) for row in rows])
        found = self._connection.execute(
            f"SELECT row, {_COLUMNS} FROM entries WHERE row IN (SELECT value FROM json_each(?))",
            (wanted,),
        )
        return {row: _entry(columns) for row, *columns in found}

    def row_of(self, name: str) -> int | None:
        """The row of an id's vector, or None."""
        found = self._connection.execute("SELECT row FROM entries WHERE id = ?", (name,)).fetchone()
        return None if found is None else found[0]

    def keywords(
        self, expression: str, *, k: int, where: str = "", values: Sequence[Scalar] = ()
    ) -> list[tuple[int, float]]:
        """The best entries by BM25 (Robertson and Zaragoza 2009; FTS5 has k1 = 1.2, b = 0.75,
        https://sqlite.org/fts5.html#the_bm25_function, with the sign turned).

        expression (str): A query of FTS5, see `match_expression`; an empty one finds nothing.
        k (int): How many.
        where (str): Conditions on the entries.
        values (Sequence): Their parameters.
        RETURNS (list[tuple[int, float]]): Row and score, the best first; equal ones by their rows.
        """
        if not expression:
            return []
        found = self._connection.execute(
            "SELECT entries.row, -bm25(words) AS score FROM words "
            "JOIN entries ON entries.key = words.rowid "
            f"WHERE words MATCH ? AND {where or '1'} ORDER BY score DESC, entries.row LIMIT ?",
            (expression, *values, k),
        )
        return [(row, score) for row, score in found]

    def renumber(self) -> None:
        """Give the entries the rows 0, 1, 2, ... in the order they have."""
        # Ascending, so that a row is free when an entry moves to it.
        moves = [(new, int(old)) for new, old in enumerate(self.rows()) if new != old]
        self._connection.executemany("UPDATE entries SET row = ? WHERE row = ?", moves)

    def shrink(self) -> None:
        """Give space that is no longer needed back to the disk. Not within a transaction."""
        with self._clear_errors():
            self._connection.execute("INSERT INTO words (words) VALUES ('optimize')")
            self._connection.execute("VACUUM")

    def _delete(self, condition: str, values: tuple[Any, ...]) -> int:
        run = self._connection.execute
        found = run(f"SELECT key, text FROM entries WHERE {condition}", values).fetchall()
        for key, text in found:
            # FTS5 keeps no text here, so it must be told which words to forget.
            run(
                "INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)",
                (key, spaced(text)),
            )
            for table in ("ents", "cats", "meta", "entries"):
                run(f"DELETE FROM {table} WHERE key = ?", (key,))
        return len(found)

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError as error:
            raise ValueError(Errors.E616.format(path=self.path, error=error)) from error
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise ValueError(Errors.E617.format(path=self.path)) from error
            raise ValueError(Errors.E616.format(path=self.path, error=error)) from error
        except sqlite3.DatabaseError as error:
            raise ValueError(Errors.E603.format(path=self.path, problem=error)) from error


def _connect(path: Path, *, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}",
        uri=True,
        timeout=_TIMEOUT,
        isolation_level=None,  # transactions begin where this module says so
        check_same_thread=False,  # `SearchIndex` lets one thread in at a time
    )


def _prepare(connection: sqlite3.Connection) -> None:
    # A database from elsewhere must not run functions by its own triggers and views.
    connection.execute("PRAGMA trusted_schema = OFF")
    # KiB. Once the pages of a change do not fit, SQLite writes some early and others cannot read.
    connection.execute("PRAGMA cache_size = -262144")


def _columns(entry: Entry) -> tuple[tuple[Any, ...], list, list, list]:
    """The columns of an entry, and its rows of the tables that filters read."""
    for name in ("id", "text", "doc_id"):
        value = getattr(entry, name)
        if not isinstance(value, str) or (name == "id" and not value) or not _is_utf8(value):
            _refuse(entry, name, "a text" if name != "id" else "a text that is not empty")
    for name in ("start_char", "end_char"):
        if not isinstance(getattr(entry, name), int):
            _refuse(entry, name, "a whole number")
    try:
        ents = [(str(label), str(text)) for label, text in entry.ents]
        found = [(label, folded(text)) for label, text in ents]
    except (TypeError, ValueError):
        _refuse(entry, "ents", "(label, text) pairs")
    try:
        cats = [(str(label), float(score)) for label, score in entry.cats.items()]
        cats_json = json.dumps(dict(cats), allow_nan=False)
    except (AttributeError, TypeError, ValueError):
        _refuse(entry, "cats", "labels with finite scores")
    try:
        meta_json = json.dumps(dict(entry.meta), allow_nan=False)
    except (TypeError, ValueError):
        _refuse(entry, "meta", "what JSON can express")
    # As JSON gives it back: keys are texts and tuples are lists.
    meta = [
        (name, scalar(value))
        for name, kept in json.loads(meta_json).items()
        for value in (kept if isinstance(kept, list) else [kept])
        if not isinstance(value, (dict, list))
    ]
    place = (int(entry.start_char), int(entry.end_char))
    kept = (entry.id, entry.text, *place, entry.doc_id, json.dumps(ents), cats_json, meta_json)
    return kept, found, cats, meta


def _entry(columns: Sequence[Any]) -> Entry:
    name, text, start, end, doc_id, ents, cats, meta = columns
    pairs = tuple((label, found) for label, found in json.loads(ents))
    return Entry(name, text, start, end, doc_id, pairs, json.loads(cats), json.loads(meta))


def _refuse(entry: Entry, name: str, expected: str) -> Any:
    found = getattr(entry, name)
    raise ValueError(Errors.E610.format(id=entry.id, name=name, expected=expected, found=found))


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf8")
    except UnicodeEncodeError:
        return False
    return True
