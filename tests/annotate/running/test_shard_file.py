import errno
import multiprocessing
from dataclasses import replace

import numpy as np
import pytest
import spacy
from spacy.language import Language

from spacy_llm_tasks import annotations
from spacy_llm_tasks.annotate.annotator import Annotator, AnnotatorSettings
from spacy_llm_tasks.annotate.reading.columns import Columns
from spacy_llm_tasks.annotate.reading.inputs import InputFile, ReadSettings, read_rows
from spacy_llm_tasks.annotate.reading.rows import Row
from spacy_llm_tasks.annotate.reading.shards import Cut, Place, Shard
from spacy_llm_tasks.annotate.running import shard_file
from spacy_llm_tasks.annotate.running.beat import Beat
from spacy_llm_tasks.annotate.running.shard_file import OutputSettings, ShardWriter, Task
from spacy_llm_tasks.annotate.writing.faults import Fault
from spacy_llm_tasks.annotate.writing.formats.json_lines import JsonLinesWriter
from spacy_llm_tasks.annotate.writing.outputs import DEFAULT_PARTS

ROWS = [Row(f"d{i}", f"Harbury has {i} bridges.", {"n": i}) for i in range(10)]
SHARD = Shard(3, Place(0, 30), Place(0, 40), ROWS, [])


class Recorder(Beat):
    """Keeps all positions."""

    def __init__(self, numbers):
        super().__init__(numbers)
        self.seen = []

    def set(self, **position):
        super().set(**position)
        found = self.get()
        self.seen.append((found.batch, found.row, found.rows_done))


@pytest.fixture
def writer(tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "TOWN", "pattern": "Harbury"}])
    nlp.to_disk(tmp_path / "nlp")
    for name in ("out", "temporary"):
        (tmp_path / name).mkdir()
    settings = OutputSettings(
        folder=str(tmp_path / "out"),
        temporary=str(tmp_path / "temporary"),
        format="jsonl",
        columns=Columns().to_dict(),
        cut=Cut(batch_rows=4),
    )
    annotator = Annotator(AnnotatorSettings(pipeline=str(tmp_path / "nlp"), parts=DEFAULT_PARTS))
    beat = Recorder.shared(multiprocessing.get_context("spawn"))
    return ShardWriter(annotator, settings, beat)


def files(tmp_path):
    return sorted(p.name for name in ("out", "temporary") for p in (tmp_path / name).iterdir())


def test_a_shard_becomes_a_file(writer, tmp_path):
    done = writer.write(Task.of(SHARD))
    assert files(tmp_path) == ["part-00003.jsonl"] == [done.part]
    lines = (tmp_path / "out" / done.part).read_text("utf8").splitlines()
    assert done.written == len(lines) == 10 and done.faults == []
    assert done.n_bytes == (tmp_path / "out" / done.part).stat().st_size
    assert (done.start, done.end) == (SHARD.start, SHARD.end)
    assert done.summary["ents"] == {"TOWN": 10} and done.summary["tokens"] == 50
    assert writer.beat.seen == [
        (0, -1, 0),
        (-1, -1, 4),
        (1, -1, 4),
        (-1, -1, 8),
        (2, -1, 8),
        (-1, -1, 10),
    ]


def test_the_same_bytes_again(writer, tmp_path):
    first = (tmp_path / "out" / writer.write(Task.of(SHARD)).part).read_bytes()
    again = writer.write(Task.of(SHARD, alone=frozenset({1, 2})))
    assert (tmp_path / "out" / again.part).read_bytes() == first
    assert (1, 5, 4) in writer.beat.seen and (2, 9, 8) in writer.beat.seen


def test_rows_that_are_left_out_are_faults_in_their_place(writer, tmp_path):
    faults = {i: Fault.of(ROWS[i], "worker", "died", "") for i in (1, 9, 8)}
    done = writer.write(Task.of(SHARD, faults=faults))
    assert [fault["id"] for fault in done.faults] == ["d1", "d8", "d9"] and done.written == 7
    assert (2, -1, 8) not in writer.beat.seen  # a batch of none of which is left


def test_a_probe_goes_through_one_batch_and_writes_nothing(writer, tmp_path):
    faults = {5: Fault.of(ROWS[5], "worker", "died", "")}
    writer.probe(Task.of(SHARD, probe=1, faults=faults))
    assert [(batch, row) for batch, row, _ in writer.beat.seen] == [
        (1, 4),
        (1, 6),
        (1, 7),
        (-1, -1),
    ]
    assert files(tmp_path) == []


class Odd:
    """Annotates what cannot be written, where a document asks for it."""

    def __call__(self, doc):
        doc.cats["label"] = 1.0
        if "surrogate" in doc.text:
            doc.cats["secret \ud800"] = 1.0
        if "wide" in doc.text:
            annotations.set_embedding(doc, np.zeros(5, dtype="f4"))
        if "narrow" in doc.text:
            annotations.set_embedding(doc, np.zeros(3, dtype="f4"))
        return doc


@pytest.mark.parametrize("format", ["parquet", "jsonl", "spacy"])
def test_what_cannot_be_written_concerns_one_document(writer, tmp_path, format):
    texts = ["one", "a surrogate", "two narrow", "three", "four", "five", "a surrogate, too"]
    rows = [Row(f"d{i}", text) for i, text in enumerate(texts)]
    shard = Shard(0, Place(0, 0), Place(0, len(rows)), rows, [])
    Language.component("odd", func=Odd())
    writer.annotator.nlp.add_pipe("odd")
    writer.settings = replace(writer.settings, format=format)
    if format == "spacy":
        writer.annotator.settings = replace(
            writer.annotator.settings, parts=(*DEFAULT_PARTS, "doc")
        )
    done = writer.write(Task.of(shard))
    assert done.written == 5 and done.summary["documents"] == 5
    assert [(f["id"], f["component"], f["error"]) for f in done.faults] == [
        ("d1", "output", "UnicodeEncodeError"),
        ("d6", "output", "UnicodeEncodeError"),
    ]
    assert all("E814" in f["message"] and "secret" not in f["message"] for f in done.faults)
    assert done.summary["cats"] == {"label": 5}
    path = tmp_path / "out" / done.part
    found = InputFile(done.part, str(path), format)
    written = list(read_rows(found, ReadSettings()))
    assert [row.id for row in written] == ["d0", "d2", "d3", "d4", "d5"]
    # Nothing else depends on what was left out.
    kept = Shard(0, Place(0, 0), Place(0, 5), [row for row in rows if "sur" not in row.text], [])
    before = path.read_bytes()
    writer.settings = replace(writer.settings, cut=Cut())
    writer.write(Task.of(kept))
    assert path.read_bytes() == before


def test_an_embedding_of_another_width_concerns_one_document(writer, tmp_path):
    rows = [Row(f"d{i}", text) for i, text in enumerate(["narrow", "wide", "narrow", "none"])]
    Language.component("odd", func=Odd())
    writer.annotator.nlp.add_pipe("odd")
    writer.settings = replace(writer.settings, format="parquet")
    writer._width = 3
    done = writer.write(Task.of(Shard(0, Place(0, 0), Place(0, 4), rows, [])))
    (fault,) = done.faults
    assert (fault["id"], fault["component"], done.written) == ("d1", "output", 3)
    assert "E807" in fault["message"] and "5 numbers" in fault["message"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_is_no_documents_fault(writer, tmp_path, monkeypatch, number):
    def full(self, records):
        raise OSError(number, "no space")

    monkeypatch.setattr(JsonLinesWriter, "write", full)
    with pytest.raises(OSError):
        writer.write(Task.of(SHARD))
    assert files(tmp_path) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_nothing_half_written_is_left(writer, tmp_path, monkeypatch, number):
    def full(path):
        raise OSError(number, "no space")

    monkeypatch.setattr(shard_file, "sync", full)
    with pytest.raises(OSError):
        writer.write(Task.of(SHARD))
    assert files(tmp_path) == []


def test_rows_arrive_as_they_were_sent():
    rows = [replace(ROWS[0], mended=True, file="a", number=3, doc=b"1")]
    sent = Task.of(Shard(0, Place(0, 0), Place(0, 1), rows, []))
    assert [Row(*values) for values in sent.rows] == rows
