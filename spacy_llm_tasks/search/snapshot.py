"""One state of an index's vectors, and the way from queries to the rows nearest to them."""

from math import ceil
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .graph import Graph
from .nearest import Ranked, Rows, nearest, rescore
from .quantize import Floats2d, form_of


class Snapshot(NamedTuple):
    """One state of an index's vectors.

    vectors (ndarray): (N, W) float32 unit vectors, mapped from disk.
    codes (ndarray): (N, columns) rows of the smaller precision; the vectors if there is none.
    precision (str): The form of the codes.
    alive (ndarray): Ascending rows that belong to an entry; None: all of them.
    graph (Graph): A graph over the first rows, or None.
    exact_below (int): Up to how many rows a graph is not worth its misses.
    """

    vectors: NDArray[Any]
    codes: NDArray[Any]
    precision: str
    alive: Rows | None
    graph: Graph | None
    exact_below: int

    @property
    def uses_graph(self) -> bool:
        """Whether a search without filters goes by the graph."""
        return self._use_graph(len(self.vectors) if self.alive is None else len(self.alive))

    def nearest(
        self,
        queries: Floats2d,
        *,
        k: int,
        rows: Rows | None = None,
        oversample: int | None = None,
        exact: bool = False,
    ) -> list[Ranked]:
        """Find the rows with the highest cosines.

        First k * oversample candidates are found, by the graph if there is one and enough rows
        may be found, else among the codes of all; then the float32 vectors decide. Where the graph
        finds too few that may be found, all codes are searched.

        queries (ndarray): (Q, W) float32 unit vectors.
        k (int): How many rows for each query.
        rows (ndarray): Ascending rows that may be found; None: all.
        oversample (int): Candidates for each wanted row; None: as the precision needs.
        exact (bool): Compare the float32 vectors of all rows instead.
        RETURNS (list[tuple]): For each query rows and cosines, the best first.
        """
        rows = self.alive if rows is None else rows
        n = len(self.vectors) if rows is None else len(rows)
        if not len(queries) or not n:
            return [(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
        count = k * (oversample or form_of(self.precision, 1).oversample)
        if exact or (self.precision == "float32" and not self._use_graph(n)):
            return nearest(queries, self.vectors, k=k, rows=rows)
        found = self._by_graph(queries, count, rows) or [np.empty(0, np.int64)] * len(queries)
        few = [item for item, some in enumerate(found) if len(some) < min(k, n)]
        scanned = nearest(queries[few], self.codes, k=count, precision=self.precision, rows=rows)
        for item, (candidates, _) in zip(few, scanned, strict=True):
            found[item] = candidates
        return rescore(queries, self.vectors, found, k=k)

    def _use_graph(self, n: int) -> bool:
        return self.graph is not None and n > self.exact_below

    def _by_graph(self, queries: Floats2d, count: int, rows: Rows | None) -> list[Rows]:
        graph = self.graph
        if graph is None or not self._use_graph(len(self.vectors) if rows is None else len(rows)):
            return []
        # The graph knows nothing of replaced entries and filters: fetch as many more as they take
        # away if they are spread evenly.
        inside = graph.n_rows if rows is None else int(np.searchsorted(rows, graph.n_rows))
        wanted = ceil(count * graph.n_rows / inside) if inside else 0
        found = [np.empty(0, np.int64)] * len(queries)
        if wanted:
            found = graph.candidates(queries, count=wanted)
        if rows is not None:
            found = [candidates[_are_in(candidates, rows)] for candidates in found]
        later = np.arange(graph.n_rows, len(self.codes)) if rows is None else rows[inside:]
        if not len(later):
            return found
        tail = nearest(queries, self.codes, k=count, precision=self.precision, rows=later)
        return [np.concatenate((one, other)) for one, (other, _) in zip(found, tail, strict=True)]


def _are_in(some: Rows, rows: Rows) -> NDArray[np.bool_]:
    """Which numbers are among ascending ones."""
    places = np.minimum(np.searchsorted(rows, some), len(rows) - 1)
    return rows[places] == some
