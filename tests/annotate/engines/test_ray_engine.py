"""How a run follows what comes back from Ray, which is played."""

import queue
from pathlib import Path

import pytest

from spacy_llm_tasks.annotate.annotator import AnnotatorSettings
from spacy_llm_tasks.annotate.engines import ray_engine
from spacy_llm_tasks.annotate.engines.engine import EngineSettings, Work
from spacy_llm_tasks.annotate.engines.ray_engine import RayEngine
from spacy_llm_tasks.annotate.engines.shard_annotator import READ, STOPPED, Outcome
from spacy_llm_tasks.annotate.reading.id_register import IdRegister
from spacy_llm_tasks.annotate.reading.inputs import InputFile
from spacy_llm_tasks.annotate.reading.read_settings import ReadSettings
from spacy_llm_tasks.annotate.reading.shards import Cut, Place
from spacy_llm_tasks.annotate.running.journal import Done, Journal
from spacy_llm_tasks.annotate.running.shard_file import OutputSettings
from spacy_llm_tasks.annotate.running.worker import DONE, FAILED, FULL, WorkerSettings


def done(number):
    found = Done(
        number, Place(0, number), Place(0, number + 1), 1, f"p{number}", 1, 0.1, [], {"tokens": 3}
    )
    return Outcome(DONE, found.to_json(), f"host:{number % 2}", 100 + number)


@pytest.fixture
def follow(tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    made_of = WorkerSettings(
        annotator=AnnotatorSettings(pipeline="nlp", parts=("text",)),
        output=OutputSettings(
            folder=str(tmp_path),
            temporary=str(tmp_path / "temporary"),
            format="jsonl",
            columns={},
            cut=Cut(),
        ),
    )
    engine = RayEngine(EngineSettings(name="ray"), made_of, workers=2)
    journal = Journal(tmp_path / "journal", tmp_path)
    noted = []

    def follow(outcomes, stop=lambda: False):
        news = queue.SimpleQueue()
        for outcome in outcomes:
            news.put(outcome)
        monkeypatch.setattr(RayEngine, "_listen", lambda self, work, settings: news)
        with IdRegister(tmp_path / "ids", "refuse") as ids:
            work = Work(
                files=[InputFile("rows", "rows", "jsonl")],
                read=ReadSettings(),
                cut=Cut(),
                seconds=None,
                ids=ids,
                journal=journal,
                on_done=noted.append,
                on_look=lambda: None,
            )
            with ray_engine._lease(tmp_path / "temporary") as lease:
                follow.lease = lease
                is_finished = engine._follow(work, None, lease, stop)
        return is_finished, [found.number for found in noted]

    follow.engine, follow.journal = engine, journal
    return follow


def test_shards_are_noted_once_in_whatever_order_they_come(follow):
    outcomes = [done(1), done(0), done(1), Outcome(READ), done(2), None]
    assert follow(outcomes) == (True, [1, 0, 2])
    assert len(follow.journal) == 3
    assert follow.engine.memory() == [101, 102] and follow.engine.rows_in_hand() == 0
    assert not follow.lease.exists()


def test_a_run_that_is_stopped_waits_for_what_was_in_work(follow):
    asked = []
    outcomes = [done(0), done(1), Outcome(STOPPED), done(2), Outcome(STOPPED), None]
    found = follow(outcomes, stop=lambda: asked.append(1) or len(asked) > 1)
    assert found == (False, [0, 1, 2]) and len(asked) == 2


def test_a_run_that_is_stopped_does_not_wait_for_ever(follow, monkeypatch):
    monkeypatch.setattr(ray_engine, "SECONDS_TO_STOP", -30.0)
    assert follow([], stop=lambda: True) == (False, [])


@pytest.mark.parametrize(
    "outcome, kind, code",
    [
        (Outcome(FULL, "[E843] no space"), OSError, "E843"),
        (Outcome(FAILED, "[E844] KeyError"), ValueError, "E844"),
        (Outcome(STOPPED), ValueError, "E874"),
        (ZeroDivisionError("ours"), ZeroDivisionError, "ours"),
    ],
)
def test_what_no_worker_can_mend_ends_the_run(follow, outcome, kind, code):
    with pytest.raises(kind, match=code):
        follow([done(0), outcome, done(1), None])
    assert 0 in (found.number for found in follow.journal.in_order())


def test_a_corpus_that_was_not_read_to_its_end_is_not_done(follow):
    with pytest.raises(ValueError, match="E874"):
        follow([done(0), None])


def test_actors_are_given_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output = OutputSettings(
        folder="out", temporary="out/.run/temporary", format="jsonl", columns={}, cut=Cut()
    )
    annotator = AnnotatorSettings(pipeline="/nlp", parts=(), code="code.py")
    found = ray_engine._everywhere(WorkerSettings(annotator=annotator, output=output))
    assert found.annotator.code == str(tmp_path / "code.py")
    assert found.output.temporary == str(tmp_path / "out" / ".run" / "temporary")
    assert found.output.entries is None and Path(found.output.folder).is_absolute()
