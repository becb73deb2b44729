"""What is put together from settings, and what is found out before."""

import pytest
import torch

from spacy_llm_tasks.nn import kernels
from spacy_llm_tasks.pretraining.assembly import assemble, make_objectives, rehearse
from spacy_llm_tasks.pretraining.materials import Materials
from spacy_llm_tasks.pretraining.settings import Settings
from spacy_llm_tasks.pretraining.team.distributed import Team

from .runs import values, write_texts

CPU = torch.device("cpu")
TWO = {"masked": {"rate": 0.3}, "next_sentence": {"weight": 0.5}}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(kernels, "_chosen", "plain")
    monkeypatch.setattr("spacy_llm_tasks.files.sync", lambda path: None)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    write_texts(path, n=30)
    return path


def put_together(texts, folder, team=None, **changes):
    settings = Settings.from_dict(values(texts, **changes))
    materials = Materials(settings, folder)
    materials.make({}, max_length=32)
    return assemble(settings, folder, materials, team or Team())


def test_the_order_of_objectives_in_a_config_decides_nothing(texts, tmp_path):
    turned = dict(reversed(TWO.items()))
    assert list(turned) != list(TWO)
    loops = [
        put_together(texts, tmp_path, objectives=objectives)[0] for objectives in (TWO, turned)
    ]
    names = [[loop.mixture.names(step) for step in range(40)] for loop in loops]
    assert names[0] == names[1] and len(set(names[0])) == 2
    first, second = (loop.update.model.state_dict() for loop in loops)
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_the_seed_decides_the_weights(texts, tmp_path):
    trunks = [
        put_together(texts, tmp_path, training__seed=seed)[1].model.piece_table
        for seed in (1, 1, 2)
    ]
    assert torch.equal(trunks[0], trunks[1]) and not torch.equal(trunks[0], trunks[2])


def test_processes_have_the_same_weights_and_a_dropout_of_their_own(texts, tmp_path):
    tables, draws = [], []
    for rank in (0, 1):
        _, trunk = put_together(texts, tmp_path, team=Team(rank=rank, world=1))
        tables.append(trunk.model.piece_table)
        draws.append(torch.rand(1).item())
    assert torch.equal(*tables) and draws[0] != draws[1]


def test_all_processes_compute_with_the_kernel_of_the_first(texts, tmp_path):
    class Told(Team):
        def share(self, value):
            return "onednn" if value == "plain" else value

    if not kernels.available():
        pytest.skip("this PyTorch has no other kernel")
    put_together(texts, tmp_path, team=Told())
    assert kernels.current() == "onednn"


def test_framing_is_that_of_the_longest_objective(texts, tmp_path):
    settings = Settings.from_dict(values(texts, objectives=TWO, data__length=29))
    assert rehearse(settings, n_pieces=120, device=CPU) == 32
    with pytest.raises(ValueError, match="E775.*33.*data.length 30, and 3"):
        rehearse(
            Settings.from_dict(values(texts, objectives=TWO, data__length=30)),
            n_pieces=120,
            device=CPU,
        )


def test_a_rehearsal_takes_no_memory(texts, monkeypatch):
    large = {"width": 8192, "depth": 48, "n_heads": 64, "max_length": 32}
    settings = Settings.from_dict(values(texts, model__overrides=large))
    rehearse(settings, n_pieces=250_000, device=CPU)  # 200 GB of weights


def test_settings_of_optimizer_and_schedule_arrive(texts, tmp_path):
    optimizer = {"name": "adamw", "learn_rate": 0.02, "beta1": 0.7, "beta2": 0.8, "eps": 0.5}
    optimizer |= {"weight_decay": 0.3, "clip_norm": 0.25}
    schedule = {"name": "wsd", "warmup": 0.1, "decay": 0.2, "floor": 0.05}
    loop, _ = put_together(
        texts, tmp_path, optimizer=optimizer, schedule=schedule, training__average=0.9
    )
    group = next(g for g in loop.update.optimizer.param_groups if g["name"] == "matrices")
    found = (group["initial_lr"], group["betas"], group["eps"], group["weight_decay"])
    assert found == (0.02, (0.7, 0.8), 0.5, 0.3)
    assert loop.update.clip_norm == 0.25 and loop.update.average.decay == 0.9
    assert vars(loop.schedule) == schedule
    assert loop.evaluation.n_batches == 2
    assert list(make_objectives(Settings.from_dict(values(texts)))) == ["masked"]
