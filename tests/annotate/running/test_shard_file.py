import errno
import multiprocessing
from dataclasses import replace

import pytest
import spacy

from spacy_llm_tasks.annotate.annotator import Annotator, AnnotatorSettings
from spacy_llm_tasks.annotate.reading.columns import Columns
from spacy_llm_tasks.annotate.reading.rows import Row
from spacy_llm_tasks.annotate.reading.shards import Cut, Place, Shard
from spacy_llm_tasks.annotate.running import shard_file
from spacy_llm_tasks.annotate.running.beat import Beat
from spacy_llm_tasks.annotate.running.shard_file import OutputSettings, ShardWriter, Task
from spacy_llm_tasks.annotate.writing.faults import Fault
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
