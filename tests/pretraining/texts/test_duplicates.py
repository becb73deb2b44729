import random
import sys

import numpy as np
import pytest

from spacy_llm_tasks.pretraining.texts import duplicates
from spacy_llm_tasks.pretraining.texts.duplicates import ExactDuplicates, NearDuplicates

WORDS = [a + b + c for a in "bdfgklmnprst" for b in "aeiou" for c in ("n", "ra", "ta", "lu")]


def document(seed, n=200):
    return random.Random(seed).choices(WORDS, k=n)


def changed(words, n, seed=0):
    rng = random.Random(seed)
    words = list(words)
    for i in rng.sample(range(len(words)), n):
        words[i] = "other" + str(i)
    return words


def jaccard(near, a, b):
    a, b = set(near.shingles(a).tolist()), set(near.shingles(b).tolist())
    return len(a & b) / len(a | b)


def test_exact():
    seen = ExactDuplicates()
    assert [seen.add(text) for text in ("a", "b", "a", "A", "a ", "", "")] == [
        *(True, True, False, True, True, True, False)
    ]
    assert len(seen) == 5 and 0 < seen.n_bytes / len(seen) < 250


def test_the_first_is_kept():
    near = NearDuplicates()
    first, last = document(1), document(2)
    texts = [first, last, changed(first, 2), first, changed(last, 60), document(3)]
    assert [near.add(" ".join(text)) for text in texts] == [True, True, False, False, True, True]
    assert len(near) == 4


def test_case_and_punctuation_do_not_count():
    near = NearDuplicates()
    text = " ".join(document(1))
    assert near.add(text) and not near.add(text.title().replace(" ", ",  ") + "!")


def test_scripts_without_spaces_are_compared_by_characters():
    rng = random.Random(0)
    text = "".join(chr(rng.randrange(0x4E00, 0x9FA5)) for _ in range(300))
    near = NearDuplicates()
    assert len(near.shingles(text)) == 296
    assert near.add(text) and not near.add(text[:150] + "变" + text[151:])
    assert near.add("".join(reversed(text)))


def test_short_and_empty_texts():
    near = NearDuplicates()
    assert [near.add(t) for t in ("one", "one two", "two one", "One!", "", "", "...")] == [
        *(True, True, True, False, True, True, True)
    ]
    assert len(near) == 3


@pytest.mark.parametrize("n_changed", [1, 3, 6, 10, 20])
def test_signatures_estimate_jaccard(n_changed):
    near = NearDuplicates()
    text, other = document(5), changed(document(5), n_changed)
    text, other = " ".join(text), " ".join(other)
    truth = jaccard(near, text, other)
    estimate = (near.signature(text) == near.signature(other)).mean()
    assert abs(estimate - truth) < 3.5 * np.sqrt(truth * (1 - truth) / 128) + 1e-9


def test_the_threshold_decides():
    found = {}
    for n_changed in (1, 4, 12, 30):
        hits = []
        for seed in range(24):
            near = NearDuplicates(threshold=0.8)
            words = document(seed, 300)
            near.add(" ".join(words))
            hits.append(not near.add(" ".join(changed(words, n_changed, seed))))
        a, b = " ".join(words), " ".join(changed(words, n_changed, seed))
        found[n_changed] = (jaccard(near, a, b), sum(hits) / len(hits))
    assert found[1][0] > 0.95 and found[1][1] == 1.0
    assert 0.84 < found[4][0] < 0.92 and found[4][1] > 0.85
    assert 0.55 < found[12][0] < 0.75 and found[12][1] < 0.1
    assert found[30][0] < 0.5 and found[30][1] == 0.0


def test_exact_copies_only_at_threshold_one():
    near = NearDuplicates(threshold=1.0)
    words = document(7, 60)
    assert near.add(" ".join(words)) and near.add(" ".join(changed(words, 5)))
    assert not near.add(" ".join(words))


def test_a_long_text_takes_its_shingles_in_batches(monkeypatch):
    text = " ".join(document(9, 5000))
    expected = NearDuplicates().signature(text)
    monkeypatch.setattr(duplicates, "_BATCH", 37)
    assert (NearDuplicates().signature(text) == expected).all()


def test_memory_is_a_fixed_number_of_bytes_per_document():
    sizes = []
    for n_words in (30, 300):
        near = NearDuplicates()
        for seed in range(400):
            near.add(" ".join(document(seed, n_words)))
        assert len(near) == 400
        sizes.append(near.n_bytes / len(near))
    assert max(sizes) < 3500 and max(sizes) / min(sizes) < 1.1


def test_many_candidates_are_bounded(monkeypatch):
    monkeypatch.setattr(duplicates, "MAX_CANDIDATES", 34)
    near = NearDuplicates(threshold=1.0)
    form = document(1, 2000)
    for i in range(200):
        near.add(" ".join(changed(form, 1, i)))
    candidates = near._candidates(near._band_hashes(near.signature(" ".join(form))))
    assert 0 < len(candidates) <= 34


def test_wrong_thresholds_and_a_missing_package(monkeypatch):
    for threshold in (0.0, 1.1):
        with pytest.raises(ValueError, match="E706"):
            NearDuplicates(threshold=threshold)
    monkeypatch.setitem(sys.modules, "datasketch", None)
    with pytest.raises(ImportError, match="E707.*datasketch"):
        NearDuplicates()
