import pytest
import torch
from torch.nn import functional as F

from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.pretraining.objectives import Contrastive

from .examples import (
    LENGTHS,
    SPECIAL,
    assert_same_gradients,
    chunks_of,
    config_of,
    rng_of,
    sequences,
    shaken,
)

NOISY = {"dropout": 0.2, "attention_dropout": 0.1}


def prepare(objective, chunks, seed=0):
    return objective.prepare(chunks, SPECIAL, rng=rng_of(seed), progress=0.0)


def make(objective, **settings):
    trunk = shaken(TransformerEncoder(config_of(**{**NOISY, **settings})))
    return trunk, shaken(objective.make_head(trunk.config), seed=1)


def test_every_chunk_is_read_twice():
    prepared = prepare(Contrastive(), chunks_of([3, 2]))
    first, second, *again = sequences(prepared)
    assert again == [first, second] and first[0] == SPECIAL.cls and first[-1] == SPECIAL.sep
    assert prepared.targets.tolist() == [0, 1] and prepared.count == 2


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_loss_and_gradients_equal_the_naive_ones(pooling, training):
    objective = Contrastive(pooling=pooling, temperature=0.1)
    trunk, head = make(objective)
    head.train(training)
    prepared = prepare(objective, chunks_of(LENGTHS))
    torch.manual_seed(5)
    losses = objective.loss(trunk, head, prepared)
    torch.manual_seed(5)
    hidden = trunk(prepared.pieces, prepared.packing).last
    vectors = []
    for rows in hidden.split(prepared.lengths.tolist()):
        vector = rows.mean(0) if pooling == "mean" else rows[0]
        if training:
            vector = torch.tanh(vector @ head.dense.weight.T + head.dense.bias)
        vectors.append(vector)
    n = len(LENGTHS)
    naive, n_right = torch.zeros(()), 0
    for i in range(n):
        cosines = [F.cosine_similarity(vectors[i], vectors[n + j], dim=0) for j in range(n)]
        logits = torch.stack(cosines) / 0.1
        naive = naive + torch.logsumexp(logits, 0) - logits[i]
        n_right += int(logits.argmax() == i)
    assert losses.metrics == {"accuracy": (n_right, n)} and losses.count == n
    assert_same_gradients(losses.total, naive, trunk, head)


def test_the_two_readings_differ_by_dropout_alone():
    objective = Contrastive()
    prepared = prepare(objective, chunks_of([10] * 8))
    seen = []
    for rate in (0.2, 1e-9):
        trunk, head = make(objective, dropout=rate, attention_dropout=rate)
        head.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].detach().chunk(2)))
        objective.loss(trunk, head, prepared)
    (first, second), (quiet, same) = seen
    assert (first - second).abs().max() > 0.1
    assert torch.allclose(quiet, same, atol=1e-5)


def test_no_dropout_is_refused_by_name():
    config = config_of()
    with pytest.raises(ValueError, match="E731.*contrastive"):
        Contrastive().make_head(config)
    objective = Contrastive()
    trunk, head = make(objective)
    trunk.set_dropout(0.0)
    with pytest.raises(ValueError, match="E731.*contrastive"):
        objective.loss(trunk, head, prepare(objective, chunks_of(LENGTHS)))
    objective.make_head(config_of(attention_dropout=0.1))


def test_dropout_of_its_own_is_switched_off_again():
    objective = Contrastive(dropout=0.3)
    trunk = TransformerEncoder(config_of())
    head = objective.make_head(trunk.config)
    seen = []
    trunk.blocks[0].dropout.register_forward_hook(lambda part, *_: seen.append(part.p))
    losses = objective.loss(trunk, head, prepare(objective, chunks_of([10] * 6)))
    assert set(seen) == {0.3} and losses.total.item() > 0
    rates = [part.p for part in trunk.modules() if isinstance(part, torch.nn.Dropout)]
    assert set(rates) == {0.0}


def test_evaluations_agree_and_leave_everything_as_it_was():
    objective = Contrastive()
    trunk, head = make(objective)
    trunk.eval()
    head.eval()
    trunk.blocks[0].train()  # an odd state that must come back
    modes = [part.training for part in trunk.modules()]
    prepared, other = (prepare(objective, chunks_of(LENGTHS), seed) for seed in (0, 1))
    before = torch.get_rng_state()
    with torch.no_grad():
        first, again, third = (
            objective.loss(trunk, head, part).total.item() for part in (prepared, prepared, other)
        )
    assert first == again != third
    assert torch.equal(before, torch.get_rng_state())
    assert modes == [part.training for part in trunk.modules()]


def test_training_takes_dropout_from_the_runs_own_generator():
    objective = Contrastive()
    trunk, head = make(objective)
    prepared = prepare(objective, chunks_of(LENGTHS))
    torch.manual_seed(0)
    first, second = (objective.loss(trunk, head, prepared).total.item() for _ in range(2))
    assert first != second


def test_a_single_chunk_has_nothing_to_differ_from():
    objective = Contrastive()
    trunk, head = make(objective)
    prepared = prepare(objective, chunks_of([5]))
    losses = objective.loss(trunk, head, prepared)
    assert prepared.count == losses.count == 0 and losses.total.item() == 0
    losses.total.backward()


def test_training_pulls_the_readings_together():
    objective = Contrastive()
    torch.manual_seed(0)
    trunk = TransformerEncoder(config_of(**NOISY))
    head = objective.make_head(trunk.config)
    prepared = prepare(objective, chunks_of([8] * 12))
    optimizer = torch.optim.Adam([*trunk.parameters(), *head.parameters()], lr=5e-3)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        found = objective.loss(trunk, head, prepared)
        found.total.backward()
        optimizer.step()
        losses.append(found.total.item())
    assert losses[-1] < 0.6 * losses[0]


def test_bfloat16_sums_in_float32():
    objective = Contrastive()
    trunk, head = make(objective)
    prepared = prepare(objective, chunks_of(LENGTHS))
    found = []
    for enabled in (False, True):
        torch.manual_seed(0)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            found.append(objective.loss(trunk, head, prepared).total)
    assert found[1].dtype == torch.float32
    assert abs(found[1].item() / found[0].item() - 1) < 0.1
    found[1].backward()


@pytest.mark.parametrize(
    "settings", [{"temperature": 0}, {"pooling": "max"}, {"dropout": 0}, {"weight": 0}]
)
def test_settings_out_of_range_are_refused_by_name(settings):
    with pytest.raises(ValueError, match=f"E730.*{next(iter(settings))}.*contrastive"):
        Contrastive(**settings)
