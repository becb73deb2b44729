"""Does the second text follow the first? (Devlin et al. 2019, section 3.1,
https://arxiv.org/abs/1810.04805; sentence order: Lan et al. 2020, section 3.1, ALBERT,
https://arxiv.org/abs/1909.11942)"""

from __future__ import annotations

import warnings
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from ...errors import Warnings
from ...nn.config import TransformerConfig
from ...nn.encoder import TransformerEncoder
from ...tokenization.pieces import Ints1d, bounds_of, ranges
from ..pieces.chunks import Chunks
from ..pieces.special import Bools1d, SpecialIds
from .checks import check_choice, check_number
from .decision import DecisionHead
from .objective import Kind
from .prepared import LossSum, Prepared

Negatives = Literal["next", "order"]
# Up to so many pieces less one are left out at the end of a chunk, so that a second text that
# follows ends no more often with its document than one that does not.
_RAGGED = 8


class _Parts(NamedTuple):
    """Where P parts of chunks are: part i owns pieces starts[i] to starts[i] + lengths[i]."""

    starts: Ints1d
    lengths: Ints1d


class NextSentence:
    """An encoder learns to tell whether two texts belong together, from `cls A sep B sep`.

    A chunk is cut in two at the start of a word, somewhere in its middle half. In half of the pairs
    B is replaced by an equally long part of a chunk of another document of the micro-batch, or,
    with "order", A and B change places. The decision is taken on the row of `cls`: answer 0 is
    "B follows A", as in BERT. An encoder with two segments is told which piece is in which text.

    weight (float): Its share in a mixture.
    negatives (str): "next": B from another document; "order": B before A. These chunks lose torn
        words at their edges, which would give the answer away.
    """

    name = "next_sentence"
    kind: Kind = "encoder"
    framing = 3
    is_likelihood = False
    reads_all = False

    def __init__(self, *, weight: float = 1.0, negatives: Negatives = "next") -> None:
        check_number(self.name, "weight", weight, above=0)
        check_choice(self.name, "negatives", negatives, ("next", "order"))
        self.weight = weight
        self.negatives = negatives

    def prepare(
        self, chunks: Chunks, special: SpecialIds, *, rng: np.random.Generator, progress: float
    ) -> Prepared:
        """Cut chunks in two and exchange second halves; see `Objective.prepare`.

        Chunks of one piece cannot be cut and are left out. A micro-batch of a single document has
        no negatives of the kind "next"; a warning says so.
        """
        bounds = chunks.bounds
        if self.negatives == "order":
            begins, ends = _whole_words(chunks)
        else:
            begins = bounds[:-1]
            ragged = rng.integers(0, _RAGGED, size=len(chunks))
            ends = bounds[1:] - np.where(chunks.lengths >= 4 * _RAGGED, ragged, 0)
        kept = ends - begins >= 2
        begins, ends, documents = begins[kept], ends[kept], chunks.documents[kept]
        last_start = _last_word_start(chunks)
        cuts = _cut(begins, ends, last_start, rng)
        first, second = _Parts(begins, cuts - begins), _Parts(cuts, ends - cuts)
        apart = _half(len(cuts), rng)
        if self.negatives == "order":
            first, second = _swap(first, second, apart)
        elif len(cuts) and (documents == documents[0]).all():
            apart[:] = False
            warnings.warn(Warnings.W720.format(n=len(cuts)), stacklevel=2)
        else:
            other = _of_another(documents, rng)
            taken = _windows(begins[other], ends[other], second.lengths, last_start, rng)
            second = _Parts(
                np.where(apart, taken.starts, second.starts),
                np.where(apart, taken.lengths, second.lengths),
            )
        return _frame(chunks.pieces, first, second, apart, special)

    def make_head(self, config: TransformerConfig) -> DecisionHead:
        """RETURNS (DecisionHead): BERT's: a layer, tanh and two answers."""
        return DecisionHead(config, n_answers=2, activation="tanh")

    def loss(self, trunk: TransformerEncoder, head: DecisionHead, prepared: Prepared) -> LossSum:
        """Decide; see `Objective.loss`. `accuracy` is measured too."""
        segments = prepared.segments if trunk.config.n_segments >= 2 else None
        hidden = trunk(prepared.pieces, prepared.packing, segments=segments).last
        logits = head(hidden.index_select(0, prepared.target_rows))
        total = F.cross_entropy(logits, prepared.targets, reduction="sum")
        right = (logits.argmax(-1) == prepared.targets).sum()
        return LossSum(total, prepared.count, {"accuracy": (float(right), float(prepared.count))})


def _whole_words(chunks: Chunks) -> tuple[Ints1d, Ints1d]:
    """RETURNS (tuple): (B,) where each chunk begins and ends without the words that may be torn:
    before the first start of a word, and, unless its document ends there, after the last one."""
    bounds = chunks.bounds
    begins, ends = bounds[:-1].copy(), bounds[1:].copy()
    starts = np.flatnonzero(chunks.starts_word)
    if not len(starts):
        return begins, ends
    first = starts[np.minimum(np.searchsorted(starts, begins), len(starts) - 1)]
    last = starts[np.searchsorted(starts, ends) - 1]  # wraps around where there is none: refused
    inside = (first >= begins) & (first < ends)
    begins = np.where(inside, first, begins)
    torn = inside & (last > begins)
    if chunks.ends_document is not None:
        return begins, np.where(torn & ~chunks.ends_document, last, ends)
    return begins, ends


def _last_word_start(chunks: Chunks) -> Ints1d:
    """RETURNS (int64 array): (T,) for each piece, the last start of a word at or before it."""
    places = np.arange(len(chunks.pieces))
    return np.maximum.accumulate(np.where(chunks.starts_word, places, -1))


def _cut(begins: Ints1d, ends: Ints1d, last_start: Ints1d, rng: np.random.Generator) -> Ints1d:
    """RETURNS (int64 array): (P,) a point in the middle half of each stretch, moved back to the
    start of its word where that leaves something before it."""
    sizes = ends - begins
    margin = np.maximum(1, sizes // 4)
    points = begins + rng.integers(margin, np.maximum(margin + 1, sizes - margin + 1))
    words = last_start[points]
    return np.where(words > begins, words, points)


def _half(n: int, rng: np.random.Generator) -> Bools1d:
    """RETURNS (bool array): (n,) True in half of the places; an odd one out is drawn."""
    n_true = (n + int(rng.integers(0, 2))) // 2
    return rng.permutation(n) < n_true


def _swap(first: _Parts, second: _Parts, swapped: Bools1d) -> tuple[_Parts, _Parts]:
    return (
        _Parts(*(np.where(swapped, b, a) for a, b in zip(first, second, strict=True))),
        _Parts(*(np.where(swapped, a, b) for a, b in zip(first, second, strict=True))),
    )


def _of_another(documents: Ints1d, rng: np.random.Generator) -> Ints1d:
    """Draw for each chunk one of another document, each with the same chance.

    documents (int64 array): (P,) the document of each; at least two different ones.
    rng (Generator): Draws.
    RETURNS (int64 array): (P,) the chunk drawn.
    """
    order = np.argsort(documents, kind="stable")
    ordered = documents[order]
    begins = np.searchsorted(ordered, documents, side="left")
    sizes = np.searchsorted(ordered, documents, side="right") - begins
    drawn = rng.integers(0, len(documents) - sizes)
    return order[np.where(drawn < begins, drawn, drawn + sizes)]


def _windows(
    begins: Ints1d, ends: Ints1d, sizes: Ints1d, last_start: Ints1d, rng: np.random.Generator
) -> _Parts:
    """RETURNS (Parts): (P,) a stretch of the given size from each chunk, from the start of a word
    on where there is one; all of a chunk that is shorter."""
    sizes = np.minimum(sizes, ends - begins)
    points = begins + rng.integers(0, ends - begins - sizes + 1)
    words = last_start[points]
    return _Parts(np.where(words >= begins, words, points), sizes)


def _frame(
    pieces: Ints1d, first: _Parts, second: _Parts, apart: Bools1d, special: SpecialIds
) -> Prepared:
    lengths = first.lengths + second.lengths + 3
    bounds = bounds_of(lengths)
    starts, middles = bounds[:-1], bounds[:-1] + first.lengths + 2
    framed = np.full(bounds[-1], special.sep, dtype=np.int64)
    framed[starts] = special.cls
    framed[ranges(starts + 1, first.lengths)] = pieces[ranges(*first)]
    framed[ranges(middles, second.lengths)] = pieces[ranges(*second)]
    segments = np.zeros(len(framed), dtype=np.int64)
    segments[ranges(middles, second.lengths + 1)] = 1
    return Prepared(
        pieces=torch.from_numpy(framed),
        lengths=torch.from_numpy(lengths),
        target_rows=torch.from_numpy(starts),
        targets=torch.from_numpy(apart.astype(np.int64)),
        segments=torch.from_numpy(segments),
    )
