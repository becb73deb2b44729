import math

import pytest
import torch

from spacy_llm_tasks.nn.attention import Attention
from spacy_llm_tasks.nn.block import Block
from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.nn.packing import Packing
from spacy_llm_tasks.nn.positions import Rotary, alibi_slopes

LENGTHS = [3, 9, 1, 12, 10]


def config(**settings):
    return TransformerConfig(n_pieces=9, width=16, n_heads=2, depth=1, **settings)


@pytest.mark.parametrize("positions", ["learned", "rope", "alibi"])
def test_a_causal_block_never_looks_ahead(positions):
    torch.manual_seed(0)
    block = Block(config(positions=positions), causal=True).eval()
    packing = Packing.from_lengths(LENGTHS)
    x = torch.randn(packing.n_rows, 16)
    with torch.no_grad():
        before = block(x, packing)
        for k in range(12):
            later = packing.positions > k
            changed = torch.where(later[:, None], torch.randn_like(x), x)
            after = block(changed, packing)
            assert (after - before)[~later].abs().max() < 1e-5
            assert not torch.allclose(after[later], before[later]) or not later.any()


def test_a_causal_head_averages_what_it_has_seen():
    """With equal scores everywhere, each row is the mean of the values so far."""
    attention = Attention(config(), causal=True).eval()
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.zero_()
        attention.qkv.weight[32:] = torch.eye(16)
        attention.output.weight.copy_(torch.eye(16))
        x = torch.randn(sum(LENGTHS), 16)
        y = attention(x, Packing.from_lengths(LENGTHS))
    for rows, means in zip(x.split(LENGTHS), y.split(LENGTHS), strict=True):
        counts = torch.arange(1, len(rows) + 1)[:, None]
        assert torch.allclose(means, rows.cumsum(0) / counts, atol=1e-5)


def test_rotary_scores_depend_on_distance_alone():
    rotary = Rotary(8)
    q, k = torch.randn(8), torch.randn(8)
    packing = Packing.from_lengths([40])
    queries, keys = (rotary(v.expand(40, 1, 8), packing)[:, 0] for v in (q, k))
    scores = queries @ keys.T
    for distance in (0, 1, 7):
        diagonal = scores.diagonal(distance)
        assert torch.allclose(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-4)
    assert torch.allclose(queries.norm(dim=1), q.norm().expand(40), atol=1e-5)


def test_alibi_slopes():
    assert alibi_slopes(8) == [2.0**-i for i in range(1, 9)]
    assert alibi_slopes(1) == [2.0**-8]
    twelve = alibi_slopes(12)
    assert twelve[:8] == alibi_slopes(8)
    assert twelve[8:] == alibi_slopes(16)[0:8:2]
    assert len(alibi_slopes(6)) == 6 and math.isclose(alibi_slopes(6)[4], 0.5**1)
