"""Learn a Unigram vocabulary (Kudo 2018, https://arxiv.org/abs/1804.10959).

Pieces have probabilities, and the probability of a word is the sum over all ways to cut it.
Starting from many candidates, expectation maximisation and leaving out the least useful candidates
take turns until the wanted number is left. The digamma function in the maximisation step and the
estimate of what a piece is worth follow SentencePiece. The trainer of the `tokenizers` library is
not used: its result differs from run to run, and it takes many times as long.
"""

from collections.abc import Mapping

import numpy as np

from .pieces import Ints1d
from .unigram_lattice import Floats1d, Lattice
from .unigram_seeds import find_seeds

_STEPS = 2  # of expectation maximisation between two prunings
_SHRINK = 0.75  # share of the pieces that a pruning leaves
_SEEDS = 200_000  # candidates at least, and so many for each piece that is wanted:
_SEEDS_PER_PIECE = 10
# No sum over a string's cuts can underflow above this: strings have at most 32 characters.
_LEAST_PROBABILITY = 1e-9
_DIGITS = 6  # of the scores: the last bits of a logarithm depend on the machine


def learn_unigram(
    words: Mapping[str, int], *, size: int, min_frequency: int
) -> list[tuple[str, float]]:
    """Choose pieces and their scores.

    words (mapping): how often each word occurs, with "\u2581" in front, in a fixed order.
    size (int): pieces to choose.
    min_frequency (int): characters and substrings that occur less often are left out.
    RETURNS (list): `(piece, log-probability)`, the likely ones first; fewer than `size` if the
        words give no more. Single characters are all among them, but take at most half as long as
        longer pieces fill the rest; then the rarest are left out.
    """
    most = max(_SEEDS, _SEEDS_PER_PIECE * size)
    room = size // 2
    while True:
        seeds = find_seeds(words, most_single=room, most=most, min_frequency=min_frequency)
        if seeds.n_found >= size or not seeds.n_left_out or room == size:
            break
        room = min(size, room + size - seeds.n_found)
    if not seeds.pieces:
        return []
    ids = np.arange(len(seeds.pieces))
    counts = seeds.counts
    lattice = Lattice.build(seeds.table, seeds.starts, seeds.lengths, whole=True)
    lengths = np.fromiter(map(len, seeds.pieces), dtype=np.int64, count=len(ids))
    inner = Lattice.build(seeds.table, seeds.places, lengths, whole=False)
    while True:
        for _ in range(_STEPS):
            chances = np.maximum(np.exp(_log_probabilities(counts)), _LEAST_PROBABILITY)
            counts, _ = lattice.expected_counts(chances, seeds.weights)
        if len(ids) <= size:
            break
        left = max(size, int(len(ids) * _SHRINK))
        kept = _most_useful(inner, counts, ids, n_single=seeds.n_single, left=left)
        new_ids = np.full(len(ids), -1, dtype=np.int32)
        new_ids[kept] = np.arange(len(kept), dtype=np.int32)
        lattice, inner = lattice.keep(new_ids), inner.keep(new_ids)
        ids, counts = ids[kept], counts[kept]
    scores = np.round(_log_probabilities(counts), _DIGITS).tolist()
    found = zip((seeds.pieces[i] for i in ids.tolist()), scores, strict=True)
    return sorted(found, key=lambda entry: (-entry[1], entry[0]))


def _most_useful(
    inner: Lattice, counts: Floats1d, ids: Ints1d, *, n_single: int, left: int
) -> Ints1d:
    """The pieces to keep: single characters, then those whose loss costs most likelihood.

    Without a piece its occurrences would be cut in the best other way, whose pieces would then
    occur that much more often.
    """
    total = counts.sum()
    logs = _log_probabilities(counts)
    parts, owners = inner.best_edges(logs)
    # `inner` holds a string for every candidate there has been.
    now = np.full(len(inner.order), -1, dtype=np.int64)
    now[ids] = np.arange(len(ids))
    alive = now[owners] >= 0
    parts, places = parts[alive], now[owners[alive]]
    n_parts = np.bincount(places, minlength=len(ids))
    grown = np.log(np.maximum(counts[parts] + counts[places], 1e-9))
    joint = np.bincount(places, weights=grown, minlength=len(ids))
    more = np.log(total + counts * np.maximum(n_parts - 1, 0))
    with_it = np.log(np.maximum(counts, 1e-9)) - np.log(total)
    worth = counts * (with_it - (joint - n_parts * more))
    worth[ids < n_single] = np.inf
    return np.sort(np.argsort(-worth, kind="stable")[:left])


def _log_probabilities(counts: Floats1d) -> Floats1d:
    """The maximisation step, which makes rare pieces rarer ("variational": Liang et al. 2007)."""
    floored = np.maximum(counts, 0.1)
    return digamma(floored) - digamma(floored.sum(keepdims=True))


def digamma(x: Floats1d) -> Floats1d:
    """The derivative of the logarithm of the gamma function, for positive numbers.

    x (float64 array): the numbers. *Shape: any*
    RETURNS (float64 array): to about 1e-9, by recurrence and the asymptotic series (Abramowitz and
        Stegun 1964, 6.3.5 and 6.3.18).
    """
    result = np.zeros_like(x)
    moved = x.copy()
    for _ in range(8):
        result -= 1.0 / moved
        moved += 1.0
    inverse = 1.0 / moved**2
    series = inverse * (1 / 12 - inverse * (1 / 120 - inverse * (1 / 252 - inverse / 240)))
    return result + np.log(moved) - 0.5 / moved - series
