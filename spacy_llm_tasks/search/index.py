"""The index: entries and their vectors in a folder, added, replaced, removed and searched."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import Errors
from .entries import Entry, Hit
from .filters import Filters
from .folder import Folder, make_folder
from .hybrid import reciprocal_rank_fusion
from .manifest import Manifest
from .nearest import Ranked, Rows
from .quantize import Floats2d
from .vectors import unit_vectors
from .words import match_expression

# An exact search of so many vectors takes some hundredths of a second, and misses nothing.
EXACT_BELOW = 100_000
_CHUNK = 8192


class SearchIndex:
    """Entries with their vectors, in a folder. Made by `create` or `open`.

    Threads may share an index: they take turns. A process that forks must open its own. Several
    processes may search while one updates; they see its changes when it is done.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    @classmethod
    def create(
        cls,
        path: str | Path,
        *,
        width: int,
        unit: str = "doc",
        precision: str = "float32",
        fingerprint: str = "",
        exact_below: int = EXACT_BELOW,
    ) -> "SearchIndex":
        """Make an empty index.

        path (Path): A folder that is not there yet, or is empty.
        width (int): Numbers in a vector.
        unit (str): What an entry is: "doc", "sent" or "ent".
        precision (str): What candidates are searched in: "float32", or "int8" (a quarter of the
            bytes to read) or "binary" (a 32nd), whose candidates float32 vectors then sort.
            "float32" misses nothing, and is the faster one of it and "int8" while all vectors fit
            into memory.
        fingerprint (str): Name of what makes the vectors, such as a checksum of the pipeline.
        exact_below (int): Up to how many entries a graph is neither built nor used.
        RETURNS (SearchIndex): The index.
        RAISES (ValueError): If the folder is taken or an option is unknown.
        """
        make_folder(Path(path), Manifest(unit, width, precision, fingerprint))
        return cls.open(path, exact_below=exact_below)

    @classmethod
    def open(
        cls, path: str | Path, *, fingerprint: str | None = None, exact_below: int = EXACT_BELOW
    ) -> "SearchIndex":
        """Open an index.

        path (Path): Its folder.
        fingerprint (str): Name of what will make the vectors of queries; None: not compared.
        exact_below (int): Up to how many entries a graph is neither built nor used.
        RETURNS (SearchIndex): The index.
        RAISES (ValueError): If there is none, it is damaged, or its vectors are of another origin.
        """
        folder = Folder(Path(path), exact_below=exact_below)
        try:
            with folder.reading():
                known = folder.manifest().fingerprint
                if fingerprint is not None and known and fingerprint != known:
                    raise ValueError(
                        Errors.E607.format(path=path, found=fingerprint, expected=known)
                    )
                folder.snapshot()
        except BaseException:
            folder.close()
            raise
        return cls(folder)

    def close(self) -> None:
        """Let go of the files."""
        self._folder.close()

    def __enter__(self) -> "SearchIndex":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    @property
    def path(self) -> Path:
        """The folder."""
        return self._folder.path

    @property
    def manifest(self) -> Manifest:
        """What the index says of itself: unit, width, precision, fingerprint, count, ..."""
        with self._folder.reading():
            return self._folder.manifest()

    @property
    def uses_graph(self) -> bool:
        """Whether searches without filters go by a graph: there is one, and entries enough."""
        with self._folder.reading():
            return self._folder.snapshot().uses_graph

    # ---------------------------------------------------------------------------- changes

    def update(self) -> AbstractContextManager[None]:
        """Make several changes one: all of them when the `with` block ends, none when it raises.

        `add` and `delete` outside of such a block are changes of their own.
        """
        return self._folder.update()

    def add(self, entries: Iterable[Entry], vectors: ArrayLike) -> None:
        """Add entries, replacing those of the same ids.

        entries (Iterable[Entry]): The entries.
        vectors (ArrayLike): (N, W) numbers, a row for each entry, of any length: they are divided
            by it, since all scores are cosines.
        RAISES (ValueError): If numbers, shapes or an entry cannot be used; nothing is changed then.
        """
        entries = list(entries)
        rows = np.asarray(vectors)
        if len(entries) == 0 and rows.size == 0:
            return
        units = unit_vectors(rows, width=self.manifest.width)
        if len(units) != len(entries):
            raise ValueError(Errors.E613.format(n=len(entries), what="entries", other=len(units)))
        self._folder.add(entries, units)

    def delete(self, ids: Iterable[str] = (), *, doc_ids: Iterable[str] = ()) -> int:
        """Remove entries. Their space is kept until `compact`.

        ids (Iterable[str]): Ids of entries; unknown ones are passed over.
        doc_ids (Iterable[str]): Ids of documents all of whose entries shall go.
        RETURNS (int): How many entries there were.
        """
        ids, doc_ids = ([name] if isinstance(name, str) else name for name in (ids, doc_ids))
        return self._folder.delete(ids, doc_ids)

    def compact(self) -> None:
        """Free the space of removed and replaced entries."""
        self._folder.compact()

    def optimize(self, *, graph: bool | None = None) -> None:
        """Compact, and build a graph for approximate search, which takes minutes for each 100,000.

        Entries added later are searched exactly beside the graph, until the next call.

        graph (bool): Whether to build it; None: if there are more than `exact_below` entries.
        RAISES (ImportError): If a graph is needed and `usearch` is not installed.
        """
        self._folder.build_graph(graph)

    # ---------------------------------------------------------------------------- reading

    def search(
        self,
        vectors: ArrayLike | None = None,
        *,
        k: int = 10,
        texts: str | Sequence[str] | None = None,
        filters: Filters | None = None,
        oversample: int | None = None,
        exact: bool = False,
        depth: int = 100,
    ) -> list[list[Hit]]:
        """Find entries by vectors, by words, or by both.

        Both are joined by their ranks (see `reciprocal_rank_fusion`).

        vectors (ArrayLike): (Q, W) numbers, or (W,) for one query; None: by words alone.
        k (int): How many entries for each query.
        texts (Sequence[str]): A text for each query, any of whose words an entry must have to be
            found by words; None: by vectors alone.
        filters (Filters): What entries must have.
        oversample (int): Candidates for each wanted entry before float32 vectors decide; None: as
            the precision needs. See `measure_recall`.
        exact (bool): Compare all float32 vectors, whatever the precision and the graph.
        depth (int): How many of the best of either kind are joined, at least k.
        RETURNS (list[list[Hit]]): For each query the hits, the best first.
        RAISES (ValueError): If vectors and texts do not fit the index or each other.
        """
        for name, value in (("k", k), ("depth", depth), ("oversample", oversample or 1)):
            _check_count(name, value)
        if vectors is None and texts is None:
            raise ValueError(Errors.E619)
        queries = None if vectors is None else self._queries(vectors)
        words = [texts] if isinstance(texts, str) else texts
        for text in words or ():
            if not isinstance(text, str):
                raise ValueError(Errors.E612.format(name="texts", expected="texts", found=text))
        if queries is not None and words is not None and len(queries) != len(words):
            raise ValueError(Errors.E613.format(n=len(words), what="texts", other=len(queries)))
        most = k if queries is None or words is None else max(k, depth)
        with self._folder.reading() as store:
            where, values = ("", []) if filters is None else filters.where()
            state = self._folder.snapshot()
            near: list[dict[int, float]] | None = None
            if queries is not None:
                rows = store.rows(where, values) if where else None
                near = [
                    dict(zip(found.tolist(), cosines.tolist(), strict=True))
                    for found, cosines in state.nearest(
                        queries, k=most, rows=rows, oversample=oversample, exact=exact
                    )
                ]
            said: list[dict[int, float]] | None = None
            if words is not None:
                asked = [match_expression(text) for text in words]
                said = [
                    dict(store.keywords(one, k=most, where=where, values=values)) for one in asked
                ]
            hits = []
            for item in range(len(near if near is not None else said or ())):
                cosines = None if near is None else near[item]
                bm25 = None if said is None else said[item]
                ranked = _joined(cosines, bm25)[:k]
                if cosines is not None and queries is not None:
                    # Those that only words found have a cosine all the same.
                    new = [row for row, _ in ranked if row not in cosines]
                    found = (np.asarray(state.vectors[new]) @ queries[item]).tolist()
                    cosines.update(zip(new, found, strict=True))
                entries = store.entries(row for row, _ in ranked)
                hits.append(
                    [
                        Hit(entries[row], score, (cosines or {}).get(row), (bm25 or {}).get(row))
                        for row, score in ranked
                    ]
                )
        return hits

    def nearest(
        self,
        vectors: ArrayLike,
        *,
        k: int = 10,
        oversample: int | None = None,
        exact: bool = False,
    ) -> list[Ranked]:
        """Like `search` by vectors, but rows and cosines instead of entries.

        RETURNS (list[tuple]): For each query rows (see `vectors_at`) and their cosines.
        """
        _check_count("k", k)
        queries = self._queries(vectors)
        with self._folder.reading():
            return self._folder.snapshot().nearest(queries, k=k, oversample=oversample, exact=exact)

    def __len__(self) -> int:
        with self._folder.reading() as store:
            return store.count()

    def __contains__(self, name: object) -> bool:
        with self._folder.reading() as store:
            return isinstance(name, str) and store.row_of(name) is not None

    def get(self, ids: Sequence[str]) -> list[Entry | None]:
        """The entries of some ids, with None for unknown ones."""
        with self._folder.reading() as store:
            rows = [store.row_of(name) for name in ids]
            found = store.entries(row for row in rows if row is not None)
        return [None if row is None else found[row] for row in rows]

    def entries(self) -> Iterator[Entry]:
        """All entries, in the order of `vectors`: as they were added."""
        rows = self.rows()
        for start in range(0, len(rows), _CHUNK):
            with self._folder.reading() as store:
                found = store.entries(rows[start : start + _CHUNK])
            yield from (found[row] for row in sorted(found))

    def rows(self) -> Rows:
        """Rows of all entries, ascending. They change when the index is compacted."""
        with self._folder.reading() as store:
            return store.rows()

    def vectors_at(self, rows: ArrayLike) -> Floats2d:
        """The unit vectors of some rows. RETURNS (ndarray): (N, W) float32."""
        with self._folder.reading():
            return np.asarray(self._folder.snapshot().vectors[np.asarray(rows, dtype=np.int64)])

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The unit vectors of all entries, (N, W) float32: mapped from disk if the index is
        compact, otherwise copied."""
        with self._folder.reading():
            state = self._folder.snapshot()
            return state.vectors if state.alive is None else state.vectors[state.alive]

    # ---------------------------------------------------------------------------- plumbing

    def _queries(self, vectors: ArrayLike) -> Floats2d:
        rows = np.asarray(vectors)
        return unit_vectors(rows[None] if rows.ndim == 1 else rows, width=self.manifest.width)


def _joined(
    cosines: dict[int, float] | None, bm25: dict[int, float] | None
) -> list[tuple[int, float]]:
    """Rows with the scores that rank them, the best first."""
    if cosines is not None and bm25 is not None:
        return reciprocal_rank_fusion([list(cosines), list(bm25)])
    return list((cosines if cosines is not None else bm25 or {}).items())


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(Errors.E612.format(name=name, expected="1 or more", found=value))
