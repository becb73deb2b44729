"""When the loop does what: rates, lines of the log, evaluations, the end."""

import json
import math
from functools import partial

import pytest

from spacy_llm_tasks.nn import kernels
from spacy_llm_tasks.pretraining import assembly
from spacy_llm_tasks.pretraining.curves import read_log
from spacy_llm_tasks.pretraining.loop import Loop
from spacy_llm_tasks.pretraining.optimisation.schedules import make_schedule
from spacy_llm_tasks.pretraining.progress import Progress
from spacy_llm_tasks.pretraining.settings import TrainingSettings
from spacy_llm_tasks.pretraining.team.distributed import Team

from .runs import after, log_of, run, steps_of, write_texts

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    write_texts(path, n=30)
    return path


class Clock:
    """Advances by itself, whenever it is asked."""

    def __init__(self, tick):
        self.now, self.tick = 0.0, tick

    def __call__(self):
        self.now += self.tick
        return self.now


@pytest.mark.parametrize("name", ["linear", "cosine", "wsd", "triangle"])
def test_no_step_is_wasted(texts, tmp_path, name):
    schedule = {"name": name, "warmup": 0.25, "decay": 0.5}
    changes = {"schedule": schedule, "training__log_steps": 1, "training__max_steps": 8}
    run(texts, tmp_path, changes=changes)
    rates = [line["rate"] for line in log_of(tmp_path) if "rate" in line]
    factor = make_schedule(**schedule)
    assert rates == [factor((step + 0.5) / 8) for step in range(8)]
    assert min(rates) > 0 and max(rates) <= 1
    # so the rates add up to the area under the schedule, but where it has a corner inside a step
    area = sum(factor(x / 8000) for x in range(8000)) / 1000
    assert sum(rates) == pytest.approx(area, rel=0.03)


def test_the_masking_rate_follows_the_middle_of_steps(texts, tmp_path, monkeypatch):
    seen = []
    original = assembly.Feed.prepare

    def prepare(self, name, number, *, progress):
        seen.append((number, progress))
        return original(self, name, number, progress=progress)

    monkeypatch.setattr(assembly.Feed, "prepare", prepare)
    changes = {"training__max_steps": 4, "training__eval_steps": 99, "training__accumulate": 2}
    run(texts, tmp_path, changes={**changes, "corpus__held_out": 0.0})
    assert seen == [(n, (n // 2 + 0.5) / 4) for n in range(8)]


@pytest.mark.parametrize("start", range(7))
def test_time_that_runs_out_between_two_looks(texts, tmp_path, monkeypatch, start):
    """Whenever it does, the last step is logged, evaluated, saved and handed over."""
    clock = Clock(tick=1.0)
    monkeypatch.setattr(assembly, "Progress", partial(Progress, clock=clock))
    changes = {
        "training__max_steps": None,
        "training__max_minutes": (40 + start) / 60,
        "training__log_steps": 100,
        "training__eval_steps": 100,
    }
    result = run(texts, tmp_path, changes=changes)
    assert result.is_over and 2 < result.step < 40
    first, second = log_of(tmp_path)
    assert (first["step"], second["step"]) == (result.step, result.step)
    assert "train" in first and "held-out" in second
    assert steps_of(tmp_path) == [result.step]
    assert result.model.is_dir()


def test_minutes_and_steps(texts, tmp_path, monkeypatch):
    monkeypatch.setattr(assembly, "Progress", partial(Progress, clock=Clock(tick=0.5)))
    changes = {"training__max_minutes": 1000.0, "training__log_steps": 3}
    lines = []
    run(texts, tmp_path, changes=changes, on_line=lambda *line: lines.append(line))
    trained = [(line["step"], line["minutes"], share) for line, share in lines if "train" in line]
    assert [step for step, _, _ in trained] == [3, 4, 6, 8, 9]
    assert [share for _, _, share in trained] == pytest.approx([n / 9 for n in (3, 4, 6, 8, 9)])
    assert [line for line, _ in lines][-1]["best"] is True
    for line, share in lines:
        if "train" in line:
            left = line["minutes"] * (1 / share - 1)
            assert line["minutes_left"] == pytest.approx(left, rel=0.2, abs=0.01)
            assert line["pieces_per_second"] > 0
    written = [json.loads(text) for text in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert written == [line for line, _ in lines]


def test_stopping_at_the_last_step_is_ending(texts, tmp_path):
    result = run(texts, tmp_path, changes={"training__max_steps": 3}, stop=after(3))
    assert result.is_over and result.model.is_dir()


def test_curves_are_drawn(texts, tmp_path):
    run(texts, tmp_path, changes={"training__max_steps": 2})
    page = (tmp_path / "curves.html").read_text()
    assert "held-out masked loss" in page and "train masked loss" in page


def test_the_log_is_read_once_for_each_page(texts, tmp_path, monkeypatch):
    """A long log takes a while: to know how long it is, it is not read."""
    reads = []

    def count(path):
        reads.append(path)
        return read_log(path)

    monkeypatch.setattr("spacy_llm_tasks.pretraining.loop.read_log", count)
    changes = {"training__eval_steps": 3, "training__max_steps": 9}
    run(texts, tmp_path, changes=changes, stop=after(7))
    assert len(reads) == 2  # the pages of steps 3 and 6; not where it was stopped
    state = json.loads((tmp_path / "checkpoints" / "step-00000007" / "state.json").read_text())
    # steps 2, 3, 4 and 6, and what was held out at 3 and 6
    assert state["state"]["lines"] == len(log_of(tmp_path)) == 6
    run(texts, tmp_path, resume=True, changes=changes)
    assert len(reads) == 4  # to go on, and the page of step 9
    assert [line["step"] for line in log_of(tmp_path)] == [2, 3, 3, 4, 6, 6, 8, 9, 9]


def test_a_run_may_move_to_a_machine_without_its_kernel(texts, tmp_path, monkeypatch):
    if not kernels.available():
        pytest.skip("this PyTorch has no other kernel")
    monkeypatch.setattr(kernels, "_chosen", "onednn")
    run(texts, tmp_path, stop=after(2))
    monkeypatch.setattr(kernels, "_chosen", "plain")
    run(texts, tmp_path, resume=True, stop=after(1))
    assert kernels.current() == "onednn"  # the one that it began with
    monkeypatch.setattr(kernels, "available", lambda: False)
    monkeypatch.setattr(kernels, "_chosen", "plain")
    assert run(texts, tmp_path, resume=True).is_over
    assert kernels.current() == "plain"


class Numbers:
    """A feed that notes what is asked of it."""

    def __init__(self):
        self.asked = []

    def prepare(self, name, number, *, progress):
        self.asked.append((name, number, progress))


class OneName:
    def names(self, step):
        return ("masked",)


class Follower(Team):
    """A process that is told by the first one how far the run is."""

    def share(self, value):
        return 0.75


def bare_loop(team, *, max_minutes=None, schedule=None, update=None):
    settings = TrainingSettings(max_steps=100, max_minutes=max_minutes, accumulate=3)
    parts = {"evaluation": None, "checkpoints": None, "output": None, "mixture": OneName()}
    return Loop(
        update=update,
        feed=Numbers(),
        schedule=schedule or make_schedule("constant"),
        team=team,
        settings=settings,
        progress=Progress(settings),
        **parts,
    )


def test_micro_batches_are_dealt_out_once():
    """Two processes, and then one: each number goes to one of them, and none is left out."""
    pair = [bare_loop(Team(rank=rank, world=2)) for rank in (0, 1)]
    taken = []
    for _ in range(2):
        for loop in pair:
            loop._batches(0.0)
            loop.progress.batches += 6
            loop.progress.step += 1
    for loop in pair:
        taken += [number for _, number, _ in loop.feed.asked]
    assert [number for _, number, _ in pair[1].feed.asked] == [3, 4, 5, 9, 10, 11]
    alone = bare_loop(Team())
    alone.progress.restore(pair[0].progress.to_dict())
    alone._batches(0.0)
    taken += [number for _, number, _ in alone.feed.asked]
    assert sorted(taken) == list(range(15))


def test_all_processes_go_by_the_clock_of_the_first():
    """Rates from clocks of their own would take copies of the model apart."""
    factors = []

    def update(batches, *, factor):
        factors.append(factor)
        raise StopIteration

    loop = bare_loop(
        Follower(rank=1, world=2), max_minutes=9.0, schedule=lambda share: share, update=update
    )
    with pytest.raises(StopIteration):
        loop._step()
    assert factors == [0.75]
    assert {progress for _, _, progress in loop.feed.asked} == {0.75}


def test_a_loss_that_is_no_number_is_never_the_best():
    progress = Progress(TrainingSettings(max_steps=10))
    judged = [progress.judge(loss) for loss in (math.nan, 3.0, math.inf, 2.0)]
    assert judged == [False, True, False, True]
    assert (progress.best, progress.waited) == (2.0, 0)
