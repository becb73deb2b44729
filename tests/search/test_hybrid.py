import numpy as np
import pytest

from search.data import WORDS, clustered
from spacy_llm_tasks.search import Entry, SearchIndex
from spacy_llm_tasks.search.hybrid import reciprocal_rank_fusion


def test_fusion_by_hand():
    found = reciprocal_rank_fusion([[1, 2, 3], [3, 1, 9]])
    assert [item for item, _ in found] == [1, 3, 2, 9]
    scores = [1 / 61 + 1 / 62, 1 / 63 + 1 / 61, 1 / 62, 1 / 63]
    assert [score for _, score in found] == pytest.approx(scores)
    assert reciprocal_rank_fusion([]) == reciprocal_rank_fusion([[], []]) == []


def test_words_alone(index):
    (found,) = index.search(texts="Which ones speak of juniper?", k=5)
    assert [hit.entry.id for hit in found] == ["e9", "e19", "e29", "e39", "e49"]
    assert all(hit.score == hit.bm25 > 0 and hit.cosine is None for hit in found)


def test_rare_words_count_more(tmp_path):
    texts = ["the cat", "the dog", "the bird", "a newt"]
    with SearchIndex.create(tmp_path / "index", width=4) as index:
        index.add([Entry(text, text) for text in texts], np.eye(4))
        (found,) = index.search(texts="the newt")
        assert [hit.entry.id for hit in found][0] == "a newt"
        assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)


def test_both_halves_are_joined_by_rank(index, vectors):
    (hits,) = index.search(vectors[7], texts="cedar", k=300, depth=300)
    near = [hit.entry.id for hit in index.search(vectors[7], k=300)[0]]
    words = [hit.entry.id for hit in index.search(texts="cedar", k=300)[0]]
    expected = reciprocal_rank_fusion([near, words])
    assert [(hit.entry.id, hit.score) for hit in hits] == expected
    for hit in hits:
        number = int(hit.entry.id[1:])
        assert hit.cosine == pytest.approx(float(vectors[number] @ vectors[7]), abs=1e-6)
        assert (hit.bm25 is not None) == (number % 10 == 2)
    # A word moves an entry up that vectors place far down.
    assert min(i for i, hit in enumerate(hits) if hit.bm25) < near.index(words[0])


def test_what_only_words_find_has_a_cosine(index, vectors):
    (hits,) = index.search(vectors[7], texts="cedar", k=4, depth=4)
    assert any(hit.bm25 for hit in hits)
    for hit in hits:
        cosine = float(vectors[int(hit.entry.id[1:])] @ vectors[7])
        assert hit.cosine == pytest.approx(cosine, abs=1e-6)


def test_several_queries_at_once(index, vectors):
    texts = WORDS[:3]
    many = index.search(vectors[:3], texts=texts, k=5)
    for item, hits in enumerate(many):
        alone = index.search(vectors[item], texts=texts[item], k=5)[0]
        assert [h.entry.id for h in hits] == [h.entry.id for h in alone]
    with pytest.raises(ValueError, match="E613"):
        index.search(clustered(2, 32), texts=texts)
    with pytest.raises(ValueError, match="E619"):
        index.search()
    with pytest.raises(ValueError, match="E612"):
        index.search(texts=[3])
