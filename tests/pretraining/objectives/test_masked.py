import numpy as np
import pytest
import torch

from spacy_llm_tasks.nn import kernels
from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.pretraining.objectives import MaskedLM
from spacy_llm_tasks.pretraining.pieces.special import SpecialIds

from .examples import (
    LENGTHS,
    N_PIECES,
    SPECIAL,
    assert_mean,
    assert_same_gradients,
    assert_share,
    chunks_of,
    config_of,
    count_projected,
    naive_piece_loss,
    rng_of,
    sequences,
    shaken,
)

TRUNKS = {
    "bert": {"n_segments": 2},
    "modern": {"positions": "rope", "norm_position": "pre", "activation": "geglu", "bias": False},
    "narrow table": {"embedding_width": 12},
}


def prepare(objective, chunks, seed=0, progress=0.0):
    return objective.prepare(chunks, SPECIAL, rng=rng_of(seed), progress=progress)


def restored(prepared):
    """The framed pieces with the targets put back."""
    pieces = prepared.pieces.clone()
    pieces[prepared.target_rows] = prepared.targets
    return [part.tolist() for part in pieces.split(prepared.lengths.tolist())]


@pytest.mark.parametrize("replacements", ["80-10-10", "mask"])
@pytest.mark.parametrize("unit", ["piece", "word", "span"])
def test_targets_put_the_text_together_again(unit, replacements):
    chunks = chunks_of(LENGTHS)
    prepared = prepare(MaskedLM(unit=unit, replacements=replacements), chunks)
    bounds = chunks.bounds
    assert restored(prepared) == [
        [SPECIAL.cls, *chunks.pieces[a:b].tolist(), SPECIAL.sep]
        for a, b in zip(bounds[:-1], bounds[1:], strict=True)
    ]
    assert prepared.lengths.tolist() == [n + 2 for n in LENGTHS]
    assert prepared.count == len(prepared.targets) == len(prepared.target_rows)
    assert (prepared.target_rows.diff() > 0).all()
    if replacements == "mask":
        assert (prepared.pieces[prepared.target_rows] == SPECIAL.mask).all()


def test_each_chunk_hides_its_exact_number():
    chunks = chunks_of([126, 126, 40, 10, 3, 1])
    for seed in range(20):
        prepared = prepare(MaskedLM(rate=0.15), chunks, seed)
        owner = np.repeat(np.arange(6), prepared.lengths.numpy())[prepared.target_rows.numpy()]
        assert np.bincount(owner, minlength=6).tolist() == [19, 19, 6, 2, 1, 1]


@pytest.mark.parametrize("unit", ["word", "span"])
@pytest.mark.parametrize("length", [126, 30])
def test_words_and_spans_hide_as_much_on_average(unit, length):
    chunks = chunks_of([length] * 100)
    objective, rng = MaskedLM(rate=0.15, unit=unit), rng_of()
    counts = []
    for _ in range(30):
        prepared = objective.prepare(chunks, SPECIAL, rng=rng, progress=0.0)
        owner = np.repeat(np.arange(100), prepared.lengths.numpy())[prepared.target_rows.numpy()]
        counts.extend(np.bincount(owner, minlength=100))
    assert_mean(counts, round(0.15 * length))


def test_whole_words_are_hidden_or_none_of_their_pieces():
    chunks = chunks_of([60] * 20)
    prepared = prepare(MaskedLM(unit="word", replacements="mask"), chunks)
    is_text = ~np.isin(prepared.pieces.numpy(), [SPECIAL.cls, SPECIAL.sep])
    hidden = (prepared.pieces == SPECIAL.mask).numpy()[is_text]
    starts = chunks.starts_word.copy()
    starts[chunks.bounds[:-1]] = True
    word = np.cumsum(starts) - 1
    share = np.bincount(word, weights=hidden) / np.bincount(word)
    assert set(share.tolist()) == {0.0, 1.0}


def test_spans_hide_neighbouring_words():
    chunks = chunks_of([126] * 50, word=1.0)
    runs = {}
    for unit in ("piece", "span"):
        prepared = prepare(MaskedLM(unit=unit), chunks)
        steps = prepared.target_rows.diff()
        runs[unit] = prepared.count / int((steps > 1).sum() + 1)
    assert runs["piece"] < 1.4 and runs["span"] > 2.8


def test_shares_of_replacements():
    chunks = chunks_of([126] * 200)
    prepared = prepare(MaskedLM(), chunks)
    seen, n = prepared.pieces[prepared.target_rows], prepared.count
    assert_share(int((seen == SPECIAL.mask).sum()), n, 0.8)
    assert_share(int((seen == prepared.targets).sum()), n, 0.1 + 0.1 / (N_PIECES - 5))


def test_special_pieces_that_a_text_spells_out_stay():
    chunks = chunks_of([30] * 10)
    chunks.pieces[::3] = SPECIAL.sep
    for unit in ("piece", "word", "span"):
        prepared = prepare(MaskedLM(rate=0.9, unit=unit), chunks)
        assert not SPECIAL.among(prepared.targets.numpy()).any()
        assert prepared.count == 200  # all of the others
        seen = prepared.pieces[prepared.target_rows]
        assert set(seen[torch.from_numpy(SPECIAL.among(seen.numpy()))].tolist()) == {SPECIAL.mask}


def test_the_rate_moves_linearly():
    objective = MaskedLM(rate=0.3, rate_end=0.1)
    assert [round(objective.rate_at(p), 6) for p in (-1, 0, 0.5, 1, 2)] == [0.3, 0.3, 0.2, 0.1, 0.1]
    chunks = chunks_of([100] * 3)
    counts = [prepare(objective, chunks, progress=p).count for p in (0.0, 0.5, 1.0)]
    assert counts == [90, 60, 30]


@pytest.mark.parametrize("unit", ["piece", "word", "span"])
def test_the_generator_decides_everything(unit):
    chunks, objective = chunks_of(LENGTHS), MaskedLM(unit=unit)
    first, again, other = (prepare(objective, chunks, seed) for seed in (1, 1, 2))
    assert sequences(first) == sequences(again)
    assert first.targets.tolist() == again.targets.tolist()
    assert first.target_rows.tolist() != other.target_rows.tolist()


@pytest.mark.parametrize("name", TRUNKS)
def test_loss_and_gradients_equal_the_naive_ones(name):
    objective, trunk = MaskedLM(), shaken(TransformerEncoder(config_of(**TRUNKS[name])))
    head = shaken(objective.make_head(trunk.config), seed=1)
    prepared = prepare(objective, chunks_of(LENGTHS))
    losses = objective.loss(trunk, head, prepared)
    hidden = trunk(prepared.pieces, prepared.packing).last
    table = trunk.embeddings.pieces.weight
    naive, n_right = naive_piece_loss(head, hidden, table, prepared.target_rows, prepared.targets)
    assert losses.count == prepared.count
    assert losses.metrics == {"accuracy": (n_right, prepared.count)}
    assert_same_gradients(losses.total, naive, trunk, head)


def test_only_rows_that_predict_meet_the_vocabulary(monkeypatch):
    objective, trunk = MaskedLM(), TransformerEncoder(config_of())
    head = objective.make_head(trunk.config).eval()
    prepared = prepare(objective, chunks_of([60] * 20))
    seen = count_projected(monkeypatch)
    with torch.no_grad():
        objective.loss(trunk.eval(), head, prepared)
    most = kernels.n_rows_for(prepared.count, torch.device("cpu"))
    assert prepared.count <= sum(seen) <= most < 0.2 * len(prepared.pieces)


def test_bfloat16_sums_in_float32():
    objective, trunk = MaskedLM(), TransformerEncoder(config_of())
    head = objective.make_head(trunk.config)
    prepared = prepare(objective, chunks_of(LENGTHS))
    exact = objective.loss(trunk, head, prepared).total
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = objective.loss(trunk, head, prepared).total
    assert rounded.dtype == torch.float32
    assert abs(rounded.item() / exact.item() - 1) < 0.01
    rounded.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in trunk.parameters())


def test_the_table_is_stored_once():
    head = MaskedLM().make_head(config_of())
    assert sum(p.numel() for p in head.parameters()) < N_PIECES * 32


def test_a_vocabulary_without_a_mask_is_refused():
    bare = SpecialIds(cls=0, sep=0, pad=0, unk=None, mask=None, n_pieces=50)
    with pytest.raises(ValueError, match="E725.*masked"):
        MaskedLM().prepare(chunks_of([5]), bare, rng=rng_of(), progress=0.0)


@pytest.mark.parametrize(
    "settings",
    [
        {"rate": 0},
        {"rate": 1.5},
        {"rate": "much"},
        {"rate_end": 0},
        {"replacements": "none"},
        {"unit": "letter"},
        {"span_p": 1},
        {"max_span": 0},
        {"max_span": 2.5},
        {"weight": 0},
    ],
)
def test_settings_out_of_range_are_refused_by_name(settings):
    with pytest.raises(ValueError, match=f"E730.*{next(iter(settings))}.*masked"):
        MaskedLM(**settings)
