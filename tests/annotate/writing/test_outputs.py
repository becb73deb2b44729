import errno
import json
import os

import numpy as np
import pytest
import spacy

from spacy_llm_tasks.annotate.reading.columns import Columns
from spacy_llm_tasks.annotate.reading.rows import Row
from spacy_llm_tasks.annotate.writing.outputs import (
    DEFAULT_PARTS,
    FORMATS,
    PARTS,
    open_writer,
    row_of,
)

from ..annotated import ANSWERS, TEXT, full_doc, row


def test_every_annotation_has_its_place():
    record = row_of(full_doc(), row(year=3), parts=PARTS, answers=ANSWERS)
    assert list(record) == ["id", "columns", *PARTS]
    assert (record["id"], record["columns"], record["text"]) == ("d1", {"year": 3}, TEXT)
    assert record["ents"] == [
        {"start": 0, "end": 3, "label": "PER", "score": 0.5, "kb_id": None},
        {"start": 8, "end": 11, "label": "PER", "score": 0.25, "kb_id": None},
        {"start": 15, "end": 19, "label": "LOC", "score": None, "kb_id": "Q220"},
    ]
    assert record["spans"] == [
        {"group": "sc", "start": 4, "end": 7, "label": "VERB", "score": 0.125}
    ]
    known, where = record["relations"]
    assert (known["head"], known["tail"], known["label"], known["score"]) == (1, 0, "KNOWS", 0.5)
    # An argument that is no entity has no index, and is placed all the same.
    assert (where["head"], where["tail"]) == (None, 2)
    assert (where["head_start"], where["head_end"]) == (4, 7)
    assert (where["tail_start"], where["tail_end"]) == (15, 19)
    assert record["cats"] == [
        {"label": "news", "score": 0.75},
        {"label": "sport", "score": 0.25},
    ]
    assert record["embedding"].tolist() == np.array([0.1, 2.0, -3.5], dtype="f4").tolist()
    assert record["answers"] == [
        {"question": "Who?", "text": "Ada", "start": 0, "end": 3, "score": 0.75},
        {"question": "When?", "text": "", "start": 0, "end": 0, "score": 0.5},
    ]
    assert record["sents"] == [{"start": 0, "end": 20}, {"start": 21, "end": 31}]
    assert record["tokens"][0] == {
        "start": 0,
        "end": 3,
        "lemma": "Ada",
        "pos": "PROPN",
        "tag": "NNP",
        "morph": "Number=Sing",
        "dep": None,
        "head": None,
    }
    for ent in record["ents"]:
        assert TEXT[ent["start"] : ent["end"]] in ("Ada", "Bob", "Rome")


def test_not_annotated_and_nothing_found_differ():
    nlp = spacy.blank("en")
    parts = set(PARTS) - {"text", "tokens", "doc"}
    record = row_of(nlp("Nothing here."), row(), parts=parts)
    assert {part: record[part] for part in parts} == dict.fromkeys(parts)
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "X", "pattern": "there"}])
    assert row_of(nlp("Nothing here."), row())["ents"] == []
    assert list(row_of(nlp(""), row())) == ["id", "columns", *DEFAULT_PARTS]


def test_what_is_unknown_is_refused(tmp_path):
    with pytest.raises(ValueError, match="E806.*format.*parquet, jsonl, spacy.*xml"):
        open_writer("xml", tmp_path / "x", columns=Columns())
    with pytest.raises(ValueError, match="E806.*parts.*'entities'"):
        open_writer("jsonl", tmp_path / "x", columns=Columns(), parts=["entities"])
    with pytest.raises(ValueError, match="E810.*'doc'"):
        open_writer("spacy", tmp_path / "x", columns=Columns())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", FORMATS)
def test_bytes_depend_on_the_rows_and_nothing_else(tmp_path, format):
    found = []
    for name, size in (("a", 1), ("b", 7), ("c", 30)):
        nlp = spacy.blank("en")
        nlp.vocab.strings.add(f"seen by {name} only")
        records = [
            row_of(full_doc(nlp), row(f"d{i}", n=i), parts=PARTS, answers=ANSWERS)
            for i in range(30)
        ]
        with open_writer(format, tmp_path / name, columns=Columns(), parts=PARTS) as writer:
            for start in range(0, 30, size):
                writer.write(records[start : start + size])
        found.append((tmp_path / name).read_bytes())
    assert found[0] == found[1] == found[2] and len(found[0]) > 100


@pytest.mark.parametrize("format", FORMATS)
def test_ids_are_never_paths(tmp_path, format):
    folder = tmp_path / "out"
    folder.mkdir()
    before = set(os.listdir(tmp_path))
    with open_writer(format, folder / "shard", columns=Columns(), parts=PARTS) as writer:
        for id in ("../../escaped", "/etc/escaped", "a/b\x00c", "..\\escaped", "\u202egnp.txt"):
            name = {"../escaped": "../escaped"}
            writer.write([row_of(full_doc(), Row(id, TEXT, name), parts=PARTS)])
    assert os.listdir(folder) == ["shard"] and set(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("format", FORMATS)
def test_an_error_on_the_way_leaves_no_whole_file(tmp_path, format):
    path = tmp_path / "shard"
    with pytest.raises(RuntimeError):
        with open_writer(format, path, columns=Columns(), parts=PARTS) as writer:
            writer.write([row_of(full_doc(), row(), parts=PARTS)])
            raise RuntimeError
    assert writer.file.closed
    with open_writer(format, tmp_path / "good", columns=Columns(), parts=PARTS) as writer:
        writer.write([row_of(full_doc(), row(), parts=PARTS)])
    if format != "jsonl":  # whose lines are whole each for itself
        assert path.stat().st_size < (tmp_path / "good").stat().st_size


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
@pytest.mark.parametrize("format", FORMATS)
def test_a_full_disk_is_an_error_of_the_system(format):
    with pytest.raises(OSError) as caught:
        with open_writer(format, "/dev/full", columns=Columns(), parts=PARTS) as writer:
            for i in range(200):
                writer.write([row_of(full_doc(), row(f"d{i}"), parts=PARTS)])
    assert caught.value.errno == errno.ENOSPC
    with open_writer("jsonl", os.devnull, columns=Columns()) as writer:
        writer.write([row_of(full_doc(), row())])


def test_a_row_is_plain():
    record = row_of(full_doc(), row(), answers=ANSWERS)
    record["embedding"] = record["embedding"].tolist()
    assert json.loads(json.dumps(record)) == record
