import pickle
import sys

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc

from spacy_llm_tasks.annotate import annotator as module
from spacy_llm_tasks.annotate.annotator import Annotator, AnnotatorSettings
from spacy_llm_tasks.annotate.reading.rows import Row
from spacy_llm_tasks.annotate.writing.outputs import DEFAULT_PARTS

TEXTS = ["Harbury is a town.", "Who knows Harbury?", "", "  ", "A bridge at Harbury fell."]


@Language.component("test_annotate_fragile")
def fragile(doc):
    if "fell" in doc.text:
        raise RuntimeError(f"cannot bear {doc.text}")
    return doc


class Batched:
    """A component that fails as a batch, and says nothing of the document."""

    def __call__(self, doc):
        return fragile(doc)

    def pipe(self, docs, batch_size):
        docs = list(docs)
        if any("fell" in doc.text for doc in docs):
            raise RuntimeError("somewhere in this batch")
        yield from docs


class Forgetful(Batched):
    """A component that loses a doc of a batch, as one does whose error handler logs and goes on."""

    def pipe(self, docs, batch_size):
        return (doc for doc in docs if "fell" not in doc.text)


@Language.factory("test_annotate_batched")
def make_batched(nlp, name):
    return Batched()


@Language.factory("test_annotate_forgetful")
def make_forgetful(nlp, name):
    return Forgetful()


@Language.component("test_annotate_none")
def returns_nothing(doc):
    return None if "fell" in doc.text else doc


@pytest.fixture
def make(tmp_path):
    def make(*components, **settings):
        nlp = spacy.blank("en")
        nlp.add_pipe("entity_ruler").add_patterns([{"label": "TOWN", "pattern": "Harbury"}])
        for name in components:
            nlp.add_pipe(name, name="last")
        nlp.to_disk(tmp_path / "nlp")
        return Annotator(
            AnnotatorSettings(pipeline=str(tmp_path / "nlp"), parts=DEFAULT_PARTS, **settings)
        )

    return make


def rows(texts=TEXTS):
    return [Row(f"d{i}", text, {"n": i}) for i, text in enumerate(texts)]


def records(found):
    return [one.record for one in found if one.record is not None]


def test_a_batch_of_rows_becomes_a_batch_of_records(make):
    found = make()(rows())
    assert [one.row.id for one in found] == [one.record["id"] for one in found]
    assert [len(one.record["ents"] or ()) for one in found] == [1, 1, 0, 0, 1]
    assert found[0].record["columns"] == {"n": 0} and found[0].record["text"] == TEXTS[0]
    assert [one.n_tokens for one in found] == [5, 4, 0, 1, 6]
    assert all(one.seconds >= 0 and one.fault is None for one in found)


@pytest.mark.parametrize(
    "component",
    [
        "test_annotate_fragile",
        "test_annotate_batched",
        "test_annotate_forgetful",
        "test_annotate_none",
    ],
)
def test_a_document_that_fails_costs_no_other_one(make, component):
    expected = records(make()(rows()))[:-1]
    found = make(component)(rows())
    assert records(found) == expected
    fault = found[-1].fault
    assert (fault.id, fault.component) == ("d4", "last")
    assert fault.error == ("ValueError" if component.endswith("none") else "RuntimeError")
    assert "bridge at Harbury" not in fault.message
    # In a batch of one, too.
    assert make(component)(rows()[4:])[0].fault.component == "last"


def test_the_tokenizer_may_fail(make):
    found = make(max_chars=10)(rows(["short", "this one is longer"]))
    assert found[0].fault is None
    assert (found[1].fault.component, found[1].fault.error) == ("tokenizer", "ValueError")


def test_annotations_that_cannot_be_written_are_a_fault(make, monkeypatch):
    def row_of(doc, row, **options):
        if row.id == "d1":
            raise ValueError("no such offsets")
        return {"id": row.id}

    monkeypatch.setattr("spacy_llm_tasks.annotate.writing.outputs.row_of", row_of)
    found = make()(rows())
    assert [one.row.id for one in found if one.fault] == ["d1"]
    assert found[1].fault.component == "output"


def test_no_limit_means_no_limit(make):
    assert make().nlp.max_length == sys.maxsize
    assert make(max_chars=70).nlp.max_length == 70


def test_docs_are_annotated_as_they_stand(make):
    annotator = make()
    doc = Doc(annotator.nlp.vocab, words=["Harbury", "is", "a", "town."], spaces=[1, 1, 1, 0])
    found = annotator([Row("a", doc.text, {}, doc.to_bytes())])[0]
    assert found.n_tokens == 4
    assert found.record["ents"][0]["label"] == "TOWN"


def test_only_settings_are_sent_to_other_processes(make):
    annotator = make()
    expected = records(annotator(rows()))
    sent = pickle.dumps(annotator)
    assert len(sent) < 1000
    assert records(pickle.loads(sent)(rows())) == expected


def test_words_are_forgotten_once_there_are_many(make, monkeypatch):
    texts = [[f"word{i}x{k} Harbury" for k in range(50)] for i in range(20)]
    annotator = make()
    expected = [records(annotator(rows(batch))) for batch in texts]
    grown = len(annotator.nlp.vocab.strings)
    monkeypatch.setattr(module, "KEPT_STRINGS", 100)
    annotator = make()
    before = len(annotator.nlp.vocab.strings)
    assert [records(annotator(rows(batch))) for batch in texts] == expected
    assert len(annotator.nlp.vocab.strings) <= before + 200 < grown
    assert not annotator.is_worn
    monkeypatch.setattr(module, "MOST_WORDS", 500)
    assert annotator.is_worn


def test_questions_need_somebody_to_ask(make):
    with pytest.raises(ValueError, match="trf_qa"):
        make(questions=("Where is it?",)).nlp  # noqa: B018


def test_there_is_an_embedding_only_of_our_component(make):
    assert make().embedding_width() is None
