"""The folder of an index: what is in it now, and changes to it that are whole or did not happen.

`entries.sqlite` holds entries, keywords and the manifest; beside it lie the rows of vectors and,
for very many of them, a graph. The database decides what counts: files are written first, then
one transaction makes them part of the index. So an update that is killed at any moment leaves the
index as it was. Nothing in the folder is pickled.
"""

import os
import shutil
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import Errors, Warnings
from .entries import Entry
from .graph import Graph, checksum_of
from .manifest import Manifest
from .quantize import Floats2d
from .snapshot import Snapshot
from .store import Store
from .vectors import VectorFiles

_CHUNK = 8192


def make_folder(path: Path, manifest: Manifest) -> None:
    """Make the folder of an empty index, whole or not at all.

    path (Path): A folder that is not there yet, or is empty.
    manifest (Manifest): What the index shall be.
    RAISES (ValueError): If the folder is taken or the manifest cannot be.
    """
    manifest.check()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(Errors.E605.format(path=path))
    part = path.parent / f".part-{path.name}"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        Store.create(part, manifest)
        if path.exists():
            path.rmdir()
        part.rename(path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


class Folder:
    """The folder of an index that is open.

    path (Path): The folder.
    exact_below (int): Up to how many entries a graph is neither built nor used.
    RAISES (ValueError): If it holds no index that can be used.
    """

    def __init__(self, path: Path, *, exact_below: int) -> None:
        self.path = path
        self.exact_below = exact_below
        self.store = Store(path)
        self._lock = threading.RLock()
        self._changed: Manifest | None = None  # the manifest of the running update
        self._snapshot: Snapshot | None = None
        self._version = -1

    def close(self) -> None:
        """Let go of the files."""
        with self._lock:
            self._snapshot = None
            self.store.close()

    @contextmanager
    def reading(self) -> Iterator[Store]:
        """One thread at a time sees one state of the index throughout."""
        with self._lock, self.store.reading():
            yield self.store

    def manifest(self) -> Manifest:
        """What the index says of itself; during an update as it will be. While reading."""
        return self._changed or self.store.manifest()

    def snapshot(self) -> Snapshot:
        """The vectors as the database now describes them. While reading."""
        manifest = self.manifest()
        if self._snapshot is None or self._version != manifest.version:
            files = self._vector_files(manifest)
            alive = self.store.rows()
            self._snapshot = Snapshot(
                vectors=files.rows("float32", manifest.n_rows),
                codes=files.rows(manifest.precision, manifest.n_rows),
                precision=manifest.precision,
                alive=None if len(alive) == manifest.n_rows else alive,
                graph=self._graph(manifest),
                exact_below=self.exact_below,
            )
            self._version = manifest.version
        return self._snapshot

    @contextmanager
    def update(self) -> Iterator[None]:
        """Make several changes one: all of them when the block ends, none when it raises."""
        with self._lock:
            if self._changed is not None:
                yield
                return
            try:
                with self.store.changing():
                    before = self._changed = self.store.manifest()
                    # What killed updates left.
                    found = {*self.path.glob("vectors-*.*"), *self.path.glob("graph-*.usearch")}
                    _remove(found - self._files(before))
                    yield
                    after = self._changed
                    self._vector_files(after).sync()
                    self.store.set_manifest(after)
            finally:
                self._changed = self._snapshot = None
            _remove(self._files(before) - self._files(after))

    def add(self, entries: list[Entry], units: Floats2d) -> None:
        """Store entries with their unit vectors, replacing those of the same ids."""
        with self.update():
            manifest = self.manifest()
            self.store.put(entries, first_row=manifest.n_rows)
            self._vector_files(manifest).write(units, first_row=manifest.n_rows)
            self._change(replace(manifest, n_rows=manifest.n_rows + len(entries)))

    def delete(self, ids: Iterable[str], doc_ids: Iterable[str]) -> int:
        """Remove entries; their vectors stay until the next compaction. RETURNS (int): How many."""
        with self.update():
            n = self.store.delete(ids, doc_ids)
            self._change(self.manifest())
        return n

    def compact(self) -> None:
        """Write new files with the vectors that belong to an entry."""
        with self._lock:
            with self.update():
                self._compact()
            if self._changed is None:  # not within another update
                self.store.shrink()

    def build_graph(self, wanted: bool | None) -> None:
        """Compact and build a graph over everything, or drop it."""
        with self.update():
            self._compact()
            manifest = self.manifest()
            if wanted is None:
                wanted = manifest.n_rows > self.exact_below
            if not wanted or not manifest.n_rows:
                self._change(replace(manifest, graph="", graph_rows=0, graph_checksum=0))
            elif manifest.graph_rows < manifest.n_rows:
                codes = self._vector_files(manifest).rows(manifest.precision, manifest.n_rows)
                graph = Graph.build(codes, width=manifest.width, precision=manifest.precision)
                path = self.path / f"graph-{manifest.version + 1}.usearch"
                graph.save(path)
                with open(path, "r+b") as file:
                    os.fsync(file.fileno())
                manifest = replace(manifest, graph=path.name, graph_rows=manifest.n_rows)
                self._change(replace(manifest, graph_checksum=checksum_of(path)))

    def _compact(self) -> None:
        manifest = self.manifest()
        alive = self.store.rows()
        if len(alive) == manifest.n_rows:
            return
        compacted = replace(
            manifest,
            n_rows=len(alive),
            generation=manifest.generation + 1,
            graph="",
            graph_rows=0,
            graph_checksum=0,
        )
        old = self._vector_files(manifest).rows("float32", manifest.n_rows)
        new = self._vector_files(compacted)
        for start in range(0, len(alive), _CHUNK):
            new.write(np.asarray(old[alive[start : start + _CHUNK]]), first_row=start)
        self.store.renumber()
        self._change(compacted)

    def _change(self, manifest: Manifest) -> None:
        self._changed, self._snapshot = manifest, None

    def _graph(self, manifest: Manifest) -> Graph | None:
        if not manifest.graph or manifest.graph_rows <= self.exact_below:
            return None
        try:
            return Graph.open(
                self.path / manifest.graph,
                precision=manifest.precision,
                n_rows=manifest.graph_rows,
                checksum=manifest.graph_checksum,
            )
        except (ImportError, ValueError) as error:
            # Without it every search is right, only slower.
            warnings.warn(Warnings.W601.format(path=self.path, error=error), stacklevel=4)
            return None

    def _vector_files(self, manifest: Manifest) -> VectorFiles:
        return VectorFiles(
            self.path,
            width=manifest.width,
            precision=manifest.precision,
            generation=manifest.generation,
        )

    def _files(self, manifest: Manifest) -> set[Path]:
        files = set(self._vector_files(manifest).paths.values())
        return files | ({self.path / manifest.graph} if manifest.graph else set())


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except PermissionError:  # Windows keeps files that are mapped; a later update tries again
            continue
