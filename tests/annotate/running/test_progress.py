import pytest

from spacy_llm_tasks.annotate.running.memory import resident_bytes
from spacy_llm_tasks.annotate.running.progress import MOST_SAMPLES, Meter, Progress


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_speed_and_time_left_are_of_this_session():
    clock = Clock()
    meter = Meter(rows=1000, errors=2, clock=clock)
    clock.now += 5
    meter.start()  # what is before, such as the survey, does not count
    clock.now += 10
    meter.add(rows=50, errors=1, tokens=400, workers=[])
    found = meter.progress(in_hand=30, total=1160)
    assert found == Progress(1080, 3, 1160, 10.0, 8.0)
    assert found.seconds_left == 10.0 and meter.session_rows == 50
    assert meter.progress(in_hand=30, total=None).seconds_left is None


def test_memory_at_shares_of_the_session(monkeypatch):
    monkeypatch.setattr("spacy_llm_tasks.annotate.running.progress.resident_bytes", lambda: 7)
    meter = Meter(rows=500, errors=0)
    assert meter.memory() == []
    for i in range(10):
        meter.add(rows=10, errors=0, tokens=0, workers=[i, None])
    found = meter.memory()
    assert [(one["share"], one["rows"], one["workers"]) for one in found] == [
        (0.1, 510, [0]),
        (0.5, 550, [4]),
        (1.0, 600, [9]),
    ]
    assert {one["parent"] for one in found} == {7}


@pytest.mark.parametrize("n", [MOST_SAMPLES, 10_000])
def test_samples_are_bounded_and_still_spread_over_the_run(n, monkeypatch):
    monkeypatch.setattr("spacy_llm_tasks.annotate.running.progress.resident_bytes", lambda: 7)
    meter = Meter(rows=0, errors=0)
    for _ in range(n):
        meter.add(rows=1, errors=0, tokens=0, workers=[1])
    assert len(meter._samples) <= MOST_SAMPLES + 1
    for sample in meter.memory():
        assert sample["rows"] == pytest.approx(sample["share"] * n, abs=n / 100)
    assert meter.memory()[-1]["rows"] == n


def test_nothing_is_told_where_the_system_does_not(monkeypatch):
    monkeypatch.setattr("spacy_llm_tasks.annotate.running.progress.resident_bytes", lambda: None)
    meter = Meter(rows=0, errors=0)
    meter.add(rows=1, errors=0, tokens=0, workers=[None])
    assert meter.memory() == []


def test_resident_bytes():
    found = resident_bytes()
    assert found is None or 10**6 < found < 10**12
    assert resident_bytes(2**30) is None
