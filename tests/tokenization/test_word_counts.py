from collections import Counter

import pytest
from hostile_texts import TEXTS, readable
from tokenizers import normalizers
from tokenizers import pre_tokenizers as splitters
from toy_corpus import sentences

from spacy_llm_tasks.tokenization.text_stream import TextStream
from spacy_llm_tasks.tokenization.word_counts import choose_alphabet, count_characters, count_words

METASPACE = splitters.Sequence([splitters.WhitespaceSplit(), splitters.Metaspace()])


@pytest.mark.parametrize(
    ("normalizer", "splitter"),
    [
        (normalizers.BertNormalizer(), splitters.BertPreTokenizer()),
        (normalizers.NFC(), splitters.BertPreTokenizer()),
        (normalizers.NFKC(), METASPACE),
        (None, METASPACE),
    ],
)
def test_counts_are_those_of_cutting_whole_texts(normalizer, splitter):
    batch = [*map(readable, TEXTS), *sentences(20)] * 2
    expected = Counter()
    for text in batch:
        plain = normalizer.normalize_str(text) if normalizer else text
        expected.update(word for word, _ in splitter.pre_tokenize_str(plain))
    found = count_words(iter(batch), normalizer=normalizer, splitter=splitter)
    assert found == expected
    assert list(found) == sorted(found)


def test_the_rarest_stretches_are_forgotten_where_there_are_too_many():
    texts = ["often " * 5 + f"once{number} " for number in range(50)]
    found = count_words(texts, normalizer=None, splitter=splitters.WhitespaceSplit(), most=20)
    assert found["often"] == 250
    assert len(found) <= 21


def test_alphabet():
    counts = count_characters({"aab": 2, "c\u00e9": 3})
    assert counts == {"a": 4, "b": 2, "c": 3, "\u00e9": 3}
    slots = {"a": 2, "b": 1, "c": 2, "\u00e9": 1}
    assert choose_alphabet(slots, counts, most=6) == ["a", "b", "c", "\u00e9"]
    assert choose_alphabet(slots, counts, most=4) == ["a", "c"]
    assert choose_alphabet(slots, counts, most=1) == []


def test_stream_checks_counts_and_takes_out_special_pieces():
    stream = TextStream(iter(["a [X] b[X]", "[X]", "", "lone \ud800"]), without=["[X]", "[X]]"])
    assert list(stream) == ["a ", " b", "", "lone \ufffd"]
    assert (stream.n_texts, stream.n_characters) == (4, 10 + 3 + 0 + 6)
    with pytest.raises(ValueError, match="E219.*Text 1 .*int"):
        list(TextStream(["a", 3], without=["[X]"]))
