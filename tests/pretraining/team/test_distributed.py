"""Two real processes, started once; what they wrote is compared with one process."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from spacy_llm_tasks.nn import kernels
from spacy_llm_tasks.pretraining.optimisation.average import Average
from spacy_llm_tasks.pretraining.team.distributed import Team
from spacy_llm_tasks.pretraining.team.names import named_tensors, plain
from spacy_llm_tasks.pretraining.team.replicas import accumulating, collect, spread, unwrap, wrap

from ..toys import ToyModel
from ..two_ranks import COPIED, SHARDED, batches_of, make

ROOT = Path(__file__).parents[3]
PLANS = {"copied": COPIED, "sharded": SHARDED}
RUNS = [(kind, name) for kind in PLANS for name in ("adamw", "muon")]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two_ranks")
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    command = [sys.executable, "-m", "tests.pretraining.two_ranks", str(folder)]
    processes = []
    for rank in ("0", "1"):
        environment = {**os.environ, **place, "RANK": rank, "LOCAL_RANK": rank}
        settings = {"cwd": ROOT, "env": environment, "stderr": subprocess.PIPE, "text": True}
        processes.append(subprocess.Popen(command, **settings))
    try:
        errors = [process.communicate(timeout=120)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    return folder


@pytest.fixture(autouse=True)
def plain_kernel(monkeypatch):
    monkeypatch.setattr(kernels, "_chosen", "plain")


def read(results, kind, name, part):
    return load_file(results / f"{kind} {name} {part}.safetensors")


def facts_of(results, kind, name):
    return json.loads((results / f"{kind} {name}.json").read_text())


def step_alone(model, optimizer, plan, step):
    """The same step by one process, on the micro-batches of both. RETURNS the norm."""
    optimizer.zero_grad()
    batches = [batch for rank in (0, 1) for batch in batches_of(plan, step, rank)]
    count = sum(len(sequence) for _, batch in batches for sequence in batch)
    losses = [model(name, batch).total for name, batch in batches]
    (sum(losses) / count).backward()
    found = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    norm = nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    optimizer.step()
    return found, norm.item()


def assert_near(found, expected, room):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        difference = (found[name] - tensor).abs().max().item()
        assert difference <= room + 1e-4 * tensor.abs().max().item(), name


@pytest.mark.parametrize("kind, name", RUNS)
def test_two_processes_do_what_one_does(results, kind, name):
    model, plan = ToyModel(seed=0), PLANS[kind]
    optimizer, average = make(model, name), Average(model, decay=0.5)
    for step in range(2):
        gradients, norm = step_alone(model, optimizer, plan, step)
        average.update()
        assert facts_of(results, kind, name)["norms"][step] == pytest.approx(norm, rel=1e-4)
        if step == 0:
            assert_near(read(results, kind, name, "gradients"), gradients, 1e-6)
    assert_near(read(results, kind, name, "model"), dict(named_tensors(model)), 2e-5)
    assert_near(read(results, kind, name, "average"), average.state_dict(), 2e-5)
    assert_near(read(results, kind, name, "swapped"), average.weights, 2e-5)


@pytest.mark.parametrize("kind, name", RUNS)
def test_what_two_save_one_goes_on_from(results, kind, name):
    model, plan = ToyModel(seed=3), PLANS[kind]
    optimizer = make(model, name)
    spread(read(results, kind, name, "model"), named_tensors(model), Team())
    optimizer.load_state_dict(read(results, kind, name, "optimizer"))
    step_alone(model, optimizer, plan, 2)
    assert_near(read(results, kind, name, "end"), dict(named_tensors(model)), 2e-5)


@pytest.mark.parametrize("kind, name", RUNS)
def test_what_two_save_two_go_on_from_to_the_bit(results, kind, name):
    for part in ("end", "average end"):
        found, expected = (read(results, kind, name, p) for p in (f"{part} again", part))
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[n], tensor) for n, tensor in expected.items())
    moved = read(results, kind, name, "model")["trunk.blocks.0.attention.qkv.weight"]
    end = read(results, kind, name, "end")["trunk.blocks.0.attention.qkv.weight"]
    assert not torch.equal(moved, end)


def test_sharding_shares_the_optimizer_out(results):
    copied = facts_of(results, "copied", "adamw")["numbers kept"]
    sharded = facts_of(results, "sharded", "adamw")["numbers kept"]
    assert copied[0] == copied[1] and sum(sharded) < 1.02 * copied[0]
    assert max(sharded) < 0.6 * copied[0]


def test_what_members_tell_each_other(results):
    facts = json.loads((results / "talk.json").read_text())
    assert facts["gather"] == [{"rank": 0, "text": ""}, {"rank": 1, "text": "üüüüü"}]
    assert facts["share"] == ["from", 0, None]
    assert facts["sum"] == [2.0, [2, 1]] and facts["own"] == 1.0
    assert facts["factor"] == 0.5 and facts["nothing"] == 0.0
    assert facts["on_first"] == {"done by": 0}
    (kind, text), (other, told) = facts["failure"]
    assert (kind, text) == ("OSError", "no room")
    assert other == "ToldByFirst" and "E752" in told and "no room" in told
    assert facts["not sent"] == ["TypeError", "ToldByFirst"]
    assert facts["refused"] == [["[E753]"] * 2, ["[E745]"] * 2]
    (first, again), (second, once_more) = facts["draws"]
    assert first == again and second == once_more and first != second


def test_a_team_of_one_does_nothing():
    team, model = Team(), ToyModel()
    assert team.is_first and team.is_alone
    assert team.gather(3) == [3] and team.share("x") == "x" and team.on_first(lambda: 4) == 4
    assert team.sum(1.5) == 1.5 and team.factor(4) == 0.25 and team.factor(0) == 0.0
    assert wrap(model, team, sharded=True) is model and unwrap(model) is model
    with accumulating(model, is_last=False):
        model("a", [[1, 2]]).total.backward()
    assert model.heads["a"].weight.grad is not None
    team.barrier()
    team.close()
    saved = collect(named_tensors(model), team)
    other = ToyModel(seed=1)
    spread(saved, named_tensors(other), team)
    assert all(torch.equal(saved[n], p) for n, p in other.named_parameters())
    with pytest.raises(ValueError, match="E753.*heads.a.bias"):
        spread({n: t for n, t in saved.items() if n != "heads.a.bias"}, named_tensors(other), team)


def test_names_are_plain():
    assert plain("module._orig_mod.trunk.blocks.0._checkpoint_wrapped_module.up.weight") == (
        "trunk.blocks.0.up.weight"
    )
    model = nn.ModuleDict({"module": nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})})
    inner = model["module"]
    inner["b"].weight = inner["a"].weight
    inner["a"].register_buffer("seen", torch.zeros(2))
    inner["a"].register_buffer("cache", torch.zeros(2), persistent=False)
    assert sorted(named_tensors(model)) == ["a.bias", "a.seen", "a.weight", "b.bias"]


def test_the_environment_decides(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    assert Team.from_environment("cpu") == Team()
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert Team.from_environment("cpu") == Team()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(ValueError, match="E749.*LOCAL_RANK, MASTER_ADDR, MASTER_PORT"):
        Team.from_environment("cpu")
    for name in ("LOCAL_RANK", "MASTER_PORT"):
        monkeypatch.setenv(name, "99")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with pytest.raises(ValueError, match="E750.*cuda:99"):
        Team.from_environment("cuda")
