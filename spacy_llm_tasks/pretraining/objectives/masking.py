"""Which pieces are hidden from an encoder, and behind what: for a whole micro-batch at once.

Every chunk of n pieces hides round(rate * n) of them, at least 1: single pieces, whole words, or
the words of random spans as in SpanBERT (Joshi et al. 2020, https://arxiv.org/abs/1907.10529),
whose lengths in words follow a geometric distribution.

Words of several pieces do not add up to a given number. They are taken in random order (span after
span) until the next one, of s pieces, would take more than the g that are still wanted; that one is
taken with the chance g / s, so that the expected number is exactly what is wanted. If it is the
first one of its chunk, at least one must be hidden all the same: then it is that one with the
chance (g - t) / (s - t), or else the next one of t <= g pieces, which again makes g on average.
Only where all words of a chunk are longer than g, more than g are hidden.
"""

from __future__ import annotations

import numpy as np

from ...tokenization.pieces import Ints1d
from ..pieces.chunks import Chunks
from ..pieces.special import Bools1d, SpecialIds


def wanted(lengths: Ints1d, rate: float) -> Ints1d:
    """RETURNS (int64 array): (B,) pieces to hide of each: round(rate * length), at least 1."""
    return np.maximum(1, np.rint(rate * lengths)).astype(np.int64)


def unit_starts(chunks: Chunks, special: SpecialIds, *, unit: str) -> Bools1d:
    """Cut chunks into what is hidden as a whole.

    chunks (Chunks): T pieces.
    special (SpecialIds): A special piece that the text spells out is a unit of its own.
    unit (str): "piece"; else words.
    RETURNS (bool array): (T,) True where a unit starts.
    """
    if unit == "piece":
        return np.ones(len(chunks.pieces), dtype=bool)
    alone = special.among(chunks.pieces)
    starts = chunks.starts_word | alone
    starts[1:] |= alone[:-1]
    starts[chunks.bounds[:-1]] = True
    return starts


def span_starts(bounds: Ints1d, rng: np.random.Generator, *, p: float, most: int) -> Bools1d:
    """Lay spans of words end to end over each chunk; the last one is cut off at its end.

    The length is geometric, P(l) = p (1 - p)^(l - 1), among 1 .. most.

    bounds (int64 array): (B + 1,) chunk i owns words bounds[i]:bounds[i + 1].
    rng (Generator): Draws the lengths.
    p (float): Success probability.
    most (int): The longest span.
    RETURNS (bool array): (U,) True for words that a span starts with.
    """
    n_words = np.diff(bounds)
    drawn = rng.random((len(n_words), int(n_words.max(initial=0))))
    # the inverse of P(length <= l) = (1 - q^l) / (1 - q^most), q = 1 - p
    q = 1 - p
    lengths = 1 + np.floor(np.log1p(-drawn * (1 - q**most)) / np.log(q)).astype(np.int64)
    lengths = np.minimum(lengths, most)  # against rounding
    starts = np.cumsum(lengths, axis=1) - lengths
    chunk, column = np.nonzero(starts < n_words[:, None])
    found = np.zeros(bounds[-1], dtype=bool)
    found[bounds[chunk] + starts[chunk, column]] = True
    return found


def choose(
    sizes: Ints1d,
    bounds: Ints1d,
    wanted: Ints1d,
    rng: np.random.Generator,
    *,
    hideable: Bools1d,
    spans: Ints1d | None = None,
) -> Bools1d:
    """Draw units until each chunk has as many pieces as wanted (see above).

    sizes (int64 array): (U,) pieces of each unit.
    bounds (int64 array): (B + 1,) chunk i owns units bounds[i]:bounds[i + 1], at least one.
    wanted (int64 array): (B,) pieces to draw from each chunk.
    rng (Generator): Draws.
    hideable (bool array): (U,) False for units that must not be drawn.
    spans (int64 array | None): (U,) the span of each unit, ascending; those of one are drawn one
        after the other. None: each unit for itself.
    RETURNS (bool array): (U,) True for the units drawn.
    """
    n = len(sizes)
    chunk = np.repeat(np.arange(len(wanted)), np.diff(bounds))
    keys = rng.random(n) if spans is None else rng.random(int(spans[-1]) + 1)[spans]
    # one sort puts every chunk's units in random order, chunk after chunk, unfit ones at the end
    places = chunk + np.where(hideable, 0.5 * keys, 0.75)
    order = np.argsort(places, kind=None if spans is None else "stable")
    size = np.where(hideable, sizes, 0)[order]
    taken_by = np.cumsum(size) - size
    gap = wanted[chunk] - (taken_by - taken_by[bounds[:-1]][chunk])
    chance = rng.random(n)
    taken = (gap > 0) & (chance * size < gap) & (size > 0)
    # chunks whose first unit is more than wanted: that one, or the next that is not
    first = bounds[:-1]
    fitting = np.where((size > 0) & (size <= wanted[chunk]), np.arange(n), n)
    other = np.minimum.reduceat(fitting, first)  # (B,) n where there is none
    other_size = np.append(size, 0)[other]
    takes_first = chance[first] * (size[first] - other_size) < wanted - other_size
    takes_first |= other == n
    too_long = size[first] > wanted
    taken[first[too_long]] = takes_first[too_long]
    taken[other[too_long & ~takes_first]] = True
    chosen = np.empty(n, dtype=bool)
    chosen[order] = taken
    return chosen


def hide(
    pieces: Ints1d,
    mask: int,
    special: SpecialIds,
    *,
    rng: np.random.Generator,
    group: Ints1d | None = None,
) -> Ints1d:
    """Put other pieces in the place of hidden ones: 80 % mask, 10 % random, 10 % themselves.

    (Devlin et al. 2019, appendix A.1, https://arxiv.org/abs/1810.04805.) Random ones are never
    special.

    pieces (int64 array): (n,) the hidden pieces.
    mask (int): The mask piece.
    special (SpecialIds): What random pieces must not be.
    rng (Generator): Draws.
    group (int64 array | None): (n,) pieces of one group share their fate, as in SpanBERT.
    RETURNS (int64 array): (n,) what the model sees instead.
    """
    if group is None:
        fate = rng.random(len(pieces))
    else:
        fate = rng.random(int(group.max(initial=-1)) + 1)[group]
    other = special.random_pieces(len(pieces), rng)
    return np.where(fate < 0.8, mask, np.where(fate < 0.9, other, pieces))
