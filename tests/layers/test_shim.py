"""What our shim does that thinc's does not."""

import pickle
import sys

import numpy as np
import pytest
import srsly
import torch
from thinc.api import Adam
from torch import nn

from spacy_llm_tasks.layers import memory
from spacy_llm_tasks.layers.encoder_shim import EncoderShim
from spacy_llm_tasks.layers.shim import TorchShim, load_state


class Layered(nn.Module):
    depth = 2

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width, bias=False)

    def layer_of(self, name: str) -> int:
        return {"first": 1, "second": 2}[name.split(".")[0]]


class Optimizer:
    """Notes what it was asked, moves every weight by one."""

    def __init__(self, clip_norm=None):
        self.clip_norm = clip_norm
        self.asked, self.calls = [], {}

    def options_for(self, **group):
        self.asked.append(group)
        return {"lr_scale": 1.0}

    def __call__(self, key, weights, gradient, *, lr_scale):
        assert key not in self.calls
        self.calls[key] = gradient.copy()
        return weights + lr_scale, gradient


def make_shim(role="encoder"):
    torch.manual_seed(0)
    shim = TorchShim(Layered, role=role)
    shim.materialize(width=3)
    return shim


def give_gradients(shim):
    x = torch.ones(2, 3)
    (shim.module.second(shim.module.first(x)) * 10).sum().backward()


def test_groups():
    shim, optimizer = make_shim(), Optimizer()
    give_gradients(shim)
    before = {n: p.detach().clone() for n, p in shim.module.named_parameters()}
    shim.finish_update(optimizer)
    assert optimizer.asked == [
        {"role": "encoder", "name": "first.weight", "ndim": 2, "layer": 1, "depth": 2},
        {"role": "encoder", "name": "first.bias", "ndim": 1, "layer": 1, "depth": 2},
        {"role": "encoder", "name": "second.weight", "ndim": 2, "layer": 2, "depth": 2},
    ]
    for name, parameter in shim.module.named_parameters():
        torch.testing.assert_close(parameter.data, before[name] + 1)
        assert parameter.grad is None
    shim.finish_update(optimizer)  # nothing came in since: nothing is stepped
    assert len(optimizer.calls) == 3


def test_a_head_without_layers():
    shim, optimizer = TorchShim(nn.Linear, role="head"), Optimizer()
    shim.materialize(in_features=2, out_features=1)
    shim.module(torch.ones(1, 2)).sum().backward()
    shim.finish_update(optimizer)
    assert {(g["role"], g["layer"], g["depth"]) for g in optimizer.asked} == {("head", None, None)}


def test_global_norm():
    shim, optimizer = make_shim(), Optimizer(clip_norm=0.5)
    give_gradients(shim)
    shim.finish_update(optimizer)
    norm = np.sqrt(sum((g**2).sum() for g in optimizer.calls.values()))
    assert norm == pytest.approx(0.5, rel=1e-3)


def test_thincs_own_optimizer():
    shim = make_shim()
    give_gradients(shim)
    before = shim.module.first.weight.detach().clone()
    shim.finish_update(Adam(0.1))
    assert not torch.equal(shim.module.first.weight, before)


def test_other_parameters_for_a_while():
    shim = make_shim()
    own = {n: p.data for n, p in shim.module.named_parameters()}
    other = {(shim.id, "first.weight"): np.full((3, 3), 7, "float32"), (-1, "second.weight"): None}
    with pytest.raises(KeyboardInterrupt), shim.use_params(other):
        assert (shim.module.first.weight == 7).all()
        assert torch.equal(shim.module.second.weight, own["second.weight"])
        raise KeyboardInterrupt
    for name, parameter in shim.module.named_parameters():
        assert parameter.data_ptr() == own[name].data_ptr(), name
    with TorchShim(Layered, role="head").use_params(other):  # not built
        pass


def test_bytes_without_pickle():
    shim = make_shim()
    data = shim.to_bytes()
    for opcode_trace in (b"torch", b"collections", b"OrderedDict", b"persistent_id", b"PK\x03\x04"):
        assert opcode_trace not in data
    other = TorchShim(Layered, role="encoder").from_bytes(data)
    for a, b in zip(shim.module.parameters(), other.module.parameters(), strict=True):
        assert torch.equal(a, b)
    assert (
        not TorchShim(Layered, role="encoder")
        .from_bytes(TorchShim(Layered, role="encoder").to_bytes())
        .is_built
    )


def test_checksum_of_the_weights():
    msg = srsly.msgpack_loads(make_shim().to_bytes())
    state = bytearray(msg["state"])
    state[-1] ^= 1
    damaged = {**msg, "state": bytes(state)}
    with pytest.raises(ValueError, match="E451.*encoder"):
        TorchShim(Layered, role="encoder").from_bytes(srsly.msgpack_dumps(damaged))
    damaged.pop("state_sha256")  # as saved by earlier versions
    assert TorchShim(Layered, role="encoder").from_bytes(srsly.msgpack_dumps(damaged)).is_built


def test_not_built():
    with pytest.raises(ValueError, match="E401"):
        TorchShim(Layered, role="head").module  # noqa: B018


def test_state_that_does_not_fit():
    module = Layered(width=3)
    state = module.state_dict()
    with pytest.raises(ValueError, match="E403.*first.weight"):
        load_state(module, {**state, "first.weight": torch.zeros(2, 2)})
    with pytest.raises(ValueError, match="E402.*nothing"):
        load_state(module, {**state, "nothing": torch.zeros(1)})
    state.pop("second.weight")
    with pytest.raises(ValueError, match="E402.*second.weight"):
        load_state(module, state)


def test_copies():
    shim = make_shim()
    copied = shim.copy()
    assert copied.id != shim.id
    copied.module.first.weight.data.zero_()
    assert shim.module.first.weight.any()
    loaded = pickle.loads(pickle.dumps(shim))
    assert torch.equal(loaded.module.first.weight, shim.module.first.weight)


def test_prediction_leaves_evaluation_mode():
    shim = make_shim()
    assert shim.training(None).training
    with shim.predicting() as module:
        assert not module.training and not torch.is_grad_enabled()
    assert not module.training and torch.is_grad_enabled()


def test_free_memory_is_given_back_from_time_to_time(monkeypatch):
    asked = []
    monkeypatch.setattr(memory, "ROWS", 30)
    monkeypatch.setattr(memory, "give_back", lambda: asked.append(True))
    shim = EncoderShim({})
    for _ in range(7):
        shim.count_rows(12)
    assert len(asked) == 2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks glibc")
def test_giving_memory_back_is_harmless():
    assert memory.give_back() in (True, False)
