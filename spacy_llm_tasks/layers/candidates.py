"""Which pairs of spans a relation head scores, as arrays over a batch of docs.

Every ordered pair of two different spans of a doc that are near enough: the number of pairs then
grows with the text, not with the square of its entities. Numpy only, one step per batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..tokenization.pieces import bounds_of, ranges

Ints = np.ndarray


@dataclass(frozen=True)
class Candidates:
    """E spans and P ordered pairs of them.

    doc (int64 array): The doc of each span, in rising order. *Shape: (E,)*
    first, last (int64 arrays): The tokens of each span, counted in its doc, end exclusive.
        *Shape: (E,)*
    kind (int64 array): The number of each span's type; 0 for a type that was never seen.
        *Shape: (E,)*
    head, tail (int64 arrays): The spans of each pair, by number, in rising order of heads and
        then of tails. Every pair has its reverse. *Shape: (P,)*
    place (MarkedPlaces): Where each span stands in the texts with markers, if there are such.
    """

    doc: Ints
    first: Ints
    last: Ints
    kind: Ints
    head: Ints
    tail: Ints
    place: "MarkedPlaces | None" = None

    def __len__(self) -> int:
        """RETURNS (int): P, the number of pairs."""
        return len(self.head)

    @property
    def owner(self) -> Ints:
        """RETURNS (int64 array): The doc of each pair. *Shape: (P,)*"""
        return self.doc[self.head]

    @property
    def gap(self) -> Ints:
        """RETURNS (int64 array): Tokens between the spans of each pair, negative where the tail
        comes first; 0 for spans that touch or overlap. *Shape: (P,)*"""
        after = np.maximum(self.first[self.tail] - self.last[self.head], 0)
        before = np.maximum(self.first[self.head] - self.last[self.tail], 0)
        return after - before

    @property
    def twins(self) -> Ints:
        """RETURNS (int64 array): The number of each pair's reverse. *Shape: (P,)*"""
        return self.find(self.tail, self.head)

    def find(self, head: Ints, tail: Ints) -> Ints:
        """Look pairs up.

        head, tail (int64 arrays): K pairs of spans, by number.
        RETURNS (int64 array): (K,) the number of each pair; -1 for one that is not a candidate.
        """
        if not len(self):
            return np.full(len(head), -1, dtype=np.int64)
        keys, wanted = self._keys(self.head, self.tail), self._keys(head, tail)
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[at] == wanted, at, -1)

    def _keys(self, head: Ints, tail: Ints) -> Ints:
        return head * len(self.doc) + tail

    def take(self, pairs: Ints) -> "Candidates":
        """RETURNS (Candidates): The same spans with some of the pairs, by number or mask."""
        return replace(self, head=self.head[pairs], tail=self.tail[pairs])


@dataclass(frozen=True)
class MarkedPlaces:
    """Where spans stand in texts with markers around them.

    text (int64 array): The text of each doc, by number; -1 for a doc without one. *Shape: (B,)*
    first, last (int64 arrays): The characters of each span in its text, markers included, end
        exclusive. *Shape: (E,)*
    """

    text: Ints
    first: Ints
    last: Ints


def pair_up(
    doc: Ints,
    first: Ints,
    last: Ints,
    kind: Ints,
    *,
    n_docs: int,
    max_distance: int,
    sentence: Sequence[Ints] | None = None,
) -> Candidates:
    """List the ordered pairs of spans that are near enough.

    doc, first, last, kind (int64 arrays): E spans, in the order of their docs and in each doc by
        their first tokens.
    n_docs (int): B.
    max_distance (int): Most tokens between the two spans.
    sentence (Sequence[int array]): For each doc the sentence number of each token, where only
        pairs that begin in one sentence count; None for all.
    RETURNS (Candidates): The pairs, in the order of docs, heads, tails.
    """
    bounds = bounds_of(np.bincount(doc, minlength=n_docs).astype(np.int64))
    # Partners of span e that start at or after it are e + 1 .. reach(e): a run, since spans are
    # sorted by their starts. Looked up by a key that keeps docs apart.
    longest = int(last.max(initial=0))
    stride = 2 * longest + 2
    limit = last + min(max_distance, longest)
    reach = np.searchsorted(doc * stride + first, doc * stride + limit, side="right")
    own = np.arange(len(doc), dtype=np.int64)
    counts = np.maximum(reach - own - 1, 0)
    left = np.repeat(own, counts)
    right = ranges(own + 1, counts)
    if sentence is not None and len(left):
        parts = zip(sentence, bounds[:-1], bounds[1:], strict=True)
        starts = np.concatenate([numbers[first[a:z]] for numbers, a, z in parts])
        same = starts[left] == starts[right]
        left, right = left[same], right[same]
    head, tail = np.concatenate([left, right]), np.concatenate([right, left])
    order = np.lexsort((tail, head))
    return Candidates(doc, first, last, kind, head[order], tail[order])


def sample(pairs: Candidates, related: np.ndarray, *, max_negatives: int | None) -> Ints:
    """Choose the pairs to learn from: all with a relation, and of each doc's others as many as are
    wanted, drawn by numpy's global generator. A pair and its reverse stay together.

    pairs (Candidates): P pairs.
    related (bool array): (P,) whether there is a relation.
    max_negatives (int): Most pairs of a doc without a relation in either direction, both of whose
        directions count; at least one with its reverse is drawn. None for all.
    RETURNS (int64 array): Numbers of pairs, rising.
    """
    if max_negatives is None or not len(pairs):
        return np.arange(len(pairs))
    twins, owner = pairs.twins, pairs.owner
    related = related | related[twins]
    luck = np.random.random(len(pairs))
    luck = np.maximum(luck, luck[twins])
    luck[related] = -1.0
    # The rank of each pair among those of its doc, by luck: a pair and its reverse are neighbours.
    order = np.lexsort((luck, owner))
    starts = np.searchsorted(owner, np.arange(int(owner[-1]) + 1))
    rank = np.empty(len(pairs), dtype=np.int64)
    rank[order] = np.arange(len(pairs)) - starts[owner[order]]
    n_related = np.bincount(owner, weights=related).astype(np.int64)
    room = n_related + 2 * max(max_negatives // 2, 1)
    return np.flatnonzero(related | (rank < room[owner]))
