"""Handing out shards, with workers that are played."""

import errno
from dataclasses import replace

import pytest

from spacy_llm_tasks.annotate.reading.rows import BadRow, Row
from spacy_llm_tasks.annotate.reading.shards import Cut, Place, Shard
from spacy_llm_tasks.annotate.running.beat import Beat
from spacy_llm_tasks.annotate.running.crew import DIED, Event
from spacy_llm_tasks.annotate.running.dispatch import MOST_FAILED_STARTS, Dispatch
from spacy_llm_tasks.annotate.running.journal import Done, Journal
from spacy_llm_tasks.annotate.running.worker import DONE, FAILED, FULL, PROBED, READY
from spacy_llm_tasks.annotate.writing.shard_summary import ShardSummary


class Worker:
    def __init__(self):
        self.beat = Beat([0] * 4)
        self.beat.set()
        self.is_ready, self.task = False, None
        self.stuck = 0.0

    @property
    def is_free(self):
        return self.is_ready and self.task is None

    def give(self, task):
        self.task = task

    def position(self):
        return self.beat.get(), self.stuck


class Crew:
    """Workers that do as they are told.

    act (Callable): (worker) -> what it says next, as (kind, value).
    """

    def __init__(self, act):
        self.act, self.workers, self.n_started = act, [], 0

    def fill(self, wanted):
        while len(self.workers) < min(2, wanted):
            self.workers.append(Worker())
            self.n_started += 1

    def remove(self, worker):
        if worker in self.workers:
            self.workers.remove(worker)

    def events(self, timeout):
        events = []
        for worker in list(self.workers):
            if not worker.is_ready:
                kind, value = self.act(worker) if self.act.__name__ == "start" else (READY, None)
            elif worker.task is None:
                continue
            else:
                kind, value = self.act(worker)
            if kind == DIED:
                self.remove(worker)
            if kind is not None:
                events.append(Event(worker, kind, value))
        return events


def done_of(task, **changes):
    written = len(task.rows) - len(task.faults)
    faults = [task.faults[i].to_dict() for i in sorted(task.faults)]
    found = Done(task.number, task.start, task.end, written, f"p{task.number}", 1, 0.1, faults, {})
    return replace(found, summary=ShardSummary(documents=written).to_dict(), **changes)


def shards(n, bad=()):
    for i in range(n):
        rows = [Row(f"{i}.{k}", "text") for k in range(4)]
        yield Shard(i, Place(0, 4 * i), Place(0, 4 * i + 4), rows, list(bad))


@pytest.fixture
def play(tmp_path):
    def play(act, *, n=5, bad=(), seconds=None, stop=lambda: False):
        for i in range(n):
            (tmp_path / f"p{i}").write_text("x")
        crew, journal = Crew(act), Journal(tmp_path / "journal", tmp_path)
        dispatch = Dispatch(
            shards(n, bad),
            crew,
            size=2,
            journal=journal,
            cut=Cut(batch_rows=2),
            seconds=seconds,
            on_done=lambda done: None,
            on_look=lambda: None,
        )
        return dispatch.run(stop), list(journal.in_order()), crew

    return play


def good(worker):
    return DONE, (done_of(worker.task), False)


def test_all_shards_are_done_once(play):
    is_finished, found, crew = play(good)
    assert is_finished and [done.number for done in found] == [0, 1, 2, 3, 4]
    assert crew.n_started == 2


def test_rows_that_cannot_be_read_are_noted_with_their_shard(play):
    bad = [BadRow("a:3", "a", 3, "no JSON"), BadRow("a:4", "a", 4, "no UTF-8", left_out=True)]
    _, found, _ = play(good, n=1, bad=bad)
    assert [fault["id"] for fault in found[0].faults] == ["a:3"]
    assert (found[0].summary["bad_rows"], found[0].summary["left_out"]) == (1, 1)


def test_a_worn_worker_is_followed_by_a_new_one(play):
    is_finished, found, crew = play(lambda worker: (DONE, (done_of(worker.task), True)))
    assert is_finished and len(found) == 5 and crew.n_started >= 5


def test_a_document_that_kills_is_found_and_left_out(play):
    def deadly(worker):
        task = worker.task
        if task.number != 2 or 3 in task.faults:
            return (PROBED, task.number) if task.probe is not None else good(worker)
        worker.beat.set(batch=1, row=-1 if task.probe is None else 3)
        return DIED, "signal 11"

    is_finished, found, _ = play(deadly)
    assert is_finished and [done.written for done in found] == [4, 4, 3, 4, 4]
    assert [fault["id"] for fault in found[2].faults] == ["2.3"]


def test_a_document_that_hangs_is_found_and_left_out(play):
    def stuck(worker):
        task = worker.task
        if task.number == 1 and 0 not in task.faults:
            worker.beat.set(batch=0, row=-1 if task.probe is None else 0)
            worker.stuck = 9.0
            return None, None
        return (PROBED, task.number) if task.probe is not None else good(worker)

    is_finished, found, _ = play(stuck, seconds=0.5)
    assert is_finished
    assert [(fault["id"], fault["error"]) for fault in found[1].faults] == [("1.0", "too slow")]


@pytest.mark.parametrize(
    "message, kind, code",
    [((FULL, "no space"), OSError, "E843"), ((FAILED, "KeyError: 3"), ValueError, "E844")],
)
def test_what_no_worker_can_mend_ends_the_run(play, message, kind, code):
    with pytest.raises(kind, match=code):
        play(lambda worker: message)


def test_a_full_disk_is_noticed_by_the_run_itself(play, monkeypatch):
    def add(self, done):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(Journal, "add", add)
    with pytest.raises(OSError, match="E843"):
        play(good)


@pytest.mark.parametrize("how, most", [("exit code 1", 2), ("signal 9", MOST_FAILED_STARTS + 1)])
def test_workers_that_never_start_end_the_run(play, how, most):
    n_tried = 0

    def start(worker):
        nonlocal n_tried
        n_tried += 1
        return DIED, how

    with pytest.raises(ValueError, match=f"E845.*{how}"):
        play(start)
    assert n_tried <= most


def test_a_run_that_is_stopped_lets_workers_finish(play):
    asked = []
    is_finished, found, _ = play(good, n=50, stop=lambda: asked.append(1) or len(asked) > 5)
    assert not is_finished and 0 < len(found) < 50
    assert [done.number for done in found] == list(range(len(found)))
