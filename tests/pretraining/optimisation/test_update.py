"""One step, however it is cut into micro-batches, and what does not make it one."""

import math

import numpy as np
import pytest
import torch

from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.pretraining.model import PretrainingModel
from spacy_llm_tasks.pretraining.objectives import Contrastive, MaskedLM, NextSentence
from spacy_llm_tasks.pretraining.optimisation.average import Average
from spacy_llm_tasks.pretraining.optimisation.optimizers import make_optimizer
from spacy_llm_tasks.pretraining.optimisation.precision import MixedPrecision
from spacy_llm_tasks.pretraining.optimisation.update import Update
from spacy_llm_tasks.pretraining.team.distributed import Team, ToldByFirst

from ..objectives.examples import SPECIAL, chunks_of, config_of, rng_of
from ..toys import state_of

MASKED = MaskedLM(rate=0.3)
NEXT = NextSentence()


def make(tmp_path, *objectives, weights=None, clip_norm=0.0, average=None, team=None):
    torch.manual_seed(2)
    model = PretrainingModel(TransformerEncoder(config_of()), objectives)
    return Update(
        model,
        make_optimizer(model, name="adamw", learn_rate=0.01, eps=1e-4),
        weights=weights or {objective.name: 1.0 for objective in objectives},
        precision=MixedPrecision("fp32", device=torch.device("cpu")),
        team=team or Team(),
        clip_norm=clip_norm,
        average=None if average is None else Average(model, decay=average),
        culprits=tmp_path / "culprits.npz",
    )


def batch(objective, *lengths, seed=0):
    chunks = chunks_of(lengths, seed=seed)
    return objective.prepare(chunks, SPECIAL, rng=rng_of(seed), progress=0.0)


def assert_same_weights(first, second, room=1e-6):
    expected = state_of(second.model)
    for name, tensor in state_of(first.model).items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=room)


def test_micro_batches_are_one_batch(tmp_path):
    """Two of unequal size step as the mean over all predictions, not as a mean of means."""
    first, second = batch(MASKED, 20, 20, 13, seed=1), batch(MASKED, 4, seed=2)
    assert first.count > 5 * second.count
    together = make(tmp_path, MASKED)
    tally = together({"masked": [first, second]}, factor=0.5)
    plain = make(tmp_path, MASKED)
    losses = [plain.model("masked", part) for part in (first, second)]
    mean = sum(loss.total for loss in losses) / (first.count + second.count)
    mean.backward()
    plain.optimizer.scale_rates(0.5)
    plain.optimizer.step()
    assert_same_weights(together, plain)
    assert tally.loss("masked") == pytest.approx(mean.item(), rel=1e-6)
    assert all(p.grad is None for p in together.model.parameters())


def test_objectives_are_added_by_their_weights(tmp_path):
    batches = {"masked": [batch(MASKED, 20, 13)], "next_sentence": [batch(NEXT, 20, 13, 9)]}
    together = make(tmp_path, MASKED, NEXT, weights={"masked": 1.0, "next_sentence": 0.25})
    together(batches, factor=1.0)
    plain = make(tmp_path, MASKED, NEXT)
    total = 0.0
    for name, weight in (("masked", 1.0), ("next_sentence", 0.25)):
        loss = plain.model(name, batches[name][0])
        total = total + weight * loss.total / loss.count
    total.backward()
    plain.optimizer.scale_rates(1.0)
    plain.optimizer.step()
    assert_same_weights(together, plain)


def test_gradients_are_clipped_and_their_norm_is_told(tmp_path):
    prepared = batch(MASKED, 20, 13)
    free, clipped = make(tmp_path, MASKED), make(tmp_path, MASKED, clip_norm=0.01)
    norms = [
        update({"masked": [prepared]}, factor=1.0).means()["gradients norm"]
        for update in (free, clipped)
    ]
    assert norms[0] == norms[1] > 0.01  # both as they were before clipping
    with pytest.raises(AssertionError):
        assert_same_weights(free, clipped)


def test_the_average_follows(tmp_path):
    update = make(tmp_path, MASKED, average=0.5)
    states = []
    for seed in (1, 2):
        update({"masked": [batch(MASKED, 20, 13, seed=seed)]}, factor=1.0)
        states.append(state_of(update.model))
    for name, tensor in update.average.weights.items():
        expected = (states[0][name] + 2 * states[1][name]) / 3  # (0.25 a + 0.5 b) / 0.75
        torch.testing.assert_close(tensor, expected)


def test_a_micro_batch_without_predictions_is_no_mistake(tmp_path):
    contrastive = Contrastive(dropout=0.1)
    update = make(tmp_path, contrastive)
    empty = batch(contrastive, 9)
    assert empty.count == 0
    tally = update({"contrastive": [empty]}, factor=1.0)
    assert "contrastive loss" not in tally.means()
    full = batch(contrastive, 9, 8, 7)
    tally = update({"contrastive": [empty, full]}, factor=1.0)
    assert math.isfinite(tally.loss("contrastive"))


def poison(model):
    with torch.no_grad():
        model.trunk.blocks[1].feedforward.down.weight[0, 0] = math.nan


def test_no_number_as_a_loss(tmp_path):
    update = make(tmp_path, MASKED, NEXT, average=0.5)
    update({"masked": [batch(MASKED, 20, 13)]}, factor=1.0)
    poison(update.model)
    before, optimizer = state_of(update.model), update.optimizer.state_dict()
    moments = {name: tensor.clone() for name, tensor in optimizer.items()}
    batches = {"masked": [batch(MASKED, 8, seed=3), batch(MASKED, 6, 5, seed=4)]}
    with pytest.raises(ValueError, match="E765.* masked .*culprits.npz"):
        update(batches, factor=1.0)
    for name, tensor in state_of(update.model).items():
        assert torch.equal(tensor.nan_to_num(7), before[name].nan_to_num(7))
    for name, tensor in update.optimizer.state_dict().items():
        assert torch.equal(tensor, moments[name])
    assert int(update.average.n_updates) == 1
    assert all(p.grad is None for p in update.model.parameters())
    with np.load(tmp_path / "culprits.npz") as found:
        for place, prepared in enumerate(batches["masked"]):
            for name in ("pieces", "lengths", "target_rows", "targets"):
                expected = getattr(prepared, name).numpy()
                np.testing.assert_array_equal(found[f"masked/{place}/{name}"], expected)


class Pair(Team):
    """The second one of two processes, whose partner has a bad loss."""

    def __init__(self):
        super().__init__(rank=1, world=2)

    def sum(self, value):
        return 2 * value

    def gather(self, value):
        return [[["masked"], "culprits-0.npz"], value]


def test_no_number_as_the_loss_of_another_process(tmp_path):
    update = make(tmp_path, MASKED, team=Pair())
    before = state_of(update.model)
    with pytest.raises(ToldByFirst, match="E765.*culprits-0.npz"):
        update({"masked": [batch(MASKED, 8)]}, factor=1.0)
    assert all(torch.equal(tensor, before[n]) for n, tensor in state_of(update.model).items())
    assert not list(tmp_path.iterdir())


def test_no_number_as_a_gradient_leaves_the_step_out(tmp_path):
    update = make(tmp_path, MASKED, average=0.5)
    table = update.model.trunk.embeddings.pieces.weight
    handle = table.register_hook(lambda gradient: gradient * math.inf)
    before = state_of(update.model)
    means = update({"masked": [batch(MASKED, 20, 13)]}, factor=1.0).means()
    assert means["gradients left_out"] == 1.0 and "gradients norm" not in means
    assert all(torch.equal(tensor, before[n]) for n, tensor in state_of(update.model).items())
    assert int(update.average.n_updates) == 0
    handle.remove()
    means = update({"masked": [batch(MASKED, 20, 13)]}, factor=1.0).means()
    assert means["gradients left_out"] == 0.0 and means["gradients norm"] > 0
    assert int(update.average.n_updates) == 1
