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
    head, tail (int64 arrays): The spans of each pair, by number. *Shape: (P,)*
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
    def gap(self) -> Ints:
        """RETURNS (int64 array): Tokens between the spans of each pair, negative where the tail
        comes first; 0 for spans that touch or overlap. *Shape: (P,)*"""
        after = np.maximum(self.first[self.tail] - self.last[self.head], 0)
        before = np.maximum(self.first[self.head] - self.last[self.tail], 0)
        return after - before

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
    sizes = np.bincount(doc, minlength=n_docs).astype(np.int64)
    bounds = bounds_of(sizes)
    # Partners of span e that start at or after it are e + 1 .. reach(e): a run, since spans are
    # sorted by their starts. Looked up by a key that keeps docs apart.
    stride = int(max(last.max(initial=0), first.max(initial=0))) + max_distance + 2
    keys = doc * stride + first
    limit = np.minimum(last + max_distance, stride - 1)
    reach = np.searchsorted(keys, doc * stride + limit, side="right")
    reach = np.minimum(reach, bounds[1:][doc])
    own = np.arange(len(doc), dtype=np.int64)
    counts = np.maximum(reach - own - 1, 0)
    left = np.repeat(own, counts)
    right = ranges(own + 1, counts)
    if sentence is not None and len(left):
        starts = np.concatenate([s[first[doc == i]] for i, s in enumerate(sentence)])
        same = starts[left] == starts[right]
        left, right = left[same], right[same]
    head, tail = np.concatenate([left, right]), np.concatenate([right, left])
    order = np.lexsort((tail, head))
    return Candidates(doc, first, last, kind, head[order], tail[order])
