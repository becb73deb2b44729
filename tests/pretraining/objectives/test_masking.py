import numpy as np
import pytest

from spacy_llm_tasks.pretraining.objectives import masking

from .examples import N_PIECES, SPECIAL, assert_mean, assert_share, chunks_of, rng_of


def drawn(sizes_of_chunks, wanted, rng, **settings):
    """Draw units; (U,) which were drawn, and the pieces drawn from each chunk."""
    sizes = np.concatenate([np.array(s) for s in sizes_of_chunks])
    bounds = np.cumsum([0, *map(len, sizes_of_chunks)])
    hideable = settings.pop("hideable", np.ones(len(sizes), dtype=bool))
    chosen = masking.choose(sizes, bounds, np.array(wanted), rng, hideable=hideable, **settings)
    return chosen, np.add.reduceat(chosen * sizes, bounds[:-1])


def test_the_wanted_number_is_rounded_and_at_least_one():
    lengths = np.array([1, 3, 10, 20, 126])
    assert masking.wanted(lengths, 0.15).tolist() == [1, 1, 2, 3, 19]


def test_single_pieces_hit_the_number_exactly_with_equal_chances():
    rng, counts = rng_of(), np.zeros(30)
    n = 4000
    for _ in range(n // 4):
        chosen, found = drawn([[1] * 30] * 4, [5, 5, 5, 5], rng)
        assert found.tolist() == [5, 5, 5, 5]
        counts += chosen.reshape(4, 30).sum(0)
    for count in counts:
        assert_share(count, n, 5 / 30, deviations=4.5)


@pytest.mark.parametrize("wanted", [1, 2, 3, 7])
def test_long_units_deviate_by_less_than_one_and_not_on_average(wanted):
    rng = rng_of(wanted)
    sizes = [rng.choice([1, 2, 3, 5], 20, p=[0.4, 0.3, 0.2, 0.1]) for _ in range(200)]
    sizes = [np.append(s, 1) for s in sizes]  # so that every chunk has a unit that fits
    totals = []
    for _ in range(60):
        _, found = drawn(sizes, [wanted] * 200, rng)
        assert found.min() >= 1
        assert np.abs(found - wanted).max() < 5
        totals.extend(found)
    if wanted == 1:  # one on average and at least one leaves no choice
        assert set(totals) == {1}
    else:
        assert_mean(totals, wanted)


def test_a_chunk_whose_words_are_all_too_long_hides_one_of_them():
    for seed in range(20):
        chosen, found = drawn([[3, 4, 3], [1] * 10], [1, 1], rng_of(seed))
        assert chosen[:3].sum() == 1 and found[1] == 1


def test_what_must_not_be_hidden_never_is():
    for seed in range(50):
        hideable = rng_of(seed).random(40) < 0.5
        chosen, found = drawn([[1] * 20, [1] * 20], [20, 3], rng_of(seed), hideable=hideable)
        assert not chosen[~hideable].any()
        assert found[0] == hideable[:20].sum() and found[1] == min(3, hideable[20:].sum())
    nothing = np.zeros(4, dtype=bool)
    assert drawn([[1] * 4], [2], rng_of(), hideable=nothing)[1].tolist() == [0]


def test_words_are_bounded_by_chunks_and_special_pieces():
    chunks = chunks_of([4, 6], word=0.0)
    chunks.starts_word[6] = True
    chunks.pieces[7] = SPECIAL.mask
    starts = masking.unit_starts(chunks, SPECIAL, unit="word")
    assert np.flatnonzero(starts).tolist() == [0, 4, 6, 7, 8]
    assert masking.unit_starts(chunks, SPECIAL, unit="piece").all()


@pytest.mark.parametrize("p, most", [(0.2, 10), (0.5, 3), (0.9, 1)])
def test_spans_have_a_geometric_length(p, most):
    n = 20_000  # chunks that are long enough for a whole span: their first one is never cut off
    bounds = np.arange(n + 1) * most
    starts = masking.span_starts(bounds, rng_of(), p=p, most=most)
    assert starts[bounds[:-1]].all()
    places = np.flatnonzero(starts)
    first = np.searchsorted(places, bounds[:-1])
    ends = np.append(places, bounds[-1])[first + 1]
    lengths = ends - bounds[:-1]
    chances = np.array([p * (1 - p) ** (length - 1) for length in range(1, most + 1)])
    for length, share in enumerate(chances / chances.sum(), start=1):
        assert_share((lengths == length).sum(), n, share)
    if (p, most) == (0.2, 10):  # SpanBERT, section 3.1: "a mean span length of 3.8"
        assert abs(lengths.mean() - 3.8) < 0.08


def test_words_of_a_span_are_hidden_together():
    sizes, spans = [[1] * 12], np.repeat([0, 1, 2], 4)
    for seed in range(30):
        chosen, _ = drawn(sizes, [4], rng_of(seed), spans=spans)
        assert len(set(spans[chosen])) == 1
        chosen, _ = drawn(sizes, [6], rng_of(seed), spans=spans)
        hidden = np.bincount(spans[chosen], minlength=3)
        assert sorted(hidden.tolist()) == [0, 2, 4]
        cut = int(np.argmin(np.where(hidden == 2, 0, 1)))
        assert chosen[4 * cut : 4 * cut + 4].tolist() == [True, True, False, False]


def test_hidden_spans_keep_their_length():
    """In a long chunk, where neither its end nor the last span count for much."""
    n_words, p, most = 400_000, 0.2, 10
    rng = rng_of(1)
    bounds = np.array([0, n_words])
    spans = np.cumsum(masking.span_starts(bounds, rng, p=p, most=most)) - 1
    chosen, _ = drawn([np.ones(n_words, dtype=int)], [60_000], rng, spans=spans)
    lengths = np.bincount(spans[chosen])
    lengths = lengths[lengths > 0]
    chances = np.array([p * (1 - p) ** (length - 1) for length in range(1, most + 1)])
    for length, share in enumerate(chances / chances.sum(), start=1):
        assert_share((lengths == length).sum(), len(lengths), share)


def test_replacements_have_their_shares():
    n = 60_000
    pieces = np.full(n, 77)
    seen = masking.hide(pieces, SPECIAL.mask, SPECIAL, rng=rng_of())
    # a random piece is the same one again with a chance of 1 / 206
    same = 1 / (N_PIECES - 5)
    assert_share((seen == SPECIAL.mask).sum(), n, 0.8)
    assert_share((seen == 77).sum(), n, 0.1 + 0.1 * same)
    others = seen[(seen != 77) & (seen != SPECIAL.mask)]
    assert_share(len(others), n, 0.1 * (1 - same))
    assert not SPECIAL.among(others).any()
    assert len(set(others.tolist())) == N_PIECES - 6


def test_a_group_shares_its_fate():
    pieces, group = np.full(30_000, 77), np.repeat(np.arange(10_000), 3)
    seen = masking.hide(pieces, SPECIAL.mask, SPECIAL, rng=rng_of(), group=group)
    fates = np.where(seen == SPECIAL.mask, 0, np.where(seen == 77, 1, 2)).reshape(-1, 3)
    masked = (fates == 0).sum(1)
    assert set(masked.tolist()) == {0, 3}
    assert_share((masked == 3).sum(), 10_000, 0.8)
    kept = (fates == 1).all(1).sum()
    assert_share(kept, 10_000, 0.1)
