import pytest

from spacy_llm_tasks.pretraining.progress import Progress
from spacy_llm_tasks.pretraining.settings import TrainingSettings


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_steps_or_minutes_whichever_is_further():
    clock = Clock()
    progress = Progress(TrainingSettings(max_steps=10, max_minutes=1.0), clock)
    progress.step = 2
    assert progress.share == pytest.approx(0.2)
    clock.now += 30
    assert progress.share == pytest.approx(0.5)
    assert not progress.is_over
    progress.step = 10
    assert progress.share == 1.0 and progress.is_over


def test_patience_counts_evaluations_that_were_not_better():
    progress = Progress(TrainingSettings(max_steps=100, patience=2))
    judged = []
    for progress.step, loss in ((10, 3.0), (20, 2.0), (30, 2.0)):
        judged.append(progress.judge(loss))
    assert judged == [True, True, False]
    assert not progress.is_over
    progress.judge(2.5)
    assert progress.is_over
    assert (progress.best, progress.best_step) == (2.0, 20)


def test_time_goes_on_where_it_stopped():
    clock = Clock()
    first = Progress(TrainingSettings(max_minutes=1.0), clock)
    clock.now += 15
    first.step, first.pieces = 3, 99
    first.judge(1.5)
    second = Progress(TrainingSettings(max_minutes=1.0), clock)
    clock.now += 1000
    second.restore(first.to_dict() | {"seconds": 15.0})
    assert second.elapsed == pytest.approx(15)
    clock.now += 15
    assert second.share == pytest.approx(0.5)
    assert (second.step, second.pieces, second.best, second.best_step) == (3, 99, 1.5, 3)
