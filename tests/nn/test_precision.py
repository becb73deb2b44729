"""Linear layers in fewer bits: close to float32, made when needed, dropped when weights change."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from spacy_llm_tasks.nn import kernels
from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.nn.linear import Linear, set_precision
from spacy_llm_tasks.nn.packing import Packing
from spacy_llm_tasks.nn.precision import PRECISIONS, _Int8ByBatch, narrows

# Largest error, in standard deviations of the result: 8 bits of mantissa; 8 bits over the range.
ERROR = {"bf16": 0.02, "int8": 0.06}


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return Linear(48, 40)


@pytest.mark.parametrize("precision", ERROR)
@pytest.mark.parametrize("bias", [True, False])
def test_close_to_float32(precision, bias):
    torch.manual_seed(1)
    layer, x = Linear(48, 40, bias=bias), torch.randn(70, 48)
    with torch.no_grad():
        exact, bent = layer(x), layer.gelu(x)
        layer.set_precision(precision)
        found = layer(x)
        assert found.dtype == torch.float32
        assert 0 < (found - exact).abs().max() < ERROR[precision] * exact.std()
        assert (layer.gelu(x) - bent).abs().max() < ERROR[precision] * exact.std()
        assert layer(x.view(7, 10, 48)).shape == (7, 10, 40)
        assert layer(x[:0]).shape == (0, 40)


def by_hand(layer, x, *, step, zero):
    """Integer weights by output and integer inputs, multiplied as integers."""
    weight = layer.weight.detach()
    scale = weight.abs().amax(dim=1) / 127
    q = (x / step + zero).round().clamp(0, 255) - zero
    return (q @ (weight / scale[:, None]).round().T) * step * scale + layer.bias.detach()


@pytest.mark.skipif(not torch.cpu._is_vnni_supported(), reason="other kernels without VNNI")
def test_int8_by_hand():
    torch.manual_seed(2)
    layer, x = Linear(32, 8), torch.randn(16, 32)
    layer.set_precision("int8")
    x[3] *= 100  # a row of its own scale
    x[5] = 0
    steps = x.abs().amax(dim=1, keepdim=True) / 127
    expected = by_hand(layer, x, step=steps.clamp(min=1e-30), zero=128)
    with torch.no_grad():
        found = layer(x)
        assert torch.equal(found[5], layer.bias)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        error = (found - F.linear(x, layer.weight, layer.bias)).abs()
        assert (error <= 0.02 * x.abs().amax(dim=1, keepdim=True)).all()


def test_int8_of_older_kernels_by_hand():
    torch.manual_seed(2)
    layer, x = Linear(32, 8), torch.randn(16, 32)
    found = _Int8ByBatch(layer.weight.detach(), layer.bias.detach())(x)
    low, high = min(x.min().item(), 0), max(x.max().item(), 0)
    step = (high - low) / 255
    expected = by_hand(layer, x, step=step, zero=round(-low / step))
    if torch.cpu._is_vnni_supported():
        torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)
    assert (found - layer(x)).abs().max() < 0.05


def test_bf16_without_instructions_for_it(layer, monkeypatch):
    """PyTorch refuses to lay out bfloat16 weights for oneDNN on a processor with AVX2 alone."""
    if not kernels.available():
        pytest.skip("this torch has no oneDNN")

    class OldProcessor:
        _linear_pointwise = torch.ops.mkldnn._linear_pointwise

        def _is_mkldnn_bf16_supported(self):
            return False

        def _reorder_linear_weight(self, weight):
            raise RuntimeError("bf16 path needs the cpu support avx_ne_convert or avx512bw")

    kernels.use("onednn")
    monkeypatch.setattr(torch.ops, "mkldnn", OldProcessor())
    x = torch.randn(70, 48)
    try:
        with torch.no_grad():
            exact = F.linear(x, layer.weight, layer.bias)
            layer.set_precision("bf16")
            assert 0 < (layer(x) - exact).abs().max() < ERROR["bf16"] * exact.std()
            assert layer.gelu(x, narrow=True).dtype == torch.bfloat16
    finally:
        kernels.use(None)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_a_row_does_not_depend_on_its_batch(precision):
    torch.manual_seed(4)
    layer, x = Linear(64, 48).eval(), torch.randn(90, 64) * torch.logspace(-2, 2, 90)[:, None]
    layer.set_precision(precision)
    if precision == "int8" and not torch.cpu._is_vnni_supported():
        pytest.skip("other kernels without VNNI")
    with torch.no_grad():
        alone = torch.cat([layer(row[None]) for row in x])
        together = layer(x)
    assert ((alone - together).abs() <= 1e-5 * x.norm(dim=1, keepdim=True)).all()


def test_rows_between_products_may_be_narrow(layer):
    x = torch.randn(9, 48)
    with torch.no_grad():
        for precision in PRECISIONS:
            layer.set_precision(precision)
            wanted = torch.bfloat16 if narrows(precision, x.device) else torch.float32
            for apply in (layer, layer.gelu):
                exact, narrow = apply(x), apply(x, narrow=True)
                assert (exact.dtype, narrow.dtype) == (torch.float32, wanted)
                torch.testing.assert_close(narrow.float(), exact, atol=1e-2, rtol=1e-2)
                if precision != "fp32":  # what is narrow comes in again
                    assert apply(x.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("precision", ERROR)
def test_gradients_are_those_of_float32(layer, precision):
    x = torch.randn(5, 48)
    exact = torch.autograd.grad(layer(x).square().sum(), layer.weight)[0]
    layer.set_precision(precision)
    assert torch.equal(exact, torch.autograd.grad(layer(x).square().sum(), layer.weight)[0])


@pytest.mark.parametrize("precision", ERROR)
def test_new_weights_count_after_they_are_announced(layer, precision):
    x = torch.randn(5, 48)
    set_precision(layer, precision)
    with torch.no_grad():
        before = layer(x)
        layer.weight.data = torch.zeros_like(layer.weight)
        set_precision(layer, precision)
        torch.testing.assert_close(layer(x), layer.bias.expand(5, 40), atol=1e-2, rtol=0)
        assert not torch.equal(before, layer(x))
        set_precision(layer, "fp32")
        assert torch.equal(layer(x), layer.bias.expand(5, 40))


@pytest.mark.parametrize("precision", ERROR)
def test_copies_and_pickles(layer, precision):
    layer.set_precision(precision)
    x = torch.randn(5, 48)
    with torch.no_grad():
        expected = layer(x)
        for made in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            assert made.precision == precision and torch.equal(made(x), expected)
    assert layer.state_dict().keys() == {"weight", "bias"}


@pytest.mark.parametrize("activation", ["gelu", "relu", "swiglu", "geglu"])
@pytest.mark.parametrize("precision", ERROR)
def test_whole_encoder(activation, precision):
    torch.manual_seed(3)
    config = TransformerConfig(n_pieces=50, width=32, depth=2, n_heads=2, activation=activation)
    encoder = TransformerEncoder(config).eval()
    lengths = np.array([3, 9, 1])
    pieces, packing = torch.randint(50, (13,)), Packing.from_lengths(lengths)
    with torch.no_grad():
        exact = encoder(pieces, packing).last
        set_precision(encoder, precision)
        found = encoder(pieces, packing).last
    assert 0 < (found - exact).abs().max() < 4 * ERROR[precision]


def test_unknown_precision(layer):
    with pytest.raises(ValueError, match="E123.*fp16.*fp32, bf16, int8"):
        set_precision(layer, "fp16")


def test_int8_needs_a_cpu():
    layer = Linear(4, 4, device="meta")
    layer.set_precision("int8")
    with torch.no_grad(), pytest.raises(ValueError, match="E124.*meta"):
        layer(torch.empty(2, 4, device="meta"))
