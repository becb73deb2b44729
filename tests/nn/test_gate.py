import math

import pytest
import torch
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from spacy_llm_tasks.nn.gate import gated

ACTIVATIONS = {"gelu": F.gelu, "silu": F.silu}


def draw(*shape, **options):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), **options)


def plain(inner, activation):
    gate, value = inner.chunk(2, dim=-1)
    return ACTIVATIONS[activation](gate) * value


def test_numbers_by_hand():
    y = gated(torch.tensor([[0.0, 1.0, 5.0, 3.0]], requires_grad=True), "silu")
    assert y.tolist() == [[0.0, pytest.approx(3 / (1 + math.exp(-1)))]]
    y = gated(torch.tensor([[0.0, 1.0, 5.0, 3.0]], requires_grad=True), "gelu")
    assert y.tolist() == [[0.0, pytest.approx(1.5 * (1 + math.erf(0.5**0.5)))]]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(130, 74), (1, 2), (0, 8), (3, 5, 12)])
def test_equals_plain_autograd_to_the_bit(activation, dtype, shape):
    inner = draw(*shape).to(dtype).requires_grad_()
    g = draw(*shape[:-1], shape[-1] // 2).to(dtype)
    results = []
    for function in (gated, plain):
        y = function(inner, activation)
        results.append((y, *torch.autograd.grad(y, inner, g)))
    for ours, naive in zip(*results, strict=True):
        assert ours.dtype == dtype and torch.equal(ours, naive)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_match_finite_differences(activation):
    inner = draw(4, 6, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: gated(x, activation), inner)


@pytest.mark.parametrize("layout", ["columns", "transposed", "expanded"])
def test_inputs_and_gradients_of_any_layout(layout):
    wide = draw(24, 24)
    inner = {"columns": wide[:, ::2], "transposed": wide.t(), "expanded": wide[:1].expand(24, 24)}
    leaf = inner[layout].detach().requires_grad_()
    ours, naive = (
        # a sum's gradient has strides of 0
        torch.autograd.grad(function(leaf, "gelu").sum(), leaf)[0]
        for function in (gated, plain)
    )
    assert torch.equal(ours, naive)


def test_the_gradient_from_above_is_left_as_it_is():
    inner, g = draw(5, 8).requires_grad_(), draw(5, 4)
    before = g.clone()
    y = gated(inner, "gelu")
    first = torch.autograd.grad(y, inner, g, retain_graph=True)[0]
    assert torch.equal(g, before)
    assert torch.equal(torch.autograd.grad(y, inner, g)[0], first)


def test_under_autocast_and_recomputed():
    inner, weight = draw(6, 8).requires_grad_(), draw(8, 8)

    def run(function, again):
        def step(x):
            return function(F.linear(x, weight), "gelu")

        with torch.autocast("cpu", torch.bfloat16):
            y = checkpoint(step, inner, use_reentrant=False) if again else step(inner)
        assert y.dtype == torch.bfloat16
        return torch.autograd.grad(y.float().square().sum(), inner)[0]

    expected = run(plain, False)
    assert torch.equal(run(gated, False), expected) and torch.equal(run(gated, True), expected)


def test_the_plain_way_without_gradients(monkeypatch):
    monkeypatch.setattr("spacy_llm_tasks.nn.gate._Gated", None)
    inner = draw(5, 8)
    assert torch.equal(gated(inner, "silu"), plain(inner, "silu"))
    with torch.inference_mode():
        assert torch.equal(gated(inner.requires_grad_(), "gelu"), plain(inner, "gelu"))


def test_compiled_as_one_graph():
    """A compiler is given the plain way, in which it finds all there is to join."""
    inner = draw(5, 8).requires_grad_()
    compiled = torch.compile(gated, backend="eager", fullgraph=True)
    gradients = [
        torch.autograd.grad(function(inner, "gelu").sin().sum(), inner)[0]
        for function in (compiled, plain)
    ]
    assert torch.equal(*gradients)


@pytest.mark.gpu
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_on_a_gpu(activation):
    inner = draw(130, 74).cuda().requires_grad_()
    ours, naive = (
        torch.autograd.grad(function(inner, activation).sin().sum(), inner)[0]
        for function in (gated, plain)
    )
    torch.testing.assert_close(ours, naive)
