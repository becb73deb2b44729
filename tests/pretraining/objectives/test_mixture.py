from collections import Counter

import pytest

from spacy_llm_tasks.pretraining.objectives.mixture import Mixture

WEIGHTS = {"masked": 3.0, "replaced": 1.0, "contrastive": 1.0}


def test_objectives_are_drawn_by_weight():
    mixture, n = Mixture(WEIGHTS, mode="draw", seed=0), 4000
    counts = Counter(name for i in range(n) for name in mixture.names(i))
    assert sum(counts.values()) == n
    for name, weight in WEIGHTS.items():
        share = weight / 5
        error = (share * (1 - share) / n) ** 0.5
        assert abs(counts[name] / n - share) < 4 * error
    assert mixture.factors == {"masked": 1.0, "replaced": 1.0, "contrastive": 1.0}


def test_the_number_of_a_step_decides():
    first, second = (Mixture(WEIGHTS, mode="draw", seed=0) for _ in range(2))
    drawn = [first.names(i) for i in range(50)]
    assert drawn == [second.names(i) for i in reversed(range(50))][::-1]
    assert drawn != [Mixture(WEIGHTS, mode="draw", seed=1).names(i) for i in range(50)]


def test_the_sum_takes_all_of_them():
    mixture = Mixture(WEIGHTS, mode="sum", seed=0)
    assert mixture.names(7) == tuple(WEIGHTS) and mixture.factors == WEIGHTS


def test_one_objective_is_always_drawn():
    mixture = Mixture({"causal": 0.3}, mode="draw", seed=0)
    assert {mixture.names(i) for i in range(20)} == {("causal",)}


def test_settings_that_cannot_be():
    with pytest.raises(ValueError, match="E736.*'mix'"):
        Mixture(WEIGHTS, mode="mix", seed=0)
    for weights in ({}, {"masked": 0.0}, {"masked": 1.0, "causal": -1.0}):
        with pytest.raises(ValueError, match="E737"):
            Mixture(weights, mode="draw", seed=0)
