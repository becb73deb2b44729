import pytest
import torch
from torch.nn import functional as F

from spacy_llm_tasks.nn import kernels
from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.pretraining.objectives import ReplacedPieces

from .examples import (
    LENGTHS,
    N_PIECES,
    SPECIAL,
    assert_same_gradients,
    assert_share,
    chunks_of,
    config_of,
    count_projected,
    naive_piece_loss,
    rng_of,
    shaken,
)

TRUNKS = {
    "bert": {"n_segments": 2},
    "modern": {"positions": "rope", "norm_position": "pre", "activation": "geglu", "bias": False},
    "narrow table": {"embedding_width": 12},
    "table of the generator's width": {"embedding_width": 8},
}


def prepare(objective, chunks, seed=0):
    return objective.prepare(chunks, SPECIAL, rng=rng_of(seed), progress=0.0)


def make(objective, seed=0, **settings):
    trunk = shaken(TransformerEncoder(config_of(**settings)), seed)
    return trunk, shaken(objective.make_head(trunk.config), seed + 1)


def generator_rows(trunk, head, prepared):
    """The generator one step at a time, from the tables of the trunk."""
    hidden = trunk.embeddings.pieces.weight[prepared.pieces]
    if trunk.embeddings.positions is not None:
        hidden = hidden + trunk.embeddings.positions.weight[prepared.packing.positions]
    if trunk.embeddings.segments is not None:
        hidden = hidden + trunk.embeddings.segments.weight[0]
    hidden = trunk.embeddings.norm(hidden)
    generator = head.generator
    hidden = hidden if generator.project is None else generator.project(hidden)
    for block in generator.blocks:
        hidden = block(hidden, prepared.packing)
    return hidden if generator.final_norm is None else generator.final_norm(hidden)


@pytest.mark.parametrize("name", TRUNKS)
def test_loss_and_gradients_equal_the_naive_ones(name):
    objective = ReplacedPieces(factor=7.0)
    trunk, head = make(objective, **TRUNKS[name])
    prepared = prepare(objective, chunks_of(LENGTHS))
    losses = objective.loss(trunk, head, prepared)

    rows = generator_rows(trunk, head, prepared)
    guess, n_guessed = naive_piece_loss(
        head.generator.head, rows, trunk.piece_table, prepared.target_rows, prepared.targets
    )
    drawn = head.generator.draw(rows[prepared.target_rows], trunk.piece_table, seed=prepared.seed)
    pieces, truth = prepared.pieces.clone(), prepared.pieces.clone()
    pieces[prepared.target_rows], truth[prepared.target_rows] = drawn, prepared.targets
    assert 0 < (pieces != truth).sum() <= prepared.count
    hidden = trunk(pieces, prepared.packing).last
    detect, n_text, n_right = torch.zeros(()), 0, 0
    for row in range(len(pieces)):
        if truth[row] not in (SPECIAL.cls, SPECIAL.sep):
            inner = F.gelu(head.discriminator.dense(hidden[row]))
            logit = head.discriminator.decide(inner)[0]
            label = (pieces[row] != truth[row]).float()
            detect = detect + F.binary_cross_entropy_with_logits(logit, label)
            n_text, n_right = n_text + 1, n_right + int((logit > 0) == (label > 0))
    assert n_text == sum(LENGTHS)
    n = prepared.count
    naive = n * (guess / n + 7.0 * detect / n_text)
    assert losses.count == n
    assert losses.metrics["generator_accuracy"] == (n_guessed, n)
    assert losses.metrics["detection_accuracy"] == (n_right, n_text)
    assert losses.metrics["generator_loss"] == pytest.approx((guess.item(), n), rel=1e-4)
    assert losses.metrics["detection_loss"] == pytest.approx((detect.item(), n_text), rel=1e-4)
    assert_same_gradients(losses.total, naive, trunk, head)


def test_the_generator_is_narrow_and_has_no_table_of_its_own():
    config = config_of(width=64, n_heads=4, depth=3)
    small = ReplacedPieces().generator_config(config)
    assert (small.width, small.n_heads, small.depth, small.ffn_width) == (16, 1, 3, 64)
    assert small.embedding_width == 64
    assert ReplacedPieces(generator_depth=1).generator_config(config).depth == 1
    assert ReplacedPieces(generator_size=0.5).generator_config(config).n_heads == 2
    uneven = config_of(width=384, n_heads=6)
    assert ReplacedPieces().generator_config(uneven).width == 96
    head = ReplacedPieces().make_head(config)
    assert max(p.numel() for p in head.generator.parameters()) < N_PIECES * 16
    blocks = list(head.generator.blocks)
    assert len(blocks) == 3 and blocks[0].attention.qkv.weight.shape == (48, 16)


def test_the_generator_trains_the_trunks_table():
    objective = ReplacedPieces(factor=1e-9)
    trunk, head = make(objective)
    objective.loss(trunk, head, prepare(objective, chunks_of(LENGTHS))).total.backward()
    assert trunk.piece_table.grad.abs().max() > 1e-3
    assert trunk.blocks[0].attention.qkv.weight.grad.abs().max() < 1e-6


def test_the_generator_learns_nothing_from_being_found_out():
    objective = ReplacedPieces()
    trunk, head = make(objective)
    prepared = prepare(objective, chunks_of(LENGTHS))
    found = []
    for factor in (1.0, 1000.0):
        objective.factor = factor
        losses = objective.loss(trunk, head, prepared)
        found.append(torch.autograd.grad(losses.total, list(head.generator.blocks.parameters())))
    for small, large in zip(*found, strict=True):
        assert torch.allclose(small, large, atol=1e-6)


def test_draws_repeat_with_the_seed_and_disturb_no_other_generator():
    objective = ReplacedPieces()
    trunk, head = make(objective)
    prepared = prepare(objective, chunks_of(LENGTHS))
    before = torch.get_rng_state()
    first, again = (objective.loss(trunk, head, prepared) for _ in range(2))
    assert first.total.item() == again.total.item() and first.metrics == again.metrics
    assert torch.equal(before, torch.get_rng_state())
    assert prepare(objective, chunks_of(LENGTHS), seed=1).seed != prepared.seed
    rows = torch.randn(40, 8)
    draws = [head.generator.draw(rows, trunk.piece_table, seed=seed) for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])


def test_draws_follow_the_generators_distribution(monkeypatch):
    objective = ReplacedPieces()
    trunk, head = make(objective)
    row, n = torch.randn(1, 8), 20_000
    monkeypatch.setattr(
        "spacy_llm_tasks.pretraining.objectives.replaced._MAX_CELLS", 3000 * N_PIECES
    )
    drawn = head.generator.draw(row.expand(n, -1), trunk.piece_table, seed=0)
    with torch.no_grad():
        shares = head.generator.head(row, trunk.piece_table).softmax(-1)[0]
    for piece in shares.topk(20).indices.tolist():
        assert_share(int((drawn == piece).sum()), n, shares[piece].item())


def test_a_right_guess_is_no_replacement(monkeypatch):
    objective = ReplacedPieces()
    trunk, head = make(objective)
    prepared = prepare(objective, chunks_of(LENGTHS))
    with torch.no_grad():
        head.discriminator.decide.weight.zero_()
        head.discriminator.decide.bias.fill_(-1.0)  # "all are as they were"
    monkeypatch.setattr(head.generator, "draw", lambda *_, **__: prepared.targets)
    right, n = objective.loss(trunk, head, prepared).metrics["detection_accuracy"]
    assert right == n == sum(LENGTHS)
    monkeypatch.setattr(head.generator, "draw", lambda *_, **__: prepared.targets - 1)
    right, n = objective.loss(trunk, head, prepared).metrics["detection_accuracy"]
    assert right < n


def test_only_hidden_pieces_meet_the_vocabulary(monkeypatch):
    objective = ReplacedPieces()
    trunk, head = make(objective)
    prepared = prepare(objective, chunks_of([60] * 20))
    seen = count_projected(monkeypatch)
    with torch.no_grad():
        objective.loss(trunk.eval(), head.eval(), prepared)
    most = kernels.n_rows_for(prepared.count, torch.device("cpu"))
    # once for the loss and once for the draws
    assert 2 * prepared.count <= sum(seen) <= 2 * most < 0.4 * len(prepared.pieces)


def test_hidden_units_are_those_of_masked_language_modelling():
    chunks = chunks_of([60] * 4)
    prepared = prepare(ReplacedPieces(rate=0.2, unit="piece"), chunks)
    assert prepared.count == 4 * 12
    assert (prepared.pieces[prepared.target_rows] == SPECIAL.mask).all()
    assert len(prepared.text_rows) == 240


def test_bfloat16_sums_in_float32():
    objective = ReplacedPieces()
    trunk, head = TransformerEncoder(config_of()), objective.make_head(config_of())
    prepared = prepare(objective, chunks_of(LENGTHS))
    exact = objective.loss(trunk, head, prepared).total
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = objective.loss(trunk, head, prepared).total
    assert rounded.dtype == torch.float32
    assert abs(rounded.item() / exact.item() - 1) < 0.02
    rounded.backward()


@pytest.mark.parametrize(
    "settings", [{"generator_size": 0}, {"generator_depth": 0}, {"factor": 0}, {"weight": 0}]
)
def test_settings_out_of_range_are_refused_by_name(settings):
    with pytest.raises(ValueError, match=f"E730.*{next(iter(settings))}.*replaced"):
        ReplacedPieces(**settings)
