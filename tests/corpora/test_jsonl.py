import json

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.vocab import Vocab

from spacy_llm_tasks import annotations
from spacy_llm_tasks.corpora.files import read_docs, write_docs
from spacy_llm_tasks.corpora.jsonl import doc_to_record, jsonl_lines, read_jsonl, record_to_doc
from spacy_llm_tasks.corpora.report import Report

NLP = spacy.blank("en")
TEXT = "Nora Quill runs Tidewell Pumps in Oban."
FULL = {
    "text": TEXT,
    "ents": [[0, 10, "PERSON"], [16, 30, "ORG"], [34, 38, "GPE"]],
    "relations": [{"head": 0, "tail": 1, "label": "WORKS_FOR"}],
    "cats": {"news": 1.0, "sport": 0.25},
    "questions": [
        {"id": "a", "question": "Who?", "answers": [{"text": "Nora Quill", "start": 0}]},
        {"id": "b", "question": "Why?", "answers": []},
    ],
    "pair": {"text": "Oban makes pumps.", "score": 0.4},
}


def convert(record, **options):
    report = Report("x.jsonl")
    return record_to_doc(record, NLP, report, 7, **options), report


def back(doc, **options):
    report = Report("x.spacy")
    record = doc_to_record(doc, report, 1, **options)
    return record, report


def test_a_full_record_comes_back(tmp_path):
    doc, report = convert(FULL)
    assert not report.unusable and back(doc)[0] == FULL
    write_docs(tmp_path / "x.spacy", [doc])
    stored = next(read_docs(tmp_path / "x.spacy", NLP.vocab))
    assert back(stored)[0] == FULL


def test_negatives_of_a_pair_come_back(tmp_path):
    pair = {"text": "Oban makes pumps.", "score": 1.0, "negatives": ["Oban sells.", "Oban?"]}
    doc, report = convert({"text": TEXT, "pair": pair})
    assert not report.unusable and doc._.pair.negatives == ("Oban sells.", "Oban?")
    write_docs(tmp_path / "x.spacy", [doc])
    stored = next(read_docs(tmp_path / "x.spacy", NLP.vocab))
    assert stored._.pair == doc._.pair and back(stored)[0]["pair"] == pair
    for none in (None, []):
        doc, report = convert({"text": TEXT, "pair": {**FULL["pair"], "negatives": none}})
        assert not report.unusable and back(doc)[0]["pair"] == FULL["pair"]
    doc, _ = convert({"text": TEXT, "pair": {**pair, "negatives": ["", 3, "Oban?"]}})
    assert doc._.pair.negatives == ("Oban?",)  # what is usable of it is kept


def test_absent_keys_mean_not_annotated():
    doc, _ = convert({"text": TEXT})
    assert not doc.has_annotation("ENT_IOB") and doc.cats == {}
    assert not annotations.has_relations(doc) and not annotations.has_questions(doc)
    assert back(doc)[0] == {"text": TEXT}
    empty = {"text": TEXT, "ents": [], "relations": [], "questions": []}
    doc, _ = convert(empty)
    assert doc.has_annotation("ENT_IOB", require_complete=True)
    assert back(doc)[0] == empty
    assert back(convert({"text": TEXT, "ents": None})[0])[0] == {"text": TEXT}


@pytest.mark.parametrize("align, text", [("expand", "Tidewell Pumps"), ("contract", "Tidewell")])
def test_entities_off_the_tokens_are_moved_and_counted(align, text):
    doc, report = convert({"text": TEXT, "ents": [[16, 27, "ORG"]]}, align=align)
    assert [ent.text for ent in doc.ents] == [text]
    kind = f"entity off the token boundaries ({align}ed)"
    assert report.repaired == {kind: 1}
    assert report.places[kind] == ["x.jsonl:7: ORG 'Tidewell Pu' at 16-27"]


def test_entities_off_the_tokens_are_left_out_as_missing():
    record = {
        "text": TEXT,
        "ents": [[0, 10, "PERSON"], [16, 27, "ORG"]],
        "relations": [{"head": 0, "tail": 1, "label": "X"}],
    }
    doc, report = convert(record)
    assert [ent.text for ent in doc.ents] == ["Nora Quill"]
    assert [token.text for token in doc if token.ent_iob_ == ""] == ["Tidewell", "Pumps"]
    assert report.unusable == {
        "entity off the token boundaries": 1,
        "relation whose entity was unusable": 1,
    }
    assert back(doc)[1].repaired  # says that the form cannot hold the missing part
    _, report = convert({"text": TEXT, "ents": [[17, 22, "X"]]}, align="contract")
    assert report.unusable == {"entity off the token boundaries": 1}


def test_overlapping_entities_go_to_spans_or_are_counted():
    record = {"text": TEXT, "ents": [[16, 30, "ORG"], [16, 24, "NAME"], [16, 30, "X"]]}
    doc, report = convert(record)
    assert [ent.label_ for ent in doc.ents] == ["ORG"]
    assert report.unusable == {"entity that overlaps a longer or earlier one": 2}
    doc, report = convert(record, spans_key="all")
    assert not report.unusable and not doc.has_annotation("ENT_IOB")
    assert back(doc, spans_key="all")[0] == record


def test_relations_follow_their_entities_in_any_order():
    record = {
        "text": TEXT,
        "ents": [[34, 38, "GPE"], [16, 30, "ORG"]],
        "relations": [{"head": 1, "tail": 0, "label": "BASED_IN"}],
    }
    found, _ = back(convert(record)[0])
    assert found["ents"] == [[16, 30, "ORG"], [34, 38, "GPE"]]
    assert found["relations"] == [{"head": 0, "tail": 1, "label": "BASED_IN"}]


def test_a_relation_without_its_entity_cannot_be_written():
    doc, _ = convert(FULL)
    doc.ents = doc.ents[1:]
    found, report = back(doc)
    assert found["relations"] == []
    assert report.unusable == {"relation whose argument is no entity": 1}


@pytest.mark.parametrize(
    "key, value, reason",
    [
        ("ents", "x", "'ents' that is no list"),
        ("ents", [[0, 4]], "entity that is not [start, end, label]"),
        ("ents", [[0, True, "X"]], "entity that is not [start, end, label]"),
        ("ents", [[0, 4, ""]], "entity that is not [start, end, label]"),
        ("ents", [[4, 4, "X"]], "entity outside the text or empty"),
        ("ents", [[30, 99, "X"]], "entity outside the text or empty"),
        ("ents", [[-4, 4, "X"]], "entity outside the text or empty"),
        ("relations", {}, "'relations' that is no list"),
        ("relations", [{"head": 0}], "relation that is not {head, tail, label}"),
        ("relations", [{"head": 0, "tail": 3, "label": "X"}], "relation whose index has no entity"),
        (
            "relations",
            [{"head": -1, "tail": 0, "label": "X"}],
            "relation whose index has no entity",
        ),
        ("cats", ["x"], "'cats' that is no object"),
        ("cats", {"x": 2}, "category whose value is not between 0 and 1"),
        ("cats", {"x": float("nan")}, "category whose value is not between 0 and 1"),
        ("questions", 1, "'questions' that is no list"),
        ("questions", [{"question": " "}], "question that is not {id, question, answers}"),
        ("pair", {"text": "x", "score": 3}, "pair that is not {text, score between 0 and 1}"),
        ("pair", {"score": 1}, "pair that is not {text, score between 0 and 1}"),
        ("pair", [], "pair that is not {text, score between 0 and 1}"),
        ("pair", {"text": "x", "score": 1, "negatives": "y"}, "negatives of a pair that are no"),
        ("pair", {"text": "x", "score": 1, "negatives": ["y", ""]}, "negative of a pair that is"),
    ],
)
def test_values_of_the_wrong_form_are_counted(key, value, reason):
    _, report = convert({**FULL, key: value})
    assert any(found.startswith(reason) for found in report.unusable), report.unusable


HALF = "\ud83d"


@pytest.mark.parametrize(
    "key, value, item",
    [
        ("text", TEXT + HALF, "text"),
        ("ents", [[0, 4, HALF]], "entity"),
        ("relations", [{"head": 0, "tail": 1, "label": HALF}], "relation"),
        ("cats", {HALF: 1.0}, "category"),
        ("questions", [{"question": f"Who{HALF}?", "answers": []}], "question"),
        ("questions", [{"id": HALF, "question": "Who?", "answers": []}], "question"),
        ("pair", {"text": HALF, "score": 1}, "pair"),
        ("pair", {"text": "x", "score": 1, "negatives": [HALF]}, "negative of a pair"),
        ("other", {HALF: HALF}, None),
    ],
)
def test_half_a_surrogate_pair_costs_only_what_has_it(tmp_path, key, value, item):
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(json.dumps(r) for r in (FULL, {**FULL, key: value})))
    report = Report(path)
    docs = list(read_jsonl(path, NLP, report))
    assert len(docs) == (1 if key == "text" else 2) and back(docs[0])[0] == FULL
    write_docs(tmp_path / "x.spacy", docs)
    if item is not None:
        reason = f"{item} with half a surrogate pair"
        assert report.unusable[reason] == 1
        assert report.places[reason][0].startswith(f"{path}:2: ")
    "".join(line for places in report.places.values() for line in places).encode("utf-8")


def test_lines_without_a_text_are_shown_whatever_is_in_them():
    _, report = convert({"body": HALF})
    assert report.places["line without a text"] == ['x.jsonl:7: {"body": "\\ud83d"}']


def test_answers_must_stand_where_they_say():
    asked = {"id": 5, "question": "Who?"}
    questions = [
        {**asked, "answers": [{"text": "Nora", "start": 1}]},
        {**asked, "answers": [{"text": "Nora", "start": 0}, {"text": "x"}]},
        {"question": "Where?", "answers": []},
    ]
    doc, report = convert({"text": TEXT, "questions": questions})
    assert [(q.id, len(q.answers)) for q in doc._.questions] == [("5", 1), ("7-2", 0)]
    assert report.unusable == {
        "answer that does not stand at its start": 1,
        "answer that is not {text, start}": 1,
        "question with no usable answer": 1,
    }


def test_lines_are_read_and_broken_ones_placed(tmp_path):
    path = tmp_path / "x.jsonl"
    lines = [
        json.dumps(FULL),
        "",
        "{broken",
        "[]",
        '{"text": ""}',
        '{"text": "a\u2028b", "meta": 1}',
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    report = Report(path)
    docs = list(read_jsonl(path, NLP, report))
    assert [doc.text for doc in docs] == [TEXT, "a\u2028b"]
    assert report.unusable == {"line that is no JSON": 1, "line without a text": 1, "empty text": 1}
    assert report.places["line that is no JSON"][0].startswith(f"{path}:3: ")
    assert report.skipped == {"key 'meta'": 1}
    with pytest.raises(ValueError, match="E313"):
        list(read_jsonl(path, NLP, report, align="loose"))


# Words that the tokenizer leaves whole, so that any choice of words aligns.
WORDS = st.lists(
    st.sampled_from(["pump", "\u00e9t\u00e9", "\U0001f600", "Oban", "\u4e2d"]),
    min_size=1,
    max_size=10,
)


@st.composite
def records(draw):
    words = draw(WORDS)
    starts = [sum(len(word) + 1 for word in words[:i]) for i in range(len(words))]
    text = " ".join(words)
    record = {"text": text}
    ents, at = [], 0
    while at < len(words):
        stop = draw(st.integers(at + 1, len(words)))
        if draw(st.booleans()):
            end = starts[stop - 1] + len(words[stop - 1])
            ents.append([starts[at], end, draw(st.sampled_from(["A", "B-C", "d e"]))])
        at = stop
    if draw(st.booleans()):
        record["ents"] = ents
        if draw(st.booleans()):
            index = st.integers(0, max(0, len(ents) - 1))
            arcs = (
                draw(st.lists(st.tuples(index, index, st.sampled_from("XY")), max_size=4))
                if ents
                else []
            )
            record["relations"] = [{"head": h, "tail": t, "label": label} for h, t, label in arcs]
    cats = draw(st.dictionaries(st.sampled_from(["x", "y", "\u4e2d"]), st.floats(0, 1), max_size=3))
    if cats:
        record["cats"] = cats
    if draw(st.booleans()):
        spans = st.tuples(st.integers(0, len(text) - 1), st.integers(1, 6))
        record["questions"] = [
            {
                "id": f"q{i}",
                "question": "What?",
                "answers": [
                    {"text": text[s : s + n], "start": s}
                    for s, n in draw(st.lists(spans, max_size=3))
                ],
            }
            for i in range(draw(st.integers(0, 3)))
        ]
    if draw(st.booleans()):
        record["pair"] = {"text": "another", "score": draw(st.floats(0, 1))}
    return record


@settings(max_examples=150, deadline=None)
@given(st.lists(records(), min_size=1, max_size=3))
def test_any_facts_survive_the_way_to_docbin_and_back(tmp_path_factory, wanted):
    path = tmp_path_factory.mktemp("docs") / "x.spacy"
    report = Report("x.jsonl")
    docs = [record_to_doc(record, NLP, report, 1) for record in wanted]
    assert not report.unusable and not report.repaired
    write_docs(path, docs)
    lines = jsonl_lines(read_docs(path, Vocab()), report)
    assert [json.loads(line) for line in lines] == wanted
    assert not report.unusable and not report.repaired
