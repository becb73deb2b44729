import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from spacy_llm_tasks.scoring.similarity import pearson, score_similarity, spearman

GRADES = st.one_of(
    st.sampled_from([0.0, 0.5, 1.0, 2.5, 5.0, -1.0]),
    st.floats(-1e6, 1e6).map(lambda x: round(x, 3)),
)
PAIRS = st.lists(st.tuples(GRADES, GRADES), min_size=2, max_size=30)


def naive_pearson(a, b):
    mean_a, mean_b = math.fsum(a) / len(a), math.fsum(b) / len(b)
    ab = math.fsum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    aa = math.fsum((x - mean_a) ** 2 for x in a)
    bb = math.fsum((y - mean_b) ** 2 for y in b)
    return ab / math.sqrt(aa * bb)


def naive_ranks(values):
    return [sum(y < x for y in values) + (sum(y == x for y in values) + 1) / 2 for x in values]


@settings(max_examples=200, deadline=None)
@given(PAIRS)
def test_equal_to_the_definition_and_to_scipy(pairs):
    a, b = zip(*pairs, strict=True)
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert spearman(a, b) is None and pearson(a, b) is None
        return
    assert pearson(a, b) == pytest.approx(naive_pearson(a, b), abs=1e-9)
    assert pearson(a, b) == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-9)
    assert spearman(a, b) == pytest.approx(naive_pearson(naive_ranks(a), naive_ranks(b)), abs=1e-9)
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-9)


def test_known_cases():
    assert spearman([1, 2, 3], [10, 100, 1000]) == pytest.approx(1.0)
    assert pearson([1, 2, 3], [6, 4, 2]) == pytest.approx(-1.0)
    assert spearman([1, 2, 3], [1, 3, 2]) == pytest.approx(0.5)
    assert spearman([1, 2], [-np.inf, np.inf]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "a, b",
    [
        ([], []),
        ([1.0], [2.0]),
        # Equal values whose mean is rounded to another number.
        ([0.1] * 3, [1.0, 2.0, 3.0]),
        ([1.0, np.nan, 2.0], [1.0, 2.0, 3.0]),
        ([0.0, 0.0], [1.0, 2.0]),
    ],
)
def test_what_is_not_defined_is_none(a, b):
    assert spearman(a, b) is None and pearson(a, b) is None
    assert spearman(b, a) is None and pearson(b, a) is None
    assert score_similarity(a, b) == {"sim_spearman": None, "sim_pearson": None}


def test_very_large_small_and_close_values():
    for values in ([1e308, -1e308, 5e307], [1e-300, 3e-300, 2e-300], [1.0, 1.0 + 1e-15, 1.0]):
        assert pearson(values, values) == pytest.approx(1.0)
        assert -1.0 <= pearson(values, [1.0, 2.0, 0.5]) <= 1.0


def test_shapes_must_agree():
    for a, b in (([1.0], [1.0, 2.0]), ([[1.0]], [[1.0]])):
        with pytest.raises(ValueError, match="E331"):
            pearson(a, b)
        with pytest.raises(ValueError, match="E331"):
            spearman(a, b)
