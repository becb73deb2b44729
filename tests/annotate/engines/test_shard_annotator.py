"""A worker of an engine that has no view of its processes."""

import dataclasses
import pickle
import sys

import pyarrow.parquet as pq
import pytest
import spacy
from spacy.language import Language

from spacy_llm_tasks.annotate.annotator import AnnotatorSettings
from spacy_llm_tasks.annotate.engines import shard_annotator
from spacy_llm_tasks.annotate.engines.shard_annotator import (
    MOST_TRIES,
    STOPPED,
    ShardAnnotator,
    ShardSettings,
    premises,
)
from spacy_llm_tasks.annotate.reading.columns import Columns
from spacy_llm_tasks.annotate.reading.rows import BadRow, Row
from spacy_llm_tasks.annotate.reading.shards import Cut, Place, Shard
from spacy_llm_tasks.annotate.running.journal import Done
from spacy_llm_tasks.annotate.running.shard_file import OutputSettings
from spacy_llm_tasks.annotate.running.worker import DONE, FAILED, FULL, WorkerSettings

CODE = """
import os, signal
from spacy.language import Language


@Language.component("deadly")
def deadly(doc):
    if doc.text.startswith("die"):
        os.kill(os.getpid(), signal.SIGSEGV)
    return doc
"""


@Language.component("deadly")
def stand_in(doc):
    """The workers have the one of CODE."""
    return doc


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "code.py").write_text(CODE)
    nlp = spacy.blank("en")
    nlp.add_pipe("deadly")
    nlp.to_disk(tmp_path / "nlp")
    (tmp_path / "out" / "temporary").mkdir(parents=True)
    lease = tmp_path / "out" / "temporary" / "run-1"
    lease.touch()
    annotator = AnnotatorSettings(
        pipeline=str(tmp_path / "nlp"), parts=("text", "ents"), code=str(tmp_path / "code.py")
    )
    output = OutputSettings(
        folder=str(tmp_path / "out"),
        temporary=str(lease.parent),
        format="parquet",
        columns=Columns({}).to_dict(),
        cut=Cut(batch_rows=4),
    )
    return ShardSettings(
        made_of=WorkerSettings(annotator=annotator, output=output),
        seconds=None,
        lease=str(lease),
        premises=premises(annotator),
    )


def shard(*texts, number=0):
    rows = [Row(f"d{number}.{i}", text) for i, text in enumerate(texts)]
    return Shard(number, Place(0, 0), Place(0, len(rows)), rows, [BadRow("a:3", "a", 3, "no JSON")])


@pytest.mark.slow
def test_a_document_that_kills_is_found_below_the_engines_process(settings, tmp_path):
    annotate = ShardAnnotator(pickle.loads(pickle.dumps(settings)))
    program = sys.modules["__main__"]
    found = annotate(shard("one", "two", "die", "four", "five"))
    assert found.kind == DONE, found.value
    done = Done.from_json(found.value)
    assert (done.written, done.part) == (4, "part-00000.parquet")
    assert [(fault["id"], fault["error"]) for fault in done.faults] == [
        ("a:3", "unreadable"),
        ("d0.2", "died"),
    ]
    ids = pq.read_table(tmp_path / "out" / done.part).column("id").to_pylist()
    assert ids == ["d0.0", "d0.1", "d0.3", "d0.4"]
    assert sys.modules["__main__"] is program
    # The same process goes on, and nothing is left behind.
    (worker,) = annotate._crew.workers
    assert annotate(shard("six", number=1)).kind == DONE
    assert annotate._crew.workers == [worker]
    assert not list((tmp_path / "out" / "temporary").glob("tries-*"))
    (tmp_path / "out" / "temporary" / "run-1").unlink()
    assert annotate(shard("seven", number=2)).kind == STOPPED
    annotate._end_workers()


@pytest.mark.slow
def test_a_pipeline_that_cannot_be_loaded_is_told(settings, tmp_path):
    annotator = dataclasses.replace(settings.made_of.annotator, code=None)
    made_of = dataclasses.replace(settings.made_of, annotator=annotator)
    annotate = ShardAnnotator(
        dataclasses.replace(settings, made_of=made_of, premises=premises(annotator))
    )
    found = annotate(shard("one"))
    assert found.kind == FAILED and "E844" in found.value and "deadly" in found.value
    assert annotate._crew.workers == []


def test_a_machine_without_the_folder_is_told(settings, tmp_path):
    settings = dataclasses.replace(settings, lease=str(tmp_path / "elsewhere" / "run-1"))
    found = ShardAnnotator(settings)(shard("one"))
    assert found.kind == FAILED and "E874" in found.value and "elsewhere" in found.value


def test_a_machine_with_other_things_is_told(settings, tmp_path):
    with (tmp_path / "nlp" / "config.cfg").open("a") as file:
        file.write("\n")
    (tmp_path / "code.py").write_text("")
    found = ShardAnnotator(settings)(shard("one"))
    assert found.kind == FAILED and "E875" in found.value
    assert "file of the pipeline config.cfg: differs" in found.value
    assert "setting code" in found.value


def test_a_shard_that_ends_every_process_is_given_up(settings, tmp_path):
    tries = tmp_path / "out" / "temporary" / "tries-3"
    tries.write_bytes(b"." * MOST_TRIES)
    found = ShardAnnotator(settings)(shard("one", number=3))
    assert found.kind == FAILED
    assert "E879" in found.value and "shard 3" in found.value


def test_a_full_disk_is_told(settings, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    annotate = ShardAnnotator(settings)
    monkeypatch.setattr(shard_annotator.Path, "open", full)
    found = annotate(shard("one"))
    assert found.kind == FULL and "E843" in found.value
