"""Pairs of spans against a double loop over all of them."""

import numpy as np
import pytest

from spacy_llm_tasks.layers.candidates import Candidates, pair_up, sample

# Spans of each doc as (first token, token after the last).
DOCS = {
    "nothing": [],
    "empty docs": [[], []],
    "one span": [[(0, 1)]],
    "nested and equal": [[(0, 5), (0, 5), (1, 3), (2, 3)]],
    "a doc without spans between": [[(0, 1), (3, 4)], [], [(7, 9)], [(0, 2), (2, 3), (20, 21)]],
    "far apart": [[(0, 1), (50, 51), (52, 60), (55, 57), (100, 101)]],
}


def arrays(docs):
    rows = [(i, a, z, 1 + (a + z) % 3) for i, spans in enumerate(docs) for a, z in sorted(spans)]
    return np.array(rows, dtype=np.int64).reshape(-1, 4).T


def paired(docs, *, max_distance=100, sentence=None):
    doc, first, last, kind = arrays(docs)
    return pair_up(
        doc, first, last, kind, n_docs=len(docs), max_distance=max_distance, sentence=sentence
    )


def by_hand(docs, max_distance):
    doc, first, last, _ = arrays(docs)
    found = []
    for i in range(len(doc)):
        for j in range(len(doc)):
            gap = max(first[j] - last[i], first[i] - last[j], 0)
            if i != j and doc[i] == doc[j] and gap <= max_distance:
                found.append((i, j))
    return found


@pytest.mark.parametrize("docs", DOCS.values(), ids=DOCS)
@pytest.mark.parametrize("max_distance", [0, 1, 40, 100, 10**15])
def test_pairs(docs, max_distance):
    pairs = paired(docs, max_distance=max_distance)
    assert list(zip(pairs.head, pairs.tail, strict=True)) == by_hand(docs, max_distance)
    assert len(pairs) == len(pairs.head)
    doc, first, last, _ = arrays(docs)
    for k, (i, j) in enumerate(by_hand(docs, max_distance)):
        assert pairs.owner[k] == doc[i]
        after, before = max(first[j] - last[i], 0), max(first[i] - last[j], 0)
        assert pairs.gap[k] == after - before
        assert (pairs.head[pairs.twins[k]], pairs.tail[pairs.twins[k]]) == (j, i)


def test_any_spans():
    random = np.random.default_rng(3)
    for _ in range(30):
        docs = []
        for _ in range(random.integers(0, 5)):
            starts = random.integers(0, 40, size=random.integers(0, 12))
            docs.append([(int(a), int(a + random.integers(1, 9))) for a in starts])
        distance = int(random.integers(0, 20))
        pairs = paired(docs, max_distance=distance)
        assert list(zip(pairs.head, pairs.tail, strict=True)) == by_hand(docs, distance)


def test_pairs_of_one_sentence():
    docs = [[(0, 1), (2, 3), (4, 6)], [], [(0, 1), (1, 2)]]
    sentence = [np.array([0, 0, 0, 1, 1, 1]), np.zeros(0, dtype=np.int64), np.array([0, 1])]
    pairs = paired(docs, sentence=sentence)
    assert list(zip(pairs.head, pairs.tail, strict=True)) == [(0, 1), (1, 0)]
    assert not len(paired([[]], sentence=[np.zeros(0, dtype=np.int64)]))


def test_numbers_of_pairs():
    pairs = paired([[(0, 1), (50, 51), (52, 53)]], max_distance=10)
    found = pairs.find(np.array([1, 2, 0, 2, 1]), np.array([2, 1, 1, 0, 1]))
    assert found.tolist() == [0, 1, -1, -1, -1]
    nothing = paired([[(0, 1)]])
    assert nothing.find(np.array([0]), np.array([0])).tolist() == [-1]
    assert nothing.twins.tolist() == []


def test_some_of_the_pairs():
    pairs = paired([[(0, 1), (2, 3), (4, 5)]])
    some = pairs.take(pairs.head == 1)
    assert isinstance(some, Candidates)
    assert list(zip(some.head, some.tail, strict=True)) == [(1, 0), (1, 2)]
    assert some.first is pairs.first


def test_as_many_pairs_as_the_text_is_long():
    """A hundred times the entities of a long text are a hundred times the pairs."""
    sizes = []
    for n in (200, 20_000):
        doc, kind = np.zeros(n, dtype=np.int64), np.ones(n, dtype=np.int64)
        first = np.arange(n, dtype=np.int64) * 10
        pairs = pair_up(doc, first, first + 1, kind, n_docs=1, max_distance=30)
        sizes.append(len(pairs))
    assert sizes[1] / sizes[0] == pytest.approx(100, rel=0.05)


# Sampling ----------------------------------------------------------------------------------------


def related_pairs(pairs, some):
    related = np.zeros(len(pairs), dtype=bool)
    head, tail = np.array(some, dtype=np.int64).reshape(-1, 2).T
    related[pairs.find(head, tail)] = True
    return related


@pytest.mark.parametrize("max_negatives", [1, 2, 3, 6, 1000, None])
def test_sampled_pairs(max_negatives):
    docs = [[(i, i + 1) for i in range(8)], [], [(0, 1)], [(i, i + 1) for i in range(5)], [(0, 1)]]
    pairs = paired(docs)
    related = related_pairs(pairs, [(0, 3), (2, 1), (1, 2), (10, 9)])
    for _ in range(20):
        kept = sample(pairs, related, max_negatives=max_negatives)
        assert (np.diff(kept) > 0).all()
        assert set(np.flatnonzero(related)) <= set(kept)
        some = pairs.take(kept)
        assert (some.twins >= 0).all()
        free = ~(related | related[pairs.twins])[kept]
        for doc, n_pairs, n_related in ((0, 56, 4), (3, 20, 2)):
            wanted = n_pairs - n_related
            if max_negatives is not None:
                wanted = min(wanted, 2 * max(max_negatives // 2, 1))
            assert int((free & (some.owner == doc)).sum()) == wanted
    assert len(sample(paired([[(0, 1)]]), np.zeros(0, dtype=bool), max_negatives=5)) == 0


def test_every_pair_has_its_turn():
    pairs = paired([[(i, i + 1) for i in range(6)]])
    np.random.seed(1)
    drawn = [sample(pairs, np.zeros(30, dtype=bool), max_negatives=4) for _ in range(300)]
    counts = np.bincount(np.concatenate(drawn), minlength=30)
    assert counts.min() > 0.5 * counts.max()
