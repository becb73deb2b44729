"""All ways to cut many strings into pieces at once, as arrays.

The nodes of a string's lattice are its borders, 0 to its length; an edge is a piece of the
vocabulary that stands between two of them. Strings are sorted by length, so that those that reach a
border are the first ones, and edges are grouped by border and length: within a group no node occurs
twice, and one step of forward, backward or Viterbi for all strings is one array operation.

Letters of shapes: S strings, E edges, V pieces, C characters of a text under the strings.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .pieces import Ints1d, bounds_of

Floats1d = npt.NDArray[np.float64]
Int32s = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Lattice:
    """The lattices of S strings.

    order (int64 array): which string stands at each place, the longest first. *Shape: (S,)*
    lengths (int64 array): characters of the strings in that order. *Shape: (S,)*
    groups (list): `(border, length, first edge, last edge)` of each group, by border.
    strings (int32 array): place of each edge's string. *Shape: (E,)*
    pieces (int32 array): piece of each edge. *Shape: (E,)*
    """

    order: Ints1d
    lengths: Ints1d
    groups: list[tuple[int, int, int, int]]
    strings: Int32s
    pieces: Int32s

    @classmethod
    def build(
        cls, table: list[Int32s], starts: Ints1d, lengths: Ints1d, *, whole: bool
    ) -> "Lattice":
        """Look up all pieces in all strings.

        table (list of int32 array): for each length from 1, the piece of that length that starts at
            each character of a text, or -1. *Shape of each: (C,)*
        starts (int64 array): where each string starts in the text. *Shape: (S,)*
        lengths (int64 array): characters of each string. *Shape: (S,)*
        whole (bool): whether a string may be a piece itself.
        RETURNS (Lattice): the lattices.
        """
        order = np.argsort(-lengths, kind="stable")
        starts, lengths = starts[order], lengths[order]
        groups, strings, pieces = [], [], []
        n_edges = 0
        for border in range(1, int(lengths.max(initial=0)) + 1):
            reach = _n_reaching(lengths, border)
            for length in range(1, min(border, len(table)) + 1):
                found = table[length - 1][starts[:reach] + (border - length)]
                if not whole and border == length:
                    found = np.where(lengths[:reach] == length, np.int32(-1), found)
                places = np.flatnonzero(found >= 0).astype(np.int32)
                if len(places):
                    groups.append((border, length, n_edges, n_edges + len(places)))
                    n_edges += len(places)
                    strings.append(places)
                    pieces.append(found[places])
        none = np.zeros(0, dtype=np.int32)
        return cls(
            order,
            lengths,
            groups,
            np.concatenate([none, *strings]),
            np.concatenate([none, *pieces]),
        )

    def keep(self, new_ids: Int32s) -> "Lattice":
        """Leave out pieces.

        new_ids (int32 array): the new id of each piece, -1 for those to leave out. *Shape: (V,)*
        RETURNS (Lattice): the lattices without their edges.
        """
        found = new_ids[self.pieces]
        kept = found >= 0
        before = bounds_of(kept.astype(np.int64))
        groups = [
            (border, length, int(before[first]), int(before[last]))
            for border, length, first, last in self.groups
            if before[last] > before[first]
        ]
        return Lattice(self.order, self.lengths, groups, self.strings[kept], found[kept])

    def expected_counts(self, probabilities: Floats1d, weights: Floats1d) -> tuple[Floats1d, float]:
        """How often each piece is expected in the strings, over all ways to cut them (the forward
        and backward sums of Kudo 2018, https://arxiv.org/abs/1804.10959).

        probabilities (float64 array): of each piece. *Shape: (V,)*
        weights (float64 array): how often each string occurs, in the caller's order. *Shape: (S,)*
        RETURNS (tuple): the counts, *Shape: (V,)*, and the log-likelihood of all strings.
        """
        offsets = self._offsets()
        n_strings = len(self.order)
        forward = np.zeros(int(offsets[-1]))
        backward = np.zeros(int(offsets[-1]))
        forward[:n_strings] = 1.0
        at_end = offsets[self.lengths] + np.arange(n_strings)
        backward[at_end] = 1.0
        chances = probabilities[self.pieces]
        for border, length, first, last in self.groups:
            strings = self.strings[first:last]
            came = forward[offsets[border - length] + strings]
            forward[offsets[border] + strings] += came * chances[first:last]
        through = np.zeros(len(chances))
        for border, length, first, last in reversed(self.groups):
            strings = self.strings[first:last]
            start = offsets[border - length] + strings
            rest = chances[first:last] * backward[offsets[border] + strings]
            backward[start] += rest
            through[first:last] = forward[start] * rest
        totals = forward[at_end]
        reached = totals > 0
        shares = np.zeros(n_strings)
        ordered = weights[self.order]
        shares[reached] = ordered[reached] / totals[reached]
        through *= shares[self.strings]
        counts = np.zeros(len(probabilities))
        np.add.at(counts, self.pieces, through)
        return counts, float((ordered[reached] * np.log(totals[reached])).sum())

    def best_edges(self, scores: Floats1d) -> tuple[Int32s, Int32s]:
        """The best way to cut each string (Viterbi).

        scores (float64 array): log-probability of each piece. *Shape: (V,)*
        RETURNS (tuple of int32 array): the pieces of the best ways, and the caller's number of the
            string that each belongs to; nothing for a string that cannot be cut.
            *Shape: (n,), (n,)*
        """
        offsets = self._offsets()
        n_strings = len(self.order)
        best = np.full(int(offsets[-1]), -np.inf)
        best[:n_strings] = 0.0
        back = np.full(int(offsets[-1]), -1, dtype=np.int64)
        edge_lengths = np.zeros(len(self.pieces), dtype=np.int64)
        for border, length, first, last in self.groups:
            strings = self.strings[first:last]
            end = offsets[border] + strings
            score = best[offsets[border - length] + strings] + scores[self.pieces[first:last]]
            better = score > best[end]
            best[end[better]] = score[better]
            back[end[better]] = np.arange(first, last)[better]
            edge_lengths[first:last] = length
        found, owners = [], []
        places = np.arange(n_strings)
        borders = self.lengths.copy()
        places = places[np.isfinite(best[offsets[borders] + places])]
        while len(places):
            edges = back[offsets[borders[places]] + places]
            found.append(self.pieces[edges])
            owners.append(self.order[places].astype(np.int32))
            borders[places] -= edge_lengths[edges]
            places = places[borders[places] > 0]
        none = np.zeros(0, dtype=np.int32)
        return np.concatenate([none, *found]), np.concatenate([none, *owners])

    def _offsets(self) -> Ints1d:
        """First node of each border: nodes are numbered border by border."""
        longest = int(self.lengths.max(initial=0))
        return bounds_of([_n_reaching(self.lengths, border) for border in range(longest + 1)])


def _n_reaching(lengths: Ints1d, border: int) -> int:
    """Strings of at least that length, where lengths fall."""
    return int(np.searchsorted(-lengths, -border, side="right"))
