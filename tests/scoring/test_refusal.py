import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_llm_tasks.scoring.refusal import tune_refusal

cases = st.lists(
    st.tuples(st.integers(-4, 4), st.sampled_from([-1.0, 0.0, 0.5, 1.0])), min_size=1, max_size=12
)


def total(refusals, gains, threshold):
    """Of all that is answered."""
    return sum(g for x, g in zip(refusals, gains, strict=True) if x <= threshold)


@given(cases)
def test_no_threshold_is_better(pairs):
    refusals, gains = zip(*pairs, strict=True)
    threshold = tune_refusal(refusals, gains)
    best = max(total(refusals, gains, at) for at in (-100, *refusals))
    assert total(refusals, gains, threshold) == pytest.approx(best)
    assert np.isfinite(threshold)


@pytest.mark.parametrize(
    "refusals, gains, expected",
    [
        ([], [], 0.0),
        ([1.0, 3.0], [1.0, -1.0], 2.0),  # half-way
        ([-2.0, 4.0], [-1.0, -1.0], -3.0),  # never answer
        ([2.0, 4.0], [-1.0, -1.0], 0.0),
        ([-2.0, 4.0], [1.0, 1.0], 4.0),  # always answer
        ([-4.0, -2.0], [1.0, 1.0], 0.0),
        ([5.0, 1.0, -1.0], [-1.0, 0.0, 1.0], 0.0),  # of equally good ones, the one nearest to 0
        ([1.0, 1.0, 3.0], [1.0, -1.0, -1.0], 0.0),  # equal scores cannot be told apart
    ],
)
def test_thresholds(refusals, gains, expected):
    assert tune_refusal(refusals, gains) == expected


def test_shapes():
    with pytest.raises(ValueError, match="E331"):
        tune_refusal([1.0], [])
