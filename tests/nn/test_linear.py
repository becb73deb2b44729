"""Prepared weights: the same numbers as without, and never those of an earlier step."""

import copy
import pickle

import pytest
import torch
from torch.nn import functional as F

from spacy_llm_tasks.nn import kernels
from spacy_llm_tasks.nn.linear import Linear


@pytest.fixture(autouse=True)
def onednn():
    if not kernels.available():
        pytest.skip("this torch has no oneDNN")
    kernels.use("onednn")
    yield
    kernels.use(None)


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return Linear(24, 40).eval()


def exact(layer, x):
    return F.linear(x, layer.weight.detach(), layer.bias.detach())


@pytest.mark.parametrize("shape", [(1, 24), (9, 24), (70, 24), (3, 5, 24), (24,), (0, 24)])
def test_equals_plain(layer, shape):
    x = torch.randn(shape)
    with torch.no_grad():
        for _ in range(2):
            torch.testing.assert_close(layer(x), exact(layer, x), atol=1e-5, rtol=1e-5)
            bent = F.gelu(exact(layer, x))
            torch.testing.assert_close(layer.gelu(x), bent, atol=1e-5, rtol=1e-5)
    assert layer._packed is not None


def test_without_a_bias():
    layer, x = Linear(8, 6, bias=False).eval(), torch.randn(5, 8)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), x @ layer.weight.T, atol=1e-5, rtol=1e-5)


def optimizers(parameters):
    yield torch.optim.SGD(parameters, lr=0.5)
    for kind in ({}, {"foreach": True}, {"fused": True}):
        yield torch.optim.AdamW(parameters, lr=0.5, **kind)


def test_a_prediction_after_a_step_has_the_new_weights(layer):
    x = torch.randn(7, 24)
    for optimizer in optimizers(list(layer.parameters())):
        for train in (True, False):
            layer.eval()
            with torch.no_grad():
                before = layer(x)
            layer.train(train)
            optimizer.zero_grad()
            layer(x).square().sum().backward()
            optimizer.step()
            layer.eval()
            with torch.no_grad():
                torch.testing.assert_close(layer(x), exact(layer, x), atol=1e-4, rtol=1e-5)
                assert not torch.allclose(layer(x), before)


def overwrite(layer):
    layer.weight.mul_(2)


def replace_data(layer):
    layer.weight.data = torch.randn(40, 24)


def load(layer):
    layer.load_state_dict(Linear(24, 40).state_dict())


def move(layer):
    layer.to(torch.float64).to(torch.float32).weight.add_(1)


@pytest.mark.parametrize("change", [overwrite, replace_data, load, move])
def test_changes_without_a_gradient_are_seen(layer, change):
    x = torch.randn(7, 24)
    with torch.no_grad():
        before = layer(x)
        change(layer)
        after = layer(x)
        torch.testing.assert_close(after, exact(layer, x), atol=1e-4, rtol=1e-5)
        assert not torch.allclose(after, before)


def test_nothing_is_prepared_in_training(layer):
    layer.train()
    with torch.no_grad():
        layer(torch.randn(7, 24))
    assert layer._packed is None
    layer.eval()
    layer(torch.randn(7, 24))
    assert layer._packed is None


def test_the_kernel_is_still_a_choice(layer):
    x = torch.randn(7, 24)
    with torch.no_grad():
        layer(x)
        kernels.use("plain")
        assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert layer(x).dtype == torch.bfloat16


def test_copies_prepare_their_own(layer):
    x = torch.randn(7, 24)
    with torch.no_grad():
        expected = layer(x)
        for made in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            assert made._packed is None and torch.equal(made(x), expected)


def test_weights_made_in_inference_mode():
    with torch.inference_mode():
        layer, x = Linear(8, 6).eval(), torch.randn(5, 8)
        torch.testing.assert_close(layer(x), exact(layer, x), atol=1e-5, rtol=1e-5)
