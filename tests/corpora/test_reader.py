import json
import pickle

import pytest
import spacy
from spacy import registry
from spacy.tokens import Doc, Span
from spacy.training import Example
from thinc.api import Config

from spacy_llm_tasks.corpora.files import write_docs
from spacy_llm_tasks.corpora.reader import corpus_files, cut, make_corpus

NLP = spacy.blank("en")


def make_doc(n_sentences=3, *, sentences=True):
    words = ["Ida", "Moss", "likes", "Ely", "."] * n_sentences
    starts = [i % 5 == 0 for i in range(len(words))] if sentences else None
    doc = Doc(NLP.vocab, words=words, sent_starts=starts)
    doc.ents = [Span(doc, i, i + 2, "PERSON") for i in range(0, len(words), 5)]
    doc.cats = {"x": 1.0}
    return doc


@pytest.fixture
def folder(tmp_path):
    write_docs(tmp_path / "b.spacy", [make_doc(1), make_doc(2)])
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "Don't go."}) + "\n")
    return tmp_path


def test_resolves_from_a_config_and_gives_bare_predicted_docs(folder):
    text = f"""
    [corpus]
    @readers = "spacy_llm_tasks.Corpus.v1"
    path = "{folder / "b.spacy"}"
    """
    corpus = registry.resolve(Config().from_str(text))["corpus"]
    examples = list(corpus(NLP))
    assert len(examples) == 2
    for example in examples:
        assert [t.text for t in example.predicted] == [t.text for t in example.reference]
        assert example.predicted.ents == () and not example.predicted.has_annotation("ENT_IOB")
        assert example.predicted.cats == {} and not example.predicted.has_annotation("SENT_START")
        assert example.reference.ents and example.reference.cats == {"x": 1.0}
    assert len(list(corpus(NLP))) == 2  # reads anew


def test_reads_folders_and_jsonl(folder):
    texts = [example.reference.text for example in make_corpus(folder)(NLP)]
    assert texts[0] == "Don't go." and len(texts) == 3
    words = [t.text for t in next(iter(make_corpus(folder / "a.jsonl")(NLP))).predicted]
    assert words == ["Do", "n't", "go", "."]


def test_the_same_documents_in_both_formats_are_read_once(folder):
    (folder / "b.jsonl").write_text("{}")
    (folder / ".hidden.spacy").write_text("x")
    assert [file.name for file in corpus_files(folder)] == ["a.jsonl", "b.spacy"]


def test_limit_and_shuffle_are_deterministic(tmp_path):
    docs = [NLP(f"number {i}") for i in range(20)]
    write_docs(tmp_path / "x.spacy", docs)

    def texts(**options):
        return [e.reference.text for e in make_corpus(tmp_path / "x.spacy", **options)(NLP)]

    assert texts(limit=3) == [doc.text for doc in docs[:3]]
    shuffled = texts(shuffle=True, seed=1)
    assert shuffled == texts(shuffle=True, seed=1) != texts(shuffle=True, seed=2)
    assert sorted(shuffled) == sorted(texts()) != shuffled
    assert texts(shuffle=True, seed=1, limit=4) == shuffled[:4]


def test_gold_entities_on_request(folder):
    examples = list(make_corpus(folder / "b.spacy", gold_ents=True)(NLP))
    assert [len(example.predicted.ents) for example in examples] == [1, 2]
    example = next(iter(make_corpus(folder / "a.jsonl", gold_ents=True)(NLP)))
    assert not example.predicted.has_annotation("ENT_IOB")


def test_own_tokens_on_request(tmp_path):
    doc = Doc(NLP.vocab, words=["Don't", "go"], spaces=[True, False])
    write_docs(tmp_path / "x.spacy", [doc])
    example = next(iter(make_corpus(tmp_path / "x.spacy", gold_tokens=False)(NLP)))
    assert len(example.predicted) == 3 and len(example.reference) == 2


def test_the_pipelines_own_limit_is_none_of_the_reader(tmp_path):
    nlp = spacy.blank("en")
    nlp.max_length = 5
    (tmp_path / "x.jsonl").write_text('{"text": "longer than five"}\n')
    for gold_tokens in (True, False):
        example = next(iter(make_corpus(tmp_path / "x.jsonl", gold_tokens=gold_tokens)(nlp)))
        assert len(example.predicted) == len(example.reference) == 3


def double(nlp, example):
    yield example
    yield Example(nlp.make_doc(example.reference.text.lower()), example.reference)


def test_augmenter_and_pickle(folder):
    corpus = pickle.loads(pickle.dumps(make_corpus(folder, augmenter=double)))
    assert len(list(corpus(NLP))) == 6


def test_long_docs_are_cut_at_sentences():
    parts = cut(make_doc(3), 12)
    assert [len(part) for part in parts] == [10, 5]
    assert all(part.cats == {"x": 1.0} for part in parts)


@pytest.mark.parametrize("max_length", [1, 2, 3, 4, 6, 7, 100])
@pytest.mark.parametrize("sentences", [True, False])
def test_cuts_never_lose_tokens_or_entities(max_length, sentences):
    doc = make_doc(3, sentences=sentences)
    parts = cut(doc, max_length)
    assert [t.text for part in parts for t in part] == [t.text for t in doc]
    assert [e.text for part in parts for e in part.ents] == [e.text for e in doc.ents]
    assert all(len(part) <= max(2, max_length) for part in parts)


def test_what_a_cut_loses_is_counted(tmp_path):
    doc = make_doc(2)
    doc._.relations = [(doc.ents[0], doc.ents[1], "KNOWS")]
    doc._.questions = [("1", "Who?", [("Ida Moss", 0)]), ("2", "Really?", [("likes Ely . Ida", 9)])]
    doc._.pair = ("x", 0.5)
    write_docs(tmp_path / "x.spacy", [doc])
    with pytest.warns(UserWarning, match="W302.*1 relations, 1 questions, 1 pairs"):
        examples = list(make_corpus(tmp_path / "x.spacy", max_length=5)(NLP))
    assert [len(example.reference) for example in examples] == [5, 5]


def test_unusable_lines_warn(folder):
    (folder / "a.jsonl").write_text('{"text": "fine"}\n{"text": ""}\n')
    with pytest.warns(UserWarning, match="W301.*1 items.*a.jsonl:2"):
        assert len(list(make_corpus(folder / "a.jsonl")(NLP))) == 1


def test_paths_that_lead_nowhere_name_the_setting(tmp_path):
    with pytest.raises(ValueError, match="E330.*paths.train"):
        list(make_corpus(None)(NLP))
    for path in (tmp_path / "none.spacy", tmp_path, tmp_path / "x.txt"):
        with pytest.raises(ValueError, match="E332.*paths.train"):
            list(make_corpus(path)(NLP))
    write_docs(tmp_path / "empty.spacy", [])
    with pytest.raises(ValueError, match="E333.*empty.spacy"):
        list(make_corpus(tmp_path / "empty.spacy")(NLP))


@pytest.mark.parametrize("name", ["max_length", "limit"])
def test_numbers_below_zero_are_refused(folder, name):
    with pytest.raises(ValueError, match=f"E334.*{name}.*-3"):
        make_corpus(folder, **{name: -3})
