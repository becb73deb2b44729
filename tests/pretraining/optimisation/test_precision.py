import json
import math

import pytest
import torch
from torch import nn

from spacy_llm_tasks.pretraining.optimisation.optimizers import make_optimizer
from spacy_llm_tasks.pretraining.optimisation.precision import MixedPrecision

from ..toys import ToyModel, batch_of, state_of

CPU = torch.device("cpu")


def stepped(precision, model, *, max_norm=1.0, factor=1.0):
    """RETURNS the norm, whether there was a step."""
    optimizer = make_optimizer(model, name="adamw", learn_rate=0.01)
    with precision.forward():
        loss = model("a", batch_of(5, 3))
    precision.backward(loss.total * factor)
    norm = precision.clip(model, optimizer, max_norm=max_norm)
    return norm, precision.step(optimizer)


@pytest.mark.parametrize("name, dtype", [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_products_have_the_precision_and_weights_do_not(name, dtype):
    layer = nn.Linear(4, 4)
    precision = MixedPrecision(name, device=CPU)
    with precision.forward():
        rows = layer(torch.ones(2, 4))
    assert rows.dtype == dtype
    precision.backward(rows.float().sum())
    assert layer.weight.grad.dtype == torch.float32
    assert precision.state_dict() == {}


def test_bfloat16_is_near_to_float32():
    norms = {}
    for name in ("fp32", "bf16"):
        norms[name], done = stepped(MixedPrecision(name, device=CPU), ToyModel())
        assert done
    assert 0 < abs(norms["bf16"] / norms["fp32"] - 1) < 0.02


@pytest.mark.parametrize("max_norm", [0.0, 0.5, 1e9])
def test_clipping(max_norm):
    model = ToyModel()
    model("a", batch_of(5, 3)).total.backward()
    before = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    norm = torch.stack([g.square().sum() for g in before.values()]).sum().sqrt().item()
    optimizer = make_optimizer(model, name="adamw", learn_rate=0.01)
    found = MixedPrecision("fp32", device=CPU).clip(model, optimizer, max_norm=max_norm)
    assert found == pytest.approx(norm) and norm > 0.5
    share = 0.5 / norm if max_norm == 0.5 else 1.0
    for name, gradient in before.items():
        torch.testing.assert_close(model.get_parameter(name).grad, gradient * share)


@pytest.mark.parametrize("name", ["fp32", "bf16"])
@pytest.mark.parametrize("max_norm", [0.0, 1.0])
@pytest.mark.parametrize("factor", [math.inf, math.nan])
def test_a_step_of_gradients_that_are_not_finite_is_left_out(name, max_norm, factor):
    model = ToyModel()
    before = state_of(model)
    norm, done = stepped(MixedPrecision(name, device=CPU), model, max_norm=max_norm, factor=factor)
    assert not math.isfinite(norm) and not done
    assert all(torch.equal(before[n], w) for n, w in state_of(model).items())


def test_a_step_without_a_look_at_the_gradients_is_refused():
    model = ToyModel()
    precision = MixedPrecision("fp32", device=CPU)
    stepped(precision, model)
    with pytest.raises(RuntimeError, match="E754"):
        precision.step(make_optimizer(model, name="adamw", learn_rate=0.01))


def scaled(scale):
    """float16's way of scaling the loss, where no GPU is at hand; products stay in float32."""
    precision = MixedPrecision("fp32", device=CPU)
    precision.scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=2)
    return precision


def test_scaling_the_loss_changes_nothing_but_its_range():
    plain, other = ToyModel(), ToyModel()
    expected, _ = stepped(MixedPrecision("fp32", device=CPU), plain)
    norm, done = stepped(scaled(1024.0), other)
    assert done and norm == pytest.approx(expected)
    for a, b in zip(state_of(plain).values(), state_of(other).values(), strict=True):
        torch.testing.assert_close(a, b)


def test_the_scale_falls_when_gradients_overflow_and_grows_when_not():
    model, precision = ToyModel(), scaled(1024.0)
    before = state_of(model)
    assert not stepped(precision, model, factor=math.inf)[1]
    assert precision.scaler.get_scale() == 512.0
    assert all(torch.equal(before[n], w) for n, w in state_of(model).items())
    for _ in range(2):
        model.zero_grad()
        assert stepped(precision, model)[1]
    assert precision.scaler.get_scale() == 1024.0


def test_the_scale_is_saved():
    model, precision = ToyModel(), scaled(1024.0)
    stepped(precision, model)
    state = json.loads(json.dumps(precision.state_dict()))
    again = scaled(1.0)
    again.load_state_dict(state)
    again.load_state_dict({})
    for each in (precision, again):
        model.zero_grad()
        stepped(each, model)
    assert precision.scaler.get_scale() == again.scaler.get_scale() == 2048.0
    MixedPrecision("bf16", device=CPU).load_state_dict(state)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="E748.*bf16"):
        MixedPrecision("fp16", device=CPU)
    with pytest.raises(ValueError, match="E740.*fp16"):
        MixedPrecision("fp8", device=CPU)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_on_a_gpu(name):
    device = torch.device("cuda")
    layer = nn.Linear(4, 4).to(device)
    optimizer = make_optimizer(layer, name="adamw", learn_rate=0.01)
    precision = MixedPrecision(name, device=device)
    with precision.forward():
        # An eighth: times the first scale, 65,536, it is still within float16.
        loss = layer(torch.ones(2, 4, device=device)).float().sum() / 8
    precision.backward(loss)
    assert precision.clip(layer, optimizer, max_norm=1.0) == pytest.approx(
        math.sqrt(4 * 4 * 4 + 4 * 4) / 8
    )
    assert precision.step(optimizer)
