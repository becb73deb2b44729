"""The Unigram learner against sums over all ways to cut a word, and against scipy."""

import itertools
import math

import numpy as np
import pytest
from scipy.special import digamma as scipy_digamma
from tokenizers import Tokenizer, models
from toy_corpus import sentences

from spacy_llm_tasks.tokenization.unigram import digamma, learn_unigram
from spacy_llm_tasks.tokenization.unigram_lattice import Lattice
from spacy_llm_tasks.tokenization.unigram_seeds import find_seeds

WORDS = {"\u2581abab": 5, "\u2581ab": 7, "\u2581ba": 3, "\u2581abc7c": 2}


def all_cuts(string, pieces):
    """Every way to write a string as pieces, by brute force."""
    for n in range(len(string)):
        for borders in itertools.combinations(range(1, len(string)), n):
            ends = [0, *borders, len(string)]
            cut = [string[a:b] for a, b in itertools.pairwise(ends)]
            if all(part in pieces for part in cut):
                yield cut


@pytest.fixture
def seeds():
    return find_seeds(WORDS, most_single=20, most=50, min_frequency=2)


@pytest.fixture
def chances(seeds):
    values = np.random.default_rng(0).random(len(seeds.pieces)) + 0.1
    return values / values.sum()


def strings_of(seeds):
    """The strings, put together from the single characters that the table finds."""
    for start, length in zip(seeds.starts, seeds.lengths, strict=True):
        yield "".join(seeds.pieces[i] for i in seeds.table[0][start : start + length])


def test_strings_break_where_kinds_of_characters_meet(seeds):
    found = dict(zip(strings_of(seeds), seeds.weights.tolist(), strict=True))
    assert found == {"\u2581abab": 5, "\u2581ab": 7, "\u2581ba": 3, "\u2581abc": 2, "7": 2, "c": 2}


def test_seeds_are_the_frequent_substrings(seeds):
    strings = dict(zip(strings_of(seeds), seeds.weights.tolist(), strict=True))
    counts = {}
    for string, weight in strings.items():
        for start, end in itertools.combinations(range(len(string) + 1), 2):
            counts[string[start:end]] = counts.get(string[start:end], 0) + weight
    for piece, count in zip(seeds.pieces, seeds.counts.tolist(), strict=True):
        assert counts[piece] == count
    # A substring is missing only if the same character always follows it.
    for string in set(counts) - set(seeds.pieces):
        assert any(counts.get(string + c) == counts[string] for c in "abc"), string
    assert seeds.n_found == len(seeds.pieces) and seeds.n_left_out == 0


def test_rare_and_left_out_characters_break_strings():
    seeds = find_seeds(
        {"\u2581axb": 4, "\u2581b": 9, "\u2581y": 1}, most_single=3, most=9, min_frequency=2
    )
    assert set(strings_of(seeds)) == {"\u2581a", "b", "\u2581b", "\u2581"}
    assert seeds.n_left_out == 1


def test_expected_counts_are_sums_over_all_cuts(seeds, chances):
    lattice = Lattice.build(seeds.table, seeds.starts, seeds.lengths, whole=True)
    counts, likelihood = lattice.expected_counts(chances, seeds.weights)
    chance = dict(zip(seeds.pieces, chances.tolist(), strict=True))
    expected, total = dict.fromkeys(seeds.pieces, 0.0), 0.0
    for string, weight in zip(strings_of(seeds), seeds.weights, strict=True):
        cuts = list(all_cuts(string, chance))
        of_cut = [math.prod(chance[part] for part in cut) for cut in cuts]
        total += weight * math.log(sum(of_cut))
        for cut, value in zip(cuts, of_cut, strict=True):
            for part in cut:
                expected[part] += weight * value / sum(of_cut)
    np.testing.assert_allclose(counts, [expected[piece] for piece in seeds.pieces], rtol=1e-12)
    assert likelihood == pytest.approx(total)


@pytest.mark.parametrize("whole", [True, False])
def test_best_edges_are_the_best_cut(seeds, chances, whole):
    scores = np.log(chances)
    score = dict(zip(seeds.pieces, scores.tolist(), strict=True))
    lattice = Lattice.build(seeds.table, seeds.starts, seeds.lengths, whole=whole)
    pieces, owners = lattice.best_edges(scores)
    for number, string in enumerate(strings_of(seeds)):
        found = [seeds.pieces[i] for i in pieces[owners == number]][::-1]
        cuts = [cut for cut in all_cuts(string, score) if whole or len(cut) > 1]
        best = max(cuts, key=lambda cut: sum(score[part] for part in cut), default=[])
        assert found == best


def test_leaving_out_pieces_is_building_without_them(seeds, chances):
    lattice = Lattice.build(seeds.table, seeds.starts, seeds.lengths, whole=True)
    new_ids = np.arange(len(seeds.pieces), dtype=np.int32)
    gone = np.arange(seeds.n_single, len(new_ids), 2)
    new_ids[gone] = -1
    table = [np.where(row >= 0, new_ids[row], np.int32(-1)) for row in seeds.table]
    built = Lattice.build(table, seeds.starts, seeds.lengths, whole=True)
    kept = lattice.keep(new_ids)
    assert kept.groups == built.groups
    np.testing.assert_array_equal(kept.pieces, built.pieces)
    np.testing.assert_array_equal(kept.strings, built.strings)


def words_of(texts):
    counts = {}
    for text in texts:
        for word in text.split():
            counts["\u2581" + word] = counts.get("\u2581" + word, 0) + 1
    return dict(sorted(counts.items()))


def test_likelihood_grows_with_the_vocabulary_and_beats_its_candidates_by_frequency():
    words = words_of(sentences(200))

    def likelihood(entries):
        tokenizer = Tokenizer(models.Unigram([("?", -99.0), *entries], unk_id=0))
        score = dict(entries)
        total = 0.0
        for word, count in words.items():
            parts = tokenizer.encode(word, add_special_tokens=False).tokens
            total += count * sum(score.get(part, -20.0) for part in parts)
        return total

    learned = {size: learn_unigram(words, size=size, min_frequency=2) for size in (60, 120, 200)}
    assert [len(entries) for entries in learned.values()] == [60, 120, 200]
    values = [likelihood(entries) for entries in learned.values()]
    assert values == sorted(values)
    seeds = find_seeds(words, most_single=60, most=120, min_frequency=2)
    naive = np.log(seeds.counts / seeds.counts.sum()).tolist()
    assert values[1] > likelihood(list(zip(seeds.pieces, naive, strict=True)))


def test_scores_fall_and_are_the_logarithms_of_probabilities():
    entries = learn_unigram(words_of(sentences(200)), size=120, min_frequency=2)
    scores = [score for _, score in entries]
    assert scores == sorted(scores, reverse=True)
    assert len({piece for piece, _ in entries}) == 120
    assert 0.9 < sum(map(math.exp, scores)) < 1.0


def test_long_strings_are_learned_from_in_parts():
    words = {"\u2581" + "ab" * 5_000: 3}
    entries = learn_unigram(words, size=10, min_frequency=2)
    assert len(entries) == 10 and all(len(piece) <= 16 for piece, _ in entries)
    assert all(math.isfinite(score) for _, score in entries)


def test_nothing_to_learn_from():
    assert learn_unigram({}, size=10, min_frequency=2) == []
    assert learn_unigram({"\u2581a": 1}, size=10, min_frequency=2) == []


def test_memory_is_bounded_by_the_frequent_strings():
    words = words_of(sentences(200))
    seeds = find_seeds(words, most_single=60, most=500, min_frequency=2, most_characters=300)
    everything = find_seeds(words, most_single=60, most=500, min_frequency=2)
    assert seeds.lengths.sum() <= 300 < everything.lengths.sum()
    assert seeds.weights.min() >= np.sort(everything.weights)[-len(seeds.weights)]


def test_digamma():
    x = np.concatenate([np.linspace(0.1, 12, 200), np.geomspace(12, 1e12, 50)])
    np.testing.assert_allclose(digamma(x), scipy_digamma(x), rtol=0, atol=1e-9)
