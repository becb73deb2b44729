import copy
import json

import pytest
import spacy

from spacy_llm_tasks import annotations
from spacy_llm_tasks.corpora.annotation_tool import (
    looks_like_annotation_tool,
    read_annotation_tool,
)
from spacy_llm_tasks.corpora.report import Report

TEXT = "Kv1-gate  binds Moss A."
# (text, start, whether a space follows)
TOKENS = [
    ("Kv1", 0, False),
    ("-", 3, False),
    ("gate", 4, True),
    (" ", 9, False),
    ("binds", 10, True),
    ("Moss", 16, True),
    ("A", 21, False),
    (".", 22, False),
]
HEAD = {"start": 0, "end": 8, "token_start": 0, "token_end": 2, "label": "GENE"}
CHILD = {"start": 16, "end": 22, "token_start": 5, "token_end": 6, "label": "PLANT"}
GOOD = {
    "text": TEXT,
    "_task_hash": 7,
    "meta": {"source": "invented"},
    "answer": "accept",
    "tokens": [
        {"text": text, "start": start, "end": start + len(text), "id": i, "ws": ws}
        for i, (text, start, ws) in enumerate(TOKENS)
    ],
    "spans": [{**HEAD, "text": "Kv1-gate"}, CHILD],
    # As tools write it: the span of a relation that starts at token 0 has a wrong first token.
    "relations": [
        {
            "head": 2,
            "child": 6,
            "head_span": {**HEAD, "token_start": 2},
            "child_span": CHILD,
            "label": "Binds",
        }
    ],
}


@pytest.fixture
def read(tmp_path):
    nlp = spacy.blank("en")

    def run(*records):
        path = tmp_path / "x.jsonl"
        path.write_text("\n\n".join(json.dumps(record) for record in records), encoding="utf-8")
        report = Report(path)
        return list(read_annotation_tool(path, nlp, report)), report

    return run


def changed(*path, **values):
    record = copy.deepcopy(GOOD)
    item = record
    for key in path:
        item = item[key]
    item.update(values)
    return {key: value for key, value in record.items() if value is not None}


def facts(doc):
    return [(r.head.text, r.label, r.tail.text) for r in doc._.relations]


def test_tokens_spaces_entities_and_relations(read):
    docs, report = read(GOOD)
    assert docs[0].text == TEXT
    assert [(token.text, bool(token.whitespace_)) for token in docs[0]] == [
        (text, ws) for text, _, ws in TOKENS
    ]
    assert [(ent.text, ent.label_) for ent in docs[0].ents] == [
        ("Kv1-gate", "GENE"),
        ("Moss A", "PLANT"),
    ]
    assert facts(docs[0]) == [("Kv1-gate", "Binds", "Moss A")]
    assert not report.unusable and not report.repaired and not report.skipped


def test_spaces_are_read_off_the_text_where_tokens_do_not_tell(read):
    record = changed()
    for token in record["tokens"]:
        del token["ws"]
    docs, report = read(record)
    assert docs[0].text == TEXT and len(docs[0]) == len(TOKENS) and not report.repaired


def test_relations_by_last_tokens_and_spans_by_tokens(read):
    record = changed()
    for name in ("head_span", "child_span"):
        del record["relations"][0][name]
    for span in record["spans"]:
        del span["start"], span["end"]
    docs, report = read(record)
    assert facts(docs[0]) == [("Kv1-gate", "Binds", "Moss A")] and not report.unusable


def test_texts_without_tokens_are_tokenized(read):
    docs, report = read(changed(tokens=None))
    assert facts(docs[0]) == [("Kv1-gate", "Binds", "Moss A")] and not report.unusable
    docs, report = read(changed("tokens", 0, text="Kv2"))
    assert facts(docs[0]) == [("Kv1-gate", "Binds", "Moss A")]
    assert report.repaired["tokens that do not make up the text (tokenized anew)"] == 1


def test_absent_keys_mean_not_annotated(read):
    docs, _ = read(changed(relations=None), changed(spans=None, relations=None))
    assert len(docs[0].ents) == 2 and not annotations.has_relations(docs[0])
    assert not docs[1].has_annotation("ENT_IOB")
    docs, _ = read(changed(spans=[], relations=[]))
    assert docs[0].has_annotation("ENT_IOB") and annotations.has_relations(docs[0])


def test_examples_that_were_not_accepted_are_skipped(read):
    docs, report = read(changed(answer="reject"), changed(answer="ignore"), GOOD)
    assert len(docs) == 1
    assert report.skipped == {
        "example with the answer 'reject'": 1,
        "example with the answer 'ignore'": 1,
    }


def test_overlapping_entities_take_their_relations_along(read):
    wider = {**HEAD, "end": 15, "token_end": 4, "label": "EVENT"}
    docs, report = read(changed(spans=[HEAD, CHILD, wider]))
    assert [ent.label_ for ent in docs[0].ents] == ["EVENT", "PLANT"] and facts(docs[0]) == []
    assert report.unusable == {
        "entity that overlaps a longer or earlier one": 1,
        "relation whose entity was unusable": 1,
    }


@pytest.mark.parametrize(
    "record, reason",
    [
        (["x"], "line without a text"),
        (changed(text=""), "empty text"),
        (changed(spans={}), "'spans' that is no list"),
        (changed(relations={}), "'relations' that is no list"),
        (changed("spans", 1, label=""), "span that is not {start, end, label}"),
        (changed("spans", 1, label="\ud83d"), "span with half a surrogate pair"),
        (changed("relations", 0, label="\ud83d"), "relation with half a surrogate pair"),
        (changed("spans", 1, start=None, token_start=9), "span that is not {start, end, label}"),
        (changed(spans=[HEAD, 3]), "span that is not {start, end, label}"),
        (changed("spans", 0, text="Kv2"), "span whose text does not stand at its place"),
        (changed("spans", 1, end=99), "entity outside the text or empty"),
        (changed("relations", 0, label=None), "relation that is not {head, child, label}"),
        (changed("relations", 0, head_span={"start": 4}), "relation whose argument is no entity"),
        (changed("relations", 0, child_span={**CHILD, "label": "X"}), "relation whose argument"),
        (changed("relations", 0, child_span=None, child=4), "relation whose argument is no entity"),
        (changed("relations", 0, child_span=None, child=True), "relation whose argument"),
    ],
)
def test_values_of_the_wrong_form_are_counted_with_their_line(read, record, reason):
    _, report = read(GOOD, record)
    found = next(name for name in report.unusable if name.startswith(reason))
    assert "x.jsonl:3" in report.places[found][0]


def test_lines_that_are_no_json_and_unknown_keys(read, tmp_path):
    (tmp_path / "y.jsonl").write_text("{x\n" + json.dumps({**GOOD, "options": []}))
    report = Report(tmp_path / "y.jsonl")
    docs = list(read_annotation_tool(tmp_path / "y.jsonl", spacy.blank("en"), report))
    assert len(docs) == 1 and report.unusable == {"line that is no JSON": 1}
    assert report.skipped == {"key 'options'": 1}


def test_detection():
    assert looks_like_annotation_tool(json.dumps(GOOD) + "\n")
    assert not looks_like_annotation_tool(json.dumps({"text": TEXT, "ents": []}))
    assert not looks_like_annotation_tool(json.dumps({**GOOD, "ents": []}))
    assert not looks_like_annotation_tool("[1]\n") and not looks_like_annotation_tool("no")
