import json

import numpy as np
import pytest
import spacy

from spacy_llm_tasks import annotations
from spacy_llm_tasks.annotate.reading.columns import Columns
from spacy_llm_tasks.annotate.reading.rows import Row
from spacy_llm_tasks.annotate.writing.outputs import open_writer, row_of
from spacy_llm_tasks.corpora.jsonl import read_jsonl
from spacy_llm_tasks.corpora.reader import make_corpus
from spacy_llm_tasks.corpora.report import Report

from ...annotated import ANSWERS, TEXT, full_doc, row


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "shard.jsonl"
    with open_writer("jsonl", path, columns=Columns()) as writer:
        carried = row(year=3, ents=[], score=float("nan"), name="é\u2028")
        writer.write([row_of(full_doc(), carried, answers=ANSWERS)])
        writer.write([row_of(spacy.blank("en")("Plain."), Row("d2", "Plain."))])
    return path


def test_an_object_a_line(path):
    first, second = path.read_bytes().splitlines()
    assert json.loads(second) == {"id": "d2", "text": "Plain."}
    record = json.loads(first)
    assert list(record)[:2] == ["id", "text"]
    assert record["ents"] == [[0, 3, "PER"], [8, 11, "PER"], [15, 19, "LOC"]]
    assert record["ent_scores"] == [0.5, 0.25, None]
    assert record["cats"] == {"news": 0.75, "sport": 0.25}
    # As short as numbers of 32 bits can be written, and the same when they are read as such.
    assert b'"embedding": [0.1, 2.0, -3.5]' in first
    assert np.array(record["embedding"], "f4").tolist() == np.array([0.1, 2, -3.5], "f4").tolist()
    assert [answer["text"] for answer in record["answers"]] == ["Ada", ""]
    carried = {name: record[name] for name in ("year", "input_ents", "score", "name")}
    assert carried == {"year": 3, "input_ents": [], "score": None, "name": "é\u2028"}
    assert "é\u2028".encode() in first


def test_the_project_reads_it_back(path):
    nlp, report = spacy.blank("en"), Report(path)
    first, second = read_jsonl(path, nlp, report)
    assert first.text == TEXT and second.text == "Plain."
    assert [(ent.start_char, ent.label_) for ent in first.ents] == [
        (0, "PER"),
        (8, "PER"),
        (15, "LOC"),
    ]
    assert not second.has_annotation("ENT_IOB")
    assert first.cats == {"news": 0.75, "sport": 0.25}
    (relation,) = annotations.get_relations(first)
    assert (relation.head.text, relation.label, relation.tail.text) == ("Bob", "KNOWS", "Ada")
    # Only the relation between words that are no entities has no form there.
    assert dict(report.unusable) == {"relation that is not {head, tail, label}": 1}
    with pytest.warns(UserWarning, match="W301"):
        assert len(list(make_corpus(path)(nlp))) == 2


def test_parts_that_nobody_asked_for(tmp_path):
    parts = ["ents"]
    with open_writer("jsonl", tmp_path / "x", columns=Columns(), parts=parts) as writer:
        writer.write([row_of(full_doc(), row(), parts=parts)])
    assert list(json.loads((tmp_path / "x").read_text())) == ["id", "ents", "ent_scores"]
