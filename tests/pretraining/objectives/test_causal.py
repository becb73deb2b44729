import numpy as np
import pytest
import torch

from spacy_llm_tasks.nn import kernels
from spacy_llm_tasks.nn.decoder import TransformerDecoder
from spacy_llm_tasks.nn.packing import Packing
from spacy_llm_tasks.pretraining.objectives import CausalLM

from .examples import (
    LENGTHS,
    N_PIECES,
    SPECIAL,
    assert_same_gradients,
    chunks_of,
    config_of,
    count_projected,
    naive_piece_loss,
    rng_of,
    sequences,
    shaken,
)


def prepare(chunks):
    return CausalLM().prepare(chunks, SPECIAL, rng=rng_of(), progress=0.0)


def edges(starts, ends):
    return {"starts_document": np.array(starts), "ends_document": np.array(ends)}


def predictions(prepared):
    """By sequence, (what was read so far, what follows)."""
    bounds = np.cumsum([0, *prepared.lengths.tolist()])
    found = []
    for row, target in zip(prepared.target_rows.tolist(), prepared.targets.tolist(), strict=True):
        sequence = int(np.searchsorted(bounds, row, side="right")) - 1
        read = prepared.pieces[bounds[sequence] : row + 1].tolist()
        found.append((sequence, read, target))
    return found


def test_every_piece_follows_from_those_before_it():
    chunks = chunks_of([3, 2, 1], **edges([True, False, False], [False, False, True]))
    a, b, c = chunks.pieces[:3].tolist(), chunks.pieces[3:5].tolist(), chunks.pieces[5:].tolist()
    prepared = prepare(chunks)
    assert sequences(prepared) == [[2, *a], [2, *b], [2, *c]]
    assert predictions(prepared) == [
        (0, [2], a[0]),
        (0, [2, a[0]], a[1]),
        (0, [2, *a[:2]], a[2]),
        (1, [2, b[0]], b[1]),
        (2, [2, *c], SPECIAL.sep),
    ]
    assert prepared.count == 5


def test_whole_documents_are_opened_and_ended():
    prepared = prepare(chunks_of([4, 1]))
    assert prepared.count == 4 + 1 + 2
    assert [t for _, _, t in predictions(prepared)].count(SPECIAL.sep) == 2


def test_a_piece_from_the_middle_of_a_document_may_predict_nothing():
    prepared = prepare(chunks_of([1], **edges([False], [False])))
    assert prepared.count == 0
    trunk = TransformerDecoder(config_of())
    losses = CausalLM().loss(trunk, CausalLM().make_head(trunk.config), prepared)
    assert losses.total.item() == 0 and losses.count == 0
    losses.total.backward()


@pytest.mark.parametrize("settings", [{"activation": "gelu_tanh"}, {"embedding_width": 12}])
def test_loss_and_gradients_equal_the_naive_ones(settings):
    objective, trunk = CausalLM(), shaken(TransformerDecoder(config_of(**settings)))
    head = shaken(objective.make_head(trunk.config), seed=1)
    prepared = prepare(chunks_of(LENGTHS, **edges([True, False] * 3, [False, True] * 3)))
    losses = objective.loss(trunk, head, prepared)
    hidden = trunk(prepared.pieces, prepared.packing)
    naive, n_right = naive_piece_loss(
        head, hidden, trunk.piece_table, prepared.target_rows, prepared.targets
    )
    assert losses.metrics == {"accuracy": (n_right, prepared.count)}
    assert_same_gradients(losses.total, naive, trunk, head)


def test_the_loss_is_that_of_the_whole_text():
    """The chain rule: log P(text) by one forward pass per piece, nothing packed or shifted."""
    objective, trunk = CausalLM(), shaken(TransformerDecoder(config_of()))
    head = objective.make_head(trunk.config)
    chunks = chunks_of([6])
    text = [*chunks.pieces.tolist(), SPECIAL.sep]
    total = 0.0
    with torch.no_grad():
        for i, piece in enumerate(text):
            read = torch.tensor([SPECIAL.cls, *text[:i]])
            hidden = trunk(read, Packing.from_lengths([len(read)]))
            total -= head(hidden[-1:], trunk.piece_table).log_softmax(-1)[0, piece].item()
        losses = objective.loss(trunk, head, prepare(chunks))
    assert abs(losses.total.item() - total) < 1e-3
    assert objective.reads_all and losses.count == len(text)


def test_only_rows_that_predict_meet_the_vocabulary(monkeypatch):
    objective, trunk = CausalLM(), TransformerDecoder(config_of())
    head = objective.make_head(trunk.config).eval()
    prepared = prepare(chunks_of([1] * 50, **edges([False] * 50, [True] * 25 + [False] * 25)))
    assert prepared.count == 25
    seen = count_projected(monkeypatch)
    with torch.no_grad():
        objective.loss(trunk.eval(), head, prepared)
    assert 25 <= sum(seen) <= kernels.n_rows_for(25, torch.device("cpu")) < 100


def test_bfloat16_sums_in_float32():
    objective, trunk = CausalLM(), TransformerDecoder(config_of())
    head = objective.make_head(trunk.config)
    prepared = prepare(chunks_of(LENGTHS))
    exact = objective.loss(trunk, head, prepared).total
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = objective.loss(trunk, head, prepared).total
    assert rounded.dtype == torch.float32
    assert abs(rounded.item() / exact.item() - 1) < 0.01
    rounded.backward()


def test_the_head_is_the_table_alone():
    assert sum(p.numel() for p in CausalLM().make_head(config_of()).parameters()) == 0
    assert N_PIECES == config_of().n_pieces
