import pytest
import spacy
from spacy.tokens import Doc, Span

from spacy_llm_tasks.search import entries_of, spans_of

NLP = spacy.blank("en")


def make_doc(*, sentences=True):
    words = ["Ida", "Moss", "left", ".", "\n\n", "She", "likes", "Ely", "."]
    spaces = [True, True, False, False, False, True, True, False, False]
    starts = [i in (0, 4, 5) for i in range(len(words))] if sentences else None
    doc = Doc(NLP.vocab, words=words, spaces=spaces, sent_starts=starts)
    doc.ents = [Span(doc, 0, 2, "PERSON"), Span(doc, 7, 8, "PLACE")]
    doc.cats = {"travel": 0.75}
    return doc


def test_a_doc_is_one_entry():
    doc = make_doc()
    (entry,) = entries_of(doc, "doc", doc_id="x", meta={"source": "letter"})
    assert (entry.id, entry.doc_id, entry.text) == ("x", "x", doc.text)
    assert (entry.start_char, entry.end_char) == (0, len(doc.text))
    assert entry.ents == (("PERSON", "Ida Moss"), ("PLACE", "Ely"))
    assert entry.cats == {"travel": 0.75} and entry.meta == {"source": "letter"}


@pytest.mark.parametrize(
    "unit, texts", [("sent", ["Ida Moss left.", "She likes Ely."]), ("ent", ["Ida Moss", "Ely"])]
)
def test_parts_stand_where_they_say(unit, texts):
    doc = make_doc()
    entries = entries_of(doc, unit, doc_id="x")
    assert [entry.text for entry in entries] == texts
    assert [doc.text[entry.start_char : entry.end_char] for entry in entries] == texts
    assert [span.text for span in spans_of(doc, unit)] == texts
    assert len({entry.id for entry in entries}) == 2
    assert entries[1].ents == (("PLACE", "Ely"),) and entries[1].cats == doc.cats


def test_ids():
    doc = make_doc()
    assert [e.id for e in entries_of(doc, "sent", doc_id="x")] == ["x:0-14", "x:16-30"]
    assert [e.id for e in entries_of(doc, "ent", doc_id="x")] == ["x:0-8:PERSON", "x:26-29:PLACE"]


@pytest.mark.parametrize("words, spaces", [([], []), ([" "], [False]), (["\n\n"], [False])])
def test_empty_and_blank_docs(words, spaces):
    doc = Doc(NLP.vocab, words=words, spaces=spaces, sent_starts=[True] * len(words))
    (entry,) = entries_of(doc, "doc", doc_id="x")
    assert entry.text == doc.text and entry.end_char == len(doc.text)
    assert entries_of(doc, "sent", doc_id="x") == entries_of(doc, "ent", doc_id="x") == []


def test_text_that_ends_in_a_space():
    doc = Doc(NLP.vocab, words=["Hello"], spaces=[True])
    (entry,) = entries_of(doc, "doc", doc_id="x")
    assert entry.text == "Hello " and entry.end_char == 6


def test_errors():
    with pytest.raises(ValueError, match="E611"):
        spans_of(make_doc(sentences=False), "sent")
    with pytest.raises(ValueError, match="E601"):
        spans_of(make_doc(), "page")
