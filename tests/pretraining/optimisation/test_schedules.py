import pickle

import numpy as np
import pytest

from spacy_llm_tasks.pretraining.optimisation.schedules import SCHEDULES, make_schedule


def corners(name, points, **settings):
    schedule = make_schedule(name, **settings)
    return [pytest.approx(schedule(point)) for point in points]


def test_linear():
    points = [0, 0.05, 0.1, 0.55, 1]
    assert corners("linear", points, warmup=0.1) == [0, 0.5, 1, 0.5, 0]
    assert corners("linear", points, warmup=0.1, floor=0.2) == [0, 0.5, 1, 0.6, 0.2]


def test_cosine():
    points = [0, 0.2, 0.4, 0.6, 0.8, 1]
    quarter = 0.5 + 0.5 * np.cos(np.pi / 4)
    expected = [0, 1, quarter, 0.5, 1 - quarter, 0]
    assert corners("cosine", points, warmup=0.2) == expected
    assert corners("cosine", [0.6, 1], warmup=0.2, floor=0.1) == [0.55, 0.1]


def test_warm_up_stable_decay():
    points = [0.05, 0.1, 0.5, 0.8, 0.85, 1]
    assert corners("wsd", points, warmup=0.1, decay=0.2) == [0.5, 1, 1, 1, 0.5, 0]
    assert corners("wsd", [0.85, 1], decay=0.2, floor=0.5) == [0.75, 0.5]
    assert corners("wsd", [0.5, 1], warmup=0.1) == [1, 1]


def test_triangle():
    points = [0, 0.3, 0.6, 0.8, 1]
    assert corners("triangle", points, decay=0.4) == [0, 0.5, 1, 0.5, 0]
    assert corners("triangle", points, decay=0.4, warmup=0.9) == [0, 0.5, 1, 0.5, 0]


def test_constant():
    assert corners("constant", [0, 0.1, 0.2, 1], warmup=0.2) == [0, 0.5, 1, 1]
    assert corners("constant", [0, 1], floor=0.5) == [1, 1]


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("warmup, decay, floor", [(0, 0, 0), (0.3, 0.4, 0.1), (1, 0, 0), (0, 1, 1)])
def test_factors_stay_in_range_and_jump_nowhere(name, warmup, decay, floor):
    schedule = make_schedule(name, warmup=warmup, decay=decay, floor=floor)
    factors = np.array([schedule(p) for p in np.linspace(0, 1, 10001)])
    assert factors.min() >= 0 and factors.max() <= 1
    # the root of "wsd" is steep where its fall starts
    assert np.abs(np.diff(factors[:-1])).max() < 0.02
    assert schedule(-1) == schedule(0) and schedule(2) == schedule(1)
    again = pickle.loads(pickle.dumps(schedule))
    assert [again(p) for p in (0, 0.5, 1)] == [schedule(p) for p in (0, 0.5, 1)]


@pytest.mark.parametrize(
    "settings, code, what",
    [
        ({"name": "lineer"}, "E740", "wsd"),
        ({"name": "linear", "warmup": 1.5}, "E741", "warmup"),
        ({"name": "linear", "warmup": float("nan")}, "E741", "warmup"),
        ({"name": "linear", "floor": -0.1}, "E741", "floor"),
        ({"name": "wsd", "warmup": 0.6, "decay": 0.6}, "E741", "decay"),
    ],
)
def test_what_is_out_of_range_is_refused_by_name(settings, code, what):
    with pytest.raises(ValueError, match=f"{code}.*{what}"):
        make_schedule(settings.pop("name"), **settings)
