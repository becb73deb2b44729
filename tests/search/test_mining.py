import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.data import clustered
from spacy_llm_tasks.search import near_duplicates, paraphrases


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr("spacy_llm_tasks.search.mining._ROWS", 16)
    monkeypatch.setattr("spacy_llm_tasks.search.mining._COLUMNS", 40)


def naive_pairs(vectors, threshold, top_k):
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    found = {}
    for row, scores in enumerate(cosines):
        for column in np.argsort(-scores, kind="stable")[:top_k]:
            if scores[column] >= threshold:
                found[min(row, column), max(row, column)] = scores[column]
    return found


@pytest.mark.parametrize("threshold, top_k", [(0.8, 100), (0.5, 3), (-1.0, 2), (0.99, 1)])
def test_pairs_are_those_of_the_whole_matrix(threshold, top_k):
    vectors = clustered(150, 24, noise=0.4)
    pairs = paraphrases(vectors * 7.5, threshold=threshold, top_k=top_k)
    expected = naive_pairs(vectors, threshold, top_k)
    assert {(pair.first, pair.second) for pair in pairs} == set(expected)
    for pair in pairs:
        assert pair.first < pair.second
        assert pair.score == pytest.approx(expected[pair.first, pair.second], abs=1e-5)
    assert [pair.score for pair in pairs] == sorted((pair.score for pair in pairs), reverse=True)


def test_at_most_so_many_pairs_and_the_best_of_them():
    vectors = clustered(150, 24, noise=0.4)
    every = paraphrases(vectors, threshold=0.5)
    assert len(every) > 100
    assert paraphrases(vectors, threshold=0.5, most=60) == every[:60]


def test_copies_are_found_at_a_threshold_of_one():
    vectors = clustered(50, 24)
    again = np.concatenate([vectors, 3 * vectors[:5]])
    expected = [(i, 50 + i) for i in range(5)]
    pairs = paraphrases(again, threshold=1.0)
    assert sorted((pair.first, pair.second) for pair in pairs) == expected
    assert near_duplicates(again, threshold=1.0) == [list(pair) for pair in expected]


def naive_groups(vectors, threshold):
    close = vectors @ vectors.T >= threshold
    left, groups = set(range(len(vectors))), []
    while left:
        group, new = set(), {min(left)}
        while new:
            group |= new
            new = {int(j) for i in new for j in np.flatnonzero(close[i])} - group
        left -= group
        groups.append(sorted(group))
    return sorted((g for g in groups if len(g) > 1), key=lambda g: (-len(g), g[0]))


@settings(max_examples=60)
@given(st.integers(1, 120), st.sampled_from([0.3, 0.6, 0.8, 0.95]), st.integers(0, 10_000))
def test_groups_are_the_connected_components(n, threshold, seed):
    vectors = clustered(n, 4, noise=0.5, seed=seed)
    cosines = vectors @ vectors.T
    if np.abs(cosines - threshold).min() < 1e-5:
        return  # too close to the threshold to say
    assert near_duplicates(vectors, threshold=threshold) == naive_groups(vectors, threshold)


def test_a_chain_is_one_group():
    angles = np.arange(0, 3, 0.1)
    chain = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    order = np.random.default_rng(0).permutation(len(chain))
    assert near_duplicates(chain[order], threshold=0.99) == [list(range(len(chain)))]


def test_everything_the_same():
    same = np.ones((200, 3))
    assert near_duplicates(same) == [list(range(200))]
    assert len(paraphrases(same, top_k=2)) <= 400
    assert near_duplicates(np.zeros((5, 3))) == []


@pytest.mark.parametrize("vectors", [np.empty((0, 5)), np.ones((1, 5)), []])
def test_nothing_to_compare(vectors):
    assert paraphrases(vectors) == near_duplicates(vectors) == []


def test_errors():
    for function in (paraphrases, near_duplicates):
        with pytest.raises(ValueError, match="E608"):
            function(np.array([[1.0, np.nan]]))
        with pytest.raises(ValueError, match="E612"):
            function(np.ones((2, 2)), threshold=1.5)
    with pytest.raises(ValueError, match="E612"):
        paraphrases(np.ones((2, 2)), top_k=0)
