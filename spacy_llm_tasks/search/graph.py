"""Approximate search among many vectors: a graph of near neighbours (Malkov and Yashunin 2018,
"Efficient and robust approximate nearest neighbor search using HNSW graphs"), from `usearch`.

`usearch` is imported only here and only when a graph is built or opened. A graph covers the rows
that were there when it was built and is a file that never changes: what came later is searched
exactly beside it. It compares int8 numbers, or bits for the precision "binary": float32 would
make it four times larger and slower to build, for candidates that are compared by their float32
vectors anyway. A graph is read by native code, so its checksum is compared before.
"""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Errors
from ..packages import import_optional
from .nearest import Rows
from .quantize import Floats2d, encode, form_of, numbers_of

_CONNECTIVITY = 16
_EXPANSION_ADD = 128
_EXPANSION_SEARCH = 128
_CHUNK = 16384


class Graph:
    """A graph of near neighbours over the first rows of an index.

    index (usearch.index.Index): The graph.
    precision (str): Precision of the index.
    n_rows (int): How many rows it covers.
    """

    def __init__(self, index: Any, *, precision: str, n_rows: int) -> None:
        self.index = index
        self.precision = precision
        self.n_rows = n_rows

    @classmethod
    def build(cls, rows: NDArray[Any], *, width: int, precision: str) -> "Graph":
        """Link rows with their neighbours.

        rows (ndarray): (N, columns) of the precision's form.
        width (int): Numbers in a vector.
        precision (str): Precision of the index.
        RETURNS (Graph): The graph.
        RAISES (ImportError): If `usearch` is not installed.
        """
        bits = precision == "binary"
        index = _usearch().Index(
            ndim=64 * form_of(precision, width).columns if bits else width,
            metric="hamming" if bits else "cos",
            dtype="b1" if bits else "i8",
            connectivity=_CONNECTIVITY,
            expansion_add=_EXPANSION_ADD,
        )
        for start in range(0, len(rows), _CHUNK):
            part = _graph_form(rows[start : start + _CHUNK], precision)
            # By one thread: several would link the rows in another order every time.
            index.add(np.arange(start, start + len(part), dtype=np.uint64), part, threads=1)
        return cls(index, precision=precision, n_rows=len(rows))

    @classmethod
    def open(cls, path: Path, *, precision: str, n_rows: int, checksum: int) -> "Graph":
        """Map a saved graph into memory.

        path (Path): The file.
        precision (str): Precision of the index.
        n_rows (int): How many rows it covers.
        checksum (int): What `checksum_of` gave when it was saved.
        RETURNS (Graph): The graph.
        RAISES (ImportError): If `usearch` is not installed.
        RAISES (ValueError): If the file is missing or damaged.
        """
        usearch = _usearch()
        if not path.exists() or checksum_of(path) != checksum:
            raise ValueError(Errors.E603.format(path=path.parent, problem=f"{path.name} differs"))
        return cls(usearch.Index.restore(path, view=True), precision=precision, n_rows=n_rows)

    def save(self, path: Path) -> None:
        """Write the graph to a file."""
        self.index.save(path)

    def candidates(self, queries: Floats2d, *, count: int) -> list[Rows]:
        """Rows that are probably the nearest.

        queries (ndarray): (Q, W) float32 unit vectors.
        count (int): How many rows to look for.
        RETURNS (list[ndarray]): For each query at most that many rows.
        """
        self.index.expansion_search = max(_EXPANSION_SEARCH, count)
        asked = _graph_form(encode(queries, self.precision), self.precision)
        found = self.index.search(asked, min(count, self.n_rows))
        keys = np.asarray(found.keys).reshape(len(queries), -1).astype(np.int64)
        # One query gets a result of another class, which has only what was found.
        counts = np.asarray(getattr(found, "counts", [len(found)]))
        return [row[:n] for row, n in zip(keys, counts, strict=True)]


def checksum_of(path: Path) -> int:
    """CRC-32 of a file (it finds damage, not malice: open only indexes that you trust)."""
    checksum = 0
    with open(path, "rb") as file:
        while part := file.read(1 << 22):
            checksum = zlib.crc32(part, checksum)
    return checksum


def _graph_form(rows: NDArray[Any], precision: str) -> NDArray[Any]:
    if precision == "binary":
        return np.ascontiguousarray(rows).view(np.uint8)
    # A cosine does not ask for their scales.
    return numbers_of(rows if precision == "int8" else encode(np.asarray(rows), "int8"))


def _usearch() -> Any:
    return import_optional("usearch.index", Errors.E614)
