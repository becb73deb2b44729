"""Fixed waves: as exact far into a text as at its start."""

import copy

import numpy as np
import pytest
import torch

from spacy_llm_tasks.nn.packing import Packing
from spacy_llm_tasks.nn.positions import SinusoidalPositions


def exact(length, width):
    """The formula in float64, sines in the even columns: (length, width)."""
    places, columns = np.arange(length)[:, None], np.arange(width)[None]
    angles = places / np.power(10000.0, (columns - columns % 2) / width)
    return np.where(columns % 2, np.cos(angles), np.sin(angles))


@pytest.mark.parametrize("width", [32, 33])
def test_exact_at_every_position(width):
    rows = SinusoidalPositions(width)(Packing.from_lengths([4000]))
    assert rows.dtype == torch.float32
    np.testing.assert_allclose(rows.numpy(), exact(4000, width), rtol=0, atol=6e-8)


def test_equal_to_those_of_marian():
    marian = pytest.importorskip("transformers.models.marian.modeling_marian")
    theirs = marian.MarianSinusoidalPositionalEmbedding(1024, 64, padding_idx=0)
    if hasattr(theirs, "_init_weight"):
        theirs._init_weight()
    ours = SinusoidalPositions(64, order="halves")(Packing.from_lengths([1024]))
    torch.testing.assert_close(ours, theirs.weight.detach(), rtol=0, atol=6e-8)


def test_each_sequence_begins_anew_and_the_table_grows():
    positions = SinusoidalPositions(8)
    table = torch.from_numpy(exact(50, 8)).float()
    for lengths in ([3, 1], [5], [40, 2, 7], [1]):
        rows = positions(Packing.from_lengths(lengths))
        expected = torch.cat([table[:n] for n in lengths])
        torch.testing.assert_close(rows, expected, rtol=0, atol=6e-8)
    assert positions.state_dict() == {}


def test_it_follows_the_model_to_another_kind_of_number():
    positions = copy.deepcopy(SinusoidalPositions(8)).to(torch.bfloat16)
    short = positions(Packing.from_lengths([2]))
    long_ = positions(Packing.from_lengths([300]))
    assert short.dtype == long_.dtype == torch.bfloat16
    np.testing.assert_allclose(long_.float().numpy(), exact(300, 8), rtol=0, atol=0.005)
