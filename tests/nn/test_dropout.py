import pytest
import torch

from spacy_llm_tasks.nn.dropout import Dropout, dropout


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9])
def test_rate_and_scale(rate):
    torch.manual_seed(0)
    n = 400_000
    found = dropout(torch.ones(n), rate)
    kept = found != 0
    deviation = (rate * (1 - rate) / n) ** 0.5
    assert abs((~kept).double().mean() - rate) < 5 * deviation
    torch.testing.assert_close(
        found[kept], torch.full_like(found[kept], 1 / (1 - rate)), rtol=1e-3, atol=0
    )
    assert found.double().mean() == pytest.approx(1.0, abs=5 * deviation / (1 - rate))


def test_each_number_has_its_own_chance():
    torch.manual_seed(1)
    dropped = dropout(torch.ones(100_000, 8), 0.25) == 0  # two draws a row
    deviation = (0.25 * 0.75 / 100_000) ** 0.5
    assert (dropped.double().mean(0) - 0.25).abs().max() < 5 * deviation
    together = torch.corrcoef(dropped.double().T) - torch.eye(8)
    assert together.abs().max() < 0.02
    assert not torch.equal(dropped, dropout(torch.ones(100_000, 8), 0.25) == 0)


def test_seeds_repeat():
    x = torch.randn(33, 7)
    torch.manual_seed(5)
    first = dropout(x, 0.3)
    torch.manual_seed(5)
    assert torch.equal(first, dropout(x, 0.3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_gradient_goes_where_numbers_stay(dtype):
    x = torch.randn(5, 13, dtype=dtype).requires_grad_()
    found = dropout(x, 0.4)
    assert found.dtype == dtype
    (gradient,) = torch.autograd.grad(found.sum(), x)
    torch.testing.assert_close(gradient * x, found)
    assert gradient.count_nonzero() not in (0, gradient.numel())


def test_edges():
    x = torch.randn(3, 5)
    assert dropout(x, 0.0) is x
    assert not dropout(x, 1.0).any()
    assert dropout(x[:0], 0.5).shape == (0, 5)
    assert dropout(x.t(), 0.5).shape == (5, 3)


def test_only_in_training():
    layer, x = Dropout(0.5), torch.randn(50, 5)
    assert (layer(x) == 0).any()
    assert layer.eval()(x) is x
