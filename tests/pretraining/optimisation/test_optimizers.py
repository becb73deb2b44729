import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from spacy_llm_tasks.pretraining.optimisation.muon import Muon
from spacy_llm_tasks.pretraining.optimisation.optimizers import make_optimizer

from ..toys import ToyModel, state_of, train

KINDS = [
    {"name": "adamw", "fused": True},
    {"name": "adamw", "fused": False},
    {"name": "adamw"},
    {"name": "muon"},
    {"name": "muon", "fused": False},
]


def names_by_group(model, optimizer):
    names = {parameter: name for name, parameter in model.named_parameters()}
    return [(g["name"], g, {names[p] for p in g["params"]}) for g in optimizer.param_groups]


def test_every_parameter_is_stepped_by_what_suits_it():
    model = ToyModel()
    optimizer = make_optimizer(model, name="muon", learn_rate=0.1, weight_decay=0.3)
    groups = names_by_group(model, optimizer)
    grouped = sorted(name for _, _, names in groups for name in names)
    assert grouped == sorted(dict(model.named_parameters()))
    muon, adamw = optimizer.optimizers
    assert isinstance(muon, Muon) and isinstance(adamw, torch.optim.AdamW)
    by_parts = {g["parts"]: names for name, g, names in groups if name == "matrices"}
    layers = {parts: {n.split(".")[-2] for n in names} for parts, names in by_parts.items()}
    assert layers == {3: {"qkv"}, 2: {"up"}, 1: {"output", "down"}}
    assert all(name.startswith("trunk.blocks.") for names in by_parts.values() for name in names)
    tables = next(names for name, _, names in groups if name == "tables")
    assert tables == {
        "heads.a.weight",
        "heads.b.weight",
        "trunk.embeddings.pieces.weight",
        "trunk.embeddings.positions.weight",
    }
    for name, group, names in groups:
        assert group["weight_decay"] == (0.0 if name == "vectors" else 0.3)
        if name == "vectors":
            assert all("norm" in n or n.endswith("bias") for n in names)


def test_matrices_may_decay_faster_than_tables():
    for name, of_matrices in (("muon", 0.4), ("adamw", 0.1)):
        optimizer = make_optimizer(
            ToyModel(), name=name, learn_rate=0.1, weight_decay=0.1, matrix_weight_decay=0.4
        )
        decays = {(group["name"], group["weight_decay"]) for group in optimizer.param_groups}
        assert decays == {("matrices", of_matrices), ("tables", 0.1), ("vectors", 0.0)}


def test_without_muon_all_is_adamw():
    model = ToyModel()
    optimizer = make_optimizer(model, name="adamw", learn_rate=0.1, betas=(0.8, 0.9), eps=1e-5)
    assert len(optimizer.optimizers) == 1
    for group in optimizer.param_groups:
        assert (group["lr"], group["betas"], group["eps"]) == (0.1, (0.8, 0.9), 1e-5)


def test_a_network_without_gate_is_one_matrix():
    model = nn.ModuleDict({"blocks": nn.ModuleDict({"up": nn.Linear(4, 8)})})
    model["blocks"]["down"] = nn.Linear(8, 4)
    optimizer = make_optimizer(model, name="muon", learn_rate=0.1)
    assert [g["parts"] for g in optimizer.param_groups if g["name"] == "matrices"] == [1]


def test_adamw_equals_the_one_of_torch():
    model, reference = ToyModel(), ToyModel()
    settings = {"weight_decay": 0.1, "betas": (0.9, 0.99), "eps": 1e-6}
    train(model, make_optimizer(model, name="adamw", learn_rate=0.01, **settings), range(3))
    matrices = [p for p in reference.parameters() if p.dim() == 2]
    vectors = [p for p in reference.parameters() if p.dim() != 2]
    groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    train(reference, torch.optim.AdamW(groups, lr=0.01, **settings), range(3))
    for ours, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_going_on_after_a_load_equals_not_having_stopped(kind, tmp_path):
    model = ToyModel()
    optimizer = make_optimizer(model, learn_rate=0.01, **kind)
    train(model, optimizer, range(3))
    save_file(dict(model.named_parameters()), tmp_path / "model")
    save_file(optimizer.state_dict(), tmp_path / "optimizer")
    train(model, optimizer, range(3, 6))

    again = ToyModel(seed=1)
    again.load_state_dict(load_file(tmp_path / "model"))
    restored = make_optimizer(again, learn_rate=0.01, **kind)
    restored.load_state_dict(load_file(tmp_path / "optimizer"))
    train(again, restored, range(3, 6))
    for (name, a), b in zip(state_of(model).items(), state_of(again).values(), strict=True):
        assert torch.equal(a, b), name
    first, second = optimizer.state_dict(), restored.state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)

    # and it is the state that does it
    without = ToyModel(seed=1)
    without.load_state_dict(load_file(tmp_path / "model"))
    train(without, make_optimizer(without, learn_rate=0.01, **kind), range(3, 6))
    name = "trunk.blocks.0.attention.qkv.weight"
    assert not torch.equal(state_of(without)[name], state_of(model)[name])


def test_a_parameter_that_never_had_a_gradient_has_no_state():
    model = ToyModel()
    optimizer = make_optimizer(model, name="adamw", learn_rate=0.01)
    train(model, optimizer, [0])
    assert not any(key.startswith("heads.b") for key in optimizer.state_dict())
    again = ToyModel()
    restored = make_optimizer(again, name="adamw", learn_rate=0.01)
    train(again, restored, [1])
    restored.load_state_dict(optimizer.state_dict())
    assert restored.state_dict().keys() == optimizer.state_dict().keys()


def test_loading_replaces_and_does_not_share():
    model, again = ToyModel(), ToyModel()
    optimizer = make_optimizer(model, name="muon", learn_rate=0.01)
    train(model, optimizer, range(2))
    before = {key: tensor.clone() for key, tensor in optimizer.state_dict().items()}
    restored = make_optimizer(again, name="muon", learn_rate=0.01)
    restored.load_state_dict(optimizer.state_dict())
    train(again, restored, range(2))
    assert all(torch.equal(before[k], t) for k, t in optimizer.state_dict().items())


def test_names_are_those_of_the_bare_model():
    model = ToyModel()
    wrapped = nn.ModuleDict({"module": model})
    optimizer = make_optimizer(wrapped, name="muon", learn_rate=0.01)
    train(model, optimizer, range(2))
    restored = make_optimizer(ToyModel(), name="muon", learn_rate=0.01)
    restored.load_state_dict(optimizer.state_dict())


@pytest.mark.parametrize("name, other", [("adamw", "muon"), ("muon", "adamw")])
def test_the_state_of_another_optimizer_is_refused_and_nothing_is_lost(name, other):
    model = ToyModel()
    optimizer = make_optimizer(model, name=name, learn_rate=0.01)
    train(model, optimizer, range(2))
    before = {key: tensor.clone() for key, tensor in optimizer.state_dict().items()}
    stranger = make_optimizer(model, name=other, learn_rate=0.01)
    train(model, stranger, range(2))
    with pytest.raises(ValueError, match="E744.*blocks"):
        optimizer.load_state_dict(stranger.state_dict())
    assert all(torch.equal(before[k], t) for k, t in optimizer.state_dict().items())


def test_the_state_of_another_model_is_refused():
    small, deep, wide = ToyModel(depth=1), ToyModel(depth=2), ToyModel(depth=1, width=32)
    states = []
    for model in (deep, wide):
        states.append(make_optimizer(model, name="adamw", learn_rate=0.01))
        train(model, states[-1], range(2))
    optimizer = make_optimizer(small, name="adamw", learn_rate=0.01)
    with pytest.raises(ValueError, match="E744.*blocks.1"):
        optimizer.load_state_dict(states[0].state_dict())
    with pytest.raises(ValueError, match="E745.*shape"):
        optimizer.load_state_dict(states[1].state_dict())


def test_rates_are_scaled_from_those_given():
    optimizer = make_optimizer(ToyModel(), name="muon", learn_rate=0.01, matrix_learn_rate=0.5)
    for factor in (0.5, 0.25):
        optimizer.scale_rates(factor)
        rates = {g["name"]: g["lr"] for g in optimizer.param_groups}
        assert rates == {
            "matrices": 0.5 * factor,
            "tables": 0.01 * factor,
            "vectors": 0.01 * factor,
        }


def test_frozen_parameters_are_left_out():
    model = ToyModel()
    model.trunk.embeddings.requires_grad_(False)
    optimizer = make_optimizer(model, name="muon", learn_rate=0.01)
    train(model, optimizer, range(2))
    assert not any("embeddings" in key for key in optimizer.state_dict())


def test_learning_works():
    for kind in KINDS:
        model = ToyModel()
        optimizer = make_optimizer(model, learn_rate=0.01, **kind)
        batch = [[1, 2, 3, 4], [5, 6, 7]]
        before = model("a", batch).total.item()
        for _ in range(20):
            optimizer.zero_grad()
            model("a", batch).total.backward()
            optimizer.step()
        assert model("a", batch).total.item() < 0.2 * before, kind


@pytest.mark.parametrize(
    "settings, code",
    [
        ({"name": "adam"}, "E740.*muon"),
        ({"name": "adamw", "learn_rate": -1}, "E741.*learn_rate"),
        ({"name": "adamw", "betas": (0.9, 1.0)}, "E741.*beta2"),
        ({"name": "muon", "momentum": 1.0}, "E741.*momentum"),
        ({"name": "muon", "weight_decay": float("nan")}, "E741.*weight_decay"),
        ({"name": "muon", "matrix_weight_decay": -0.1}, "E741.*matrix_weight_decay"),
    ],
)
def test_what_is_out_of_range_is_refused_by_name(settings, code):
    with pytest.raises(ValueError, match=code):
        make_optimizer(ToyModel(), **{"learn_rate": 0.01, **settings})
