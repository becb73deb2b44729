import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_llm_tasks.corpora.exact import Mark, exact_doc, set_marks
from spacy_llm_tasks.corpora.report import Report

NLP = spacy.blank("en")
TEXT = "The Kv1_like channel of Oban"


def place(marks, text=TEXT):
    report = Report("x.ann")
    doc, found = set_marks(NLP.make_doc(text), [Mark(*mark, 3) for mark in marks], report)
    return doc, [span and (span.text, span.label_) for span in found], report


def test_entities_stand_where_they_were_marked():
    doc, found, report = place([(24, 28, "PLACE"), (13, 20, "THING")])
    assert found == [("Oban", "PLACE"), ("channel", "THING")]
    assert [ent.text for ent in doc.ents] == ["channel", "Oban"]
    assert doc.has_annotation("ENT_IOB", require_complete=True)
    assert not report.unusable and not report.repaired


def test_tokens_are_cut_at_the_edges_of_entities_and_counted():
    whole = [token.text for token in NLP.make_doc(TEXT)]
    assert "Kv1" not in whole
    doc, found, report = place([(4, 7, "GENE"), (14, 17, "X")])
    assert found == [("Kv1", "GENE"), ("han", "X")]
    assert doc.text == TEXT and len(doc) == len(whole) + 3
    assert report.repaired == {"token cut where an entity begins or ends": 2}
    assert report.places["token cut where an entity begins or ends"][1] == "x.ann:3: channel"


def test_of_overlapping_entities_the_longest_is_kept():
    marks = [(13, 20, "A"), (4, 20, "B"), (4, 12, "C"), (24, 28, "D"), (24, 28, "E")]
    doc, found, report = place(marks)
    assert found == [None, ("Kv1_like channel", "B"), None, ("Oban", "D"), None]
    assert report.unusable == {"entity that overlaps a longer or earlier one": 3}
    # What was not kept cuts no token either.
    assert [token.text for token in place([(13, 20, "A"), (14, 17, "B")])[0]][-3] == "channel"


def test_the_same_entity_twice_is_one():
    doc, found, report = place([(24, 28, "A"), (24, 28, "A")])
    assert found == [("Oban", "A")] * 2 and len(doc.ents) == 1
    assert report.repaired == {"entity annotated twice (kept once)": 1} and not report.unusable


def test_white_space_at_the_ends_is_no_part_of_an_entity():
    doc, found, report = place([(1, 6, "A"), (2, 3, "B")], text="a  bc d")
    assert found == [("bc", "A"), None]
    assert report.repaired == {"entity with white space at its ends (trimmed)": 1}
    assert report.unusable == {"entity of white space": 1}


@pytest.mark.parametrize("start, end", [(-1, 3), (3, 3), (5, 4), (20, 29)])
def test_places_outside_the_text_are_counted(start, end):
    _, found, report = place([(start, end, "A")])
    assert found == [None] and report.unusable == {"entity outside the text or empty": 1}


@pytest.mark.parametrize(
    "text, reason", [("", "empty text"), (" \n", "empty text"), ("a \ud83d b", "text with half")]
)
def test_texts_that_no_doc_can_hold_are_counted(text, reason):
    report = Report("x")
    assert exact_doc(NLP, text, report, 1) is None
    assert next(iter(report.unusable)).startswith(reason)


def test_a_tokenizer_that_changes_the_text_is_noticed():
    nlp = spacy.blank("en")
    nlp.tokenizer = lambda text: spacy.tokens.Doc(nlp.vocab, words=text.split())
    report = Report("x")
    assert exact_doc(nlp, "one  two ", report, 4) is None
    assert report.places == {
        "text that the tokenizer changes (choose another --lang)": ["x:4: one  two "]
    }


TEXTS = st.text(alphabet="ab-. \n\u4e2d\u00e9\U0001f600'", min_size=1, max_size=30)


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=6))
def test_any_marks_give_exact_entities_or_are_counted(text, places):
    doc, found, report = place([(start, end, "A") for start, end in places], text=text)
    assert doc.text == text
    lost = 0
    for (start, end), span in zip(places, found, strict=True):
        lost += span is None
        assert span is None or span[0] == text[start:end].strip()
    assert lost == sum(report.unusable.values())
