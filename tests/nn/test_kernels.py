import pytest
import torch
from torch.nn import functional as F

from spacy_llm_tasks.nn import kernels
from spacy_llm_tasks.nn.linear import Linear


@pytest.fixture(autouse=True)
def automatic_again():
    yield
    kernels.use(None)


@pytest.fixture
def onednn():
    if not kernels.available():
        pytest.skip("this torch has no oneDNN")
    kernels.use("onednn")


def draw(*shape, **options):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), **options)


def close(a, b):
    return a.shape == b.shape and (a - b).abs().max() <= 1e-5 * max(1.0, b.abs().max().item())


@pytest.mark.parametrize("rows, size, out", [(1, 16, 24), (70, 24, 16), (33, 1, 5), (5, 7, 1)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_values_and_gradients_equal_plain(onednn, rows, size, out, with_bias):
    inputs = [draw(rows, size), draw(out, size), draw(out) if with_bias else None]
    given = [t for t in inputs if t is not None]
    for tensor in given:
        tensor.requires_grad_()
    g = draw(rows, out)
    results = []
    for function in (kernels.linear, F.linear):
        y = function(*inputs)
        results.append((y, *torch.autograd.grad(y, given, g)))
    for ours, plain in zip(*results, strict=True):
        assert close(ours, plain)


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 1), (1, 2)])
def test_only_the_gradients_asked_for(onednn, wanted):
    inputs = [draw(9, 6), draw(4, 6), draw(4)]
    for i in wanted:
        inputs[i].requires_grad_()
    asked = [inputs[i] for i in wanted]
    ours = torch.autograd.grad(kernels.linear(*inputs).sin().sum(), asked)
    plain = torch.autograd.grad(F.linear(*inputs).sin().sum(), asked)
    assert all(close(a, b) for a, b in zip(ours, plain, strict=True))


def test_finite_differences(onednn):
    x, weight, bias = draw(3, 4), draw(2, 4).requires_grad_(), draw(2)
    gradient = torch.autograd.grad(kernels.linear(x, weight, bias).square().sum(), weight)[0]
    step = 1e-2
    for i in range(2):
        for j in range(4):
            shifted = [weight.detach().clone() for _ in range(2)]
            shifted[0][i, j] += step
            shifted[1][i, j] -= step
            up, down = (kernels.linear(x, w, bias).square().sum() for w in shifted)
            assert gradient[i, j].item() == pytest.approx((up - down).item() / 2 / step, rel=1e-2)


@pytest.mark.parametrize(
    "x",
    [
        draw(12, 16)[:, ::2],
        draw(12, 24)[:, 8:16],
        draw(8, 12).t(),
        draw(1, 8).expand(12, 8),
        draw(24, 8)[::2],
        draw(3, 4, 8),
        draw(8),
        draw(0, 8),
        draw(2, 0, 8),
    ],
    ids=["columns", "slice", "transposed", "expanded", "rows", "3d", "1d", "empty", "empty 3d"],
)
def test_inputs_of_any_layout(onednn, x):
    weight, bias = draw(10, 16)[:, ::2], draw(20)[::2]
    with torch.no_grad():
        assert torch.allclose(kernels.linear(x, weight, bias), F.linear(x, weight, bias), atol=1e-5)
        gelu = F.gelu(F.linear(x, weight, bias))
        assert torch.allclose(kernels.linear_gelu(x, weight, bias), gelu, atol=1e-5)
    weight.requires_grad_()
    sums = [f(x, weight, bias).sum() for f in (kernels.linear, F.linear)]  # a gradient of stride 0
    ours, plain = (torch.autograd.grad(total, weight)[0] for total in sums)
    assert torch.allclose(ours, plain, atol=1e-4)


def test_gelu_is_the_exact_one(onednn):
    x = torch.linspace(-6, 6, 4001)[:, None]
    one = torch.ones(1, 1)
    exact = F.gelu(x.double(), approximate="none")
    assert (kernels.linear_gelu(x, one).double() - exact).abs().max() < 2e-6
    weight = one.clone().requires_grad_()
    gradient = torch.autograd.grad(kernels.linear_gelu(x, weight).sum(), weight)[0]
    expected = torch.autograd.grad(F.gelu(x @ weight).sum(), weight)[0]
    assert close(gradient, expected)


def test_weights_may_be_replaced_between_calls(onednn):
    layer, x = Linear(8, 6), draw(5, 8)
    for train in (False, True, False):
        layer.train(train)
        layer.weight.data = draw(6, 8) * (1 + train)
        layer.weight.data.mul_(2)
        assert close(layer(x), F.linear(x, layer.weight, layer.bias))


def test_other_types_fall_back(onednn):
    x, weight = draw(4, 8), draw(6, 8)
    for dtype in (torch.float64, torch.bfloat16):
        y = kernels.linear(x.to(dtype), weight.to(dtype))
        assert y.dtype == dtype and torch.equal(y, F.linear(x.to(dtype), weight.to(dtype)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert kernels.linear(x, weight).dtype == torch.bfloat16
        assert kernels.linear_gelu(x, weight.requires_grad_()).dtype == torch.bfloat16
    meta = kernels.linear(x.to("meta"), weight.to("meta"))
    assert meta.device.type == "meta" and meta.shape == (4, 6)


@pytest.mark.gpu
def test_a_gpu_falls_back(onednn):
    x, weight = draw(4, 8).cuda(), draw(6, 8).cuda()
    assert torch.equal(kernels.linear(x, weight), F.linear(x, weight))


def test_works_in_inference_mode(onednn):
    with torch.inference_mode():
        assert kernels.linear(draw(2, 8), draw(6, 8)).shape == (2, 6)


def test_choice(monkeypatch):
    monkeypatch.delenv(kernels.ENVIRONMENT, raising=False)
    kernels.use(None)
    assert kernels.current() in kernels.KERNELS
    kernels.use("plain")
    assert kernels.current() == "plain"
    with pytest.raises(ValueError, match="E108.*'mkl'"):
        kernels.use("mkl")
    assert kernels.current() == "plain"


def test_choice_by_environment(monkeypatch):
    kernels.use(None)
    monkeypatch.setenv(kernels.ENVIRONMENT, "plain")
    assert kernels.current() == "plain"
    kernels.use(None)
    monkeypatch.setenv(kernels.ENVIRONMENT, "fast")
    with pytest.raises(ValueError, match="E108.*'fast'"):
        kernels.current()


def test_without_onednn(monkeypatch):
    monkeypatch.delenv(kernels.ENVIRONMENT, raising=False)
    monkeypatch.setattr(kernels, "available", lambda: False)
    with pytest.raises(ValueError, match="E110"):
        kernels.use("onednn")
    kernels.use(None)
    assert kernels.current() == "plain"


def test_few_numbers_of_rows():
    cpu = torch.device("cpu")
    found = [kernels.n_rows_for(n, cpu) for n in range(4097)]
    assert found[:3] == [0, 1, 8] and found[1000:1002] == [1024, 1024] and found[-1] == 4096
    assert all(n <= m <= n + max(7, min(n / 16, 63)) for n, m in enumerate(found))
    assert len(set(found)) == 114
    assert kernels.n_rows_for(1001, torch.device("meta")) == 1001
