"""Several corpora read as one."""

from collections import Counter

import pytest
import spacy
from spacy.training import Example

from spacy_llm_tasks.corpora.mixed import make_mixed_corpus


def reader(*texts):
    def read(nlp):
        for text in texts:
            yield Example(nlp.make_doc(text), nlp.make_doc(text))

    return read


@pytest.fixture
def nlp():
    return spacy.blank("en")


@pytest.fixture
def corpora():
    return {"ner": reader("a", "b", "c", "d", "e", "f"), "cats": reader("x", "y")}


def texts_of(corpus, nlp):
    return [example.reference.text for example in corpus(nlp)]


def test_without_weights_every_example_comes_once(corpora, nlp):
    texts = texts_of(make_mixed_corpus(corpora), nlp)
    assert sorted(texts) == list("abcdefxy")
    assert texts != list("abcdefxy")


@pytest.mark.parametrize(
    "weights, n_ner, n_cats",
    [
        ({"ner": 1.0, "cats": 1.0}, 6, 6),
        ({"cats": 2.0}, 6, 12),
        ({"ner": 6.0, "cats": 1.0}, 12, 2),
        ({"ner": 2.0}, 6, 3),
    ],
)
def test_weights_say_how_often(corpora, nlp, weights, n_ner, n_cats):
    counts = Counter(texts_of(make_mixed_corpus(corpora, weights), nlp))
    assert sum(counts[text] for text in "abcdef") == n_ner
    assert sum(counts[text] for text in "xy") == n_cats
    assert all(counts[text] >= 1 for text in "abcdefxy")
    assert max(counts[t] for t in "xy") - min(counts[t] for t in "xy") <= 1


def test_order_repeats_with_the_seed(corpora, nlp):
    first = texts_of(make_mixed_corpus(corpora, seed=1), nlp)
    assert texts_of(make_mixed_corpus(corpora, seed=1), nlp) == first
    assert texts_of(make_mixed_corpus(corpora, seed=2), nlp) != first


def test_bad_settings_are_named(corpora):
    with pytest.raises(ValueError, match="E350"):
        make_mixed_corpus({})
    with pytest.raises(ValueError, match="E351.*'qa'.*ner, cats"):
        make_mixed_corpus(corpora, {"qa": 1.0})
    with pytest.raises(ValueError, match="E351.*'cats'"):
        make_mixed_corpus(corpora, {"cats": 0.0})
    for weight in (float("inf"), float("nan")):
        with pytest.raises(ValueError, match="E351.*'cats'.*finite"):
            make_mixed_corpus(corpora, {"cats": weight})


@pytest.mark.parametrize("weights", [{}, {"ner": 2.0}])
def test_an_empty_corpus_is_named(corpora, nlp, weights):
    with pytest.raises(ValueError, match="E352.*'none'"):
        list(make_mixed_corpus({**corpora, "none": reader()}, weights)(nlp))


def test_from_a_config(nlp, tmp_path):
    config = spacy.util.load_config_from_str(
        """
        [corpora]
        [corpora.train]
        @readers = "spacy_llm_tasks.MixedCorpus.v1"
        seed = 0
        [corpora.train.weights]
        one = 2.0
        [corpora.train.corpora]
        [corpora.train.corpora.one]
        @readers = "spacy_llm_tasks.Corpus.v1"
        path = "one.jsonl"
        [corpora.train.corpora.two]
        @readers = "spacy_llm_tasks.Corpus.v1"
        path = "two.jsonl"
        """
    )
    for name in ("one", "two"):
        path = tmp_path / f"{name}.jsonl"
        path.write_text(f'{{"text": "{name}"}}\n', encoding="utf8")
        config["corpora"]["train"]["corpora"][name]["path"] = str(path)
    corpus = spacy.registry.resolve(config["corpora"])["train"]
    assert sorted(texts_of(corpus, nlp)) == ["one", "one", "two"]
