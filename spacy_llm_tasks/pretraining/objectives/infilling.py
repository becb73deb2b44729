"""Text infilling: spans of text behind single mask pieces, for a whole micro-batch at once.

Lewis et al. 2020 (BART, section 2.2, https://arxiv.org/abs/1910.13461): span lengths follow a
Poisson distribution; a span of no pieces puts a mask between two pieces. Lengths are drawn until
they reach the number of pieces to hide, and the last one is cut so that they hit it. A chunk of u
pieces that stay has u + 1 gaps; every span is put into one of its own, all choices equally likely.
So spans never touch, and two masks never follow each other.

There are never more spans than hidden pieces: where short spans give more, those drawn last that
hide nothing are left out. So no sequence grows, and what the model had room for still fits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...tokenization.pieces import Ints1d, bounds_of, ranges
from ..pieces.special import Bools1d
from .framing import Framed

Ints2d = npt.NDArray[np.int64]


def infill(
    framed: Framed,
    hideable: Bools1d,
    wanted: Ints1d,
    mask: int,
    *,
    mean_span: float,
    rng: np.random.Generator,
) -> tuple[Ints1d, Ints1d]:
    """Replace spans by masks.

    framed (Framed): B chunks of T pieces between special ones.
    hideable (bool array): (T,) False for pieces of the text that stay.
    wanted (int64 array): (B,) pieces to hide of each, at most half of those that may be.
    mask (int): The mask piece.
    mean_span (float): Mean of the Poisson distribution.
    rng (Generator): Draws.
    RETURNS (tuple): The ids, end to end, and the (B,) lengths of the corrupted sequences.
    """
    places = framed.text_rows[hideable]  # (m,) the rows that may be hidden
    sequences = np.searchsorted(framed.starts, places, side="right") - 1
    n_hideable = np.bincount(sequences, minlength=len(framed.lengths))
    wanted = np.minimum(wanted, (n_hideable + 1) // 2)
    chunk, start, length = _spans(n_hideable, wanted, mean_span, rng)
    own = bounds_of(n_hideable)[chunk] + start
    keeps = np.ones(len(framed.pieces), dtype=bool)
    keeps[places[ranges(own, length)]] = False
    # a mask stands before the row where its span began, or before the last special piece
    before = framed.starts[chunk] + framed.lengths[chunk] - 1
    inside = start < n_hideable[chunk]
    before[inside] = places[own[inside]]
    has_mask = np.zeros(len(framed.pieces), dtype=bool)
    has_mask[before] = True
    stays = np.stack([has_mask, keeps], axis=1)  # for every row: a mask before it, and itself
    filled = np.stack([np.full_like(framed.pieces, mask), framed.pieces], axis=1)
    return filled[stays], np.add.reduceat(stays.sum(axis=1), framed.starts)


def span_lengths(wanted: Ints1d, mean: float, rng: np.random.Generator) -> tuple[Ints2d, Bools1d]:
    """Draw lengths until they add up.

    wanted (int64 array): (B,) the sums to reach.
    mean (float): Mean of the Poisson distribution.
    rng (Generator): Draws.
    RETURNS (tuple): (B, M) lengths in the order drawn, and (B, M) which of them count; those of a
        chunk that count add up to what is wanted.
    """
    n_columns = int(1.5 * wanted.max(initial=0) / mean) + 8
    drawn = rng.poisson(mean, (len(wanted), n_columns))
    while (drawn.sum(axis=1) < wanted).any():
        more = rng.poisson(mean, (len(wanted), n_columns))
        drawn = np.concatenate([drawn, more], axis=1)
    gap = wanted[:, None] - (np.cumsum(drawn, axis=1) - drawn)
    return np.clip(drawn, 0, np.maximum(gap, 0)), gap > 0


def _spans(
    n_pieces: Ints1d, wanted: Ints1d, mean: float, rng: np.random.Generator
) -> tuple[Ints1d, Ints1d, Ints1d]:
    """RETURNS (tuple): Of each span, (K,) its chunk, its first piece in there, and its length."""
    lengths, counts = span_lengths(wanted, mean, rng)
    n_gaps = n_pieces - wanted + 1
    # where there are fewer gaps or hidden pieces than spans, some that hide nothing are left out
    hides = counts & (lengths > 0)
    room = np.minimum(n_gaps, wanted) - hides.sum(axis=1)
    empty = counts & (lengths == 0)
    counts = hides | (empty & (np.cumsum(empty, axis=1) <= room[:, None]))
    keys = rng.random((len(wanted), int(n_gaps.max(initial=1))))
    keys[np.arange(keys.shape[1]) >= n_gaps[:, None]] = 2.0
    gaps = np.argsort(keys, axis=1)
    chunk, column = np.nonzero(counts)
    gap = gaps[chunk, (np.cumsum(counts, axis=1) - 1)[chunk, column]]
    in_gap = np.zeros(keys.shape, dtype=np.int64)
    in_gap[chunk, gap] = lengths[chunk, column]
    hidden_before = np.cumsum(in_gap, axis=1) - in_gap
    return chunk, gap + hidden_before[chunk, gap], lengths[chunk, column]
