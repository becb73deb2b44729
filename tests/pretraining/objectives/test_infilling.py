import math

import numpy as np
import pytest

from spacy_llm_tasks.pretraining.objectives.framing import frame
from spacy_llm_tasks.pretraining.objectives.infilling import infill, span_lengths

from .examples import SPECIAL, assert_share, chunks_of, rng_of

MASK = SPECIAL.mask


def corrupted(chunks, wanted, seed=0, mean_span=3.0):
    hideable = ~SPECIAL.among(chunks.pieces)
    pieces, lengths = infill(
        frame(chunks, SPECIAL),
        hideable,
        np.array(wanted),
        MASK,
        mean_span=mean_span,
        rng=rng_of(seed),
    )
    return [part.tolist() for part in np.split(pieces, np.cumsum(lengths)[:-1])]


def spans_of(text, source):
    """Match a corrupted sequence with its text of distinct pieces: the length of each span."""
    found, place = [], 0
    for i, piece in enumerate(source):
        if piece == MASK:
            after = source[i + 1]
            end = text.index(after, place)
            found.append(end - place)
            place = end
        else:
            assert text[place] == piece
            place += 1
    assert place == len(text)
    return found


def distinct(lengths):
    """Chunks whose pieces all differ, so that spans can be found again."""
    chunks = chunks_of(lengths)
    chunks.pieces[:] = 5 + np.arange(len(chunks.pieces))
    return chunks


def texts_of(chunks):
    rows = zip(chunks.bounds[:-1], chunks.bounds[1:], strict=True)
    return [[SPECIAL.cls, *chunks.pieces[a:b].tolist(), SPECIAL.sep] for a, b in rows]


@pytest.mark.parametrize("mean_span", [3.0, 0.3, 12.0])
def test_spans_become_masks_and_hide_the_exact_number(mean_span):
    lengths, wanted = [60, 60, 30, 11, 2, 1], [18, 30, 9, 3, 1, 1]
    chunks = distinct(lengths)
    for seed in range(40):
        sources = corrupted(chunks, wanted, seed, mean_span)
        for text, source, n in zip(texts_of(chunks), sources, wanted, strict=True):
            assert sum(spans_of(text, source)) == n
            masks = np.flatnonzero(np.array(source) == MASK)
            assert len(masks) and (np.diff(masks) > 1).all()
            assert (source[0], source[-1]) == (SPECIAL.cls, SPECIAL.sep)


def test_lengths_are_drawn_from_a_poisson_distribution():
    n, mean = 20_000, 3.0
    lengths, counts = span_lengths(np.full(n, 30), mean, rng_of())
    assert (np.where(counts, lengths, 0).sum(1) == 30).all()
    first = lengths[:, 0]  # never cut
    for length in range(9):
        share = math.exp(-mean) * mean**length / math.factorial(length)
        assert_share((first == length).sum(), n, share)


def test_spans_of_no_pieces_insert_a_mask():
    chunks = distinct([190])
    lengths = []
    for seed in range(300):
        source = corrupted(chunks, [57], seed)[0]
        lengths.extend(spans_of(texts_of(chunks)[0], source))
    # one span of each text is cut short, which can be to no other length than 1 or more
    n_cut = 300
    share = math.exp(-3.0)
    n = len(lengths) - n_cut
    assert abs(lengths.count(0) / n - share) < 4 * math.sqrt(share / n) + share * n_cut / n


def test_every_gap_is_as_likely():
    """One span in a short text: it starts at each place equally often."""
    chunks, n = distinct([9] * 6), 6000
    starts = np.zeros(9)
    for seed in range(n // 6):
        for source in corrupted(chunks, [1] * 6, seed, 12.0):
            starts[source.index(MASK) - 1] += 1
    for count in starts:
        assert_share(count, n, 1 / 9)


def test_special_pieces_in_the_text_stay():
    chunks = distinct([20, 20])
    chunks.pieces[3:20:3] = SPECIAL.sep
    for seed in range(20):
        source = corrupted(chunks, [10, 10], seed)[0]
        assert source.count(SPECIAL.sep) == 7
        kept = [p for p in source if p > 4]
        assert len(kept) == 14 - 7  # at most half of the other 14


def test_a_text_of_special_pieces_alone_is_left_as_it_is():
    chunks = distinct([3, 4])
    chunks.pieces[:3] = SPECIAL.unk
    assert corrupted(chunks, [1, 2])[0] == texts_of(chunks)[0]
