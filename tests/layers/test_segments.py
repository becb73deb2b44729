"""Sums within segments against a loop over segments."""

import pytest
import torch

from spacy_llm_tasks.layers.segments import segment_max, segment_mean, segment_softmax

# Segments of rows in any order; 1 and 4 have none.
SEGMENTS = torch.tensor([2, 0, 2, 3, 0, 2])
N_SEGMENTS = 5


def rows_of(seed=0):
    torch.manual_seed(seed)
    return torch.randn(len(SEGMENTS), 3) - 2  # mostly below 0: a maximum with 0 would show


@pytest.mark.parametrize(
    "function, reference",
    [(segment_mean, lambda rows: rows.mean(dim=0)), (segment_max, lambda rows: rows.amax(dim=0))],
)
def test_rows_of_each_segment(function, reference):
    rows = rows_of()
    found = function(rows, SEGMENTS, N_SEGMENTS)
    assert found.shape == (N_SEGMENTS, 3)
    for segment in range(N_SEGMENTS):
        own = rows[segment == SEGMENTS]
        expected = reference(own) if len(own) else torch.zeros(3)
        torch.testing.assert_close(found[segment], expected)


def test_softmax_within_segments():
    values = rows_of()[:, 0] * 100  # an exponential of these alone would overflow
    found = segment_softmax(values, SEGMENTS, N_SEGMENTS)
    for segment in (0, 2, 3):
        own = segment == SEGMENTS
        torch.testing.assert_close(found[own], values[own].softmax(dim=0))


@pytest.mark.parametrize("function", [segment_mean, segment_max])
@pytest.mark.parametrize("n_segments", [0, 2])
def test_no_rows(function, n_segments):
    none = torch.zeros(0, dtype=torch.int64)
    found = function(torch.zeros(0, 3), none, n_segments)
    assert found.tolist() == [[0.0] * 3] * n_segments
    assert segment_softmax(torch.zeros(0), none, n_segments).shape == (0,)


@pytest.mark.parametrize("function", [segment_mean, segment_max, segment_softmax])
def test_gradients(function):
    rows = rows_of().double()
    rows = (rows[:, 0] if function is segment_softmax else rows).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: function(x, SEGMENTS, N_SEGMENTS), (rows,))
