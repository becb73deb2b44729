import numpy as np
import pytest
import torch

from spacy_llm_tasks.nn import crossing as crossing_module
from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.nn.cross_attention import CrossAttention
from spacy_llm_tasks.nn.crossing import Crossing
from spacy_llm_tasks.nn.packing import BUCKET, Packing

LENGTHS = [7, 1, 30, 12, 7, 9, 10, 32]
MEMORY = [3, 40, 1, 12, 90, 9, 11, 2]


def cross(lengths=LENGTHS, memory=MEMORY):
    return Crossing.from_packings(Packing.from_lengths(lengths), Packing.from_lengths(memory))


def groups_of(crossing):
    ours = [group.sequences.tolist() for group in crossing.queries.groups]
    assert ours == [group.sequences.tolist() for group in crossing.memory.groups]
    return ours


def test_each_pair_is_in_one_group():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        lengths, memory = rng.integers(1, 60, (2, 25))
        groups = groups_of(cross(lengths, memory))
        assert sorted(sum(groups, [])) == list(range(25))
        for group in groups:
            sizes = memory[group]
            assert sizes.max() <= 1.25 * sizes.min() + BUCKET
            assert np.ptp(lengths[group]) < BUCKET


def test_rows_of_both_sides_meet_and_come_back():
    crossing = cross()
    marks = torch.repeat_interleave(torch.arange(8), torch.tensor(LENGTHS))
    memory_marks = torch.repeat_interleave(torch.arange(8), torch.tensor(MEMORY))
    parts = crossing.queries.split(marks)
    for part, memory_part in zip(parts, crossing.memory.split(memory_marks), strict=True):
        assert (part[:, :1] == memory_part[:, :1]).all()
        assert (part == part[:, :1]).all() and (memory_part == memory_part[:, :1]).all()
    assert torch.equal(crossing.queries.merge(parts), marks)


def test_equal_pairs_need_neither_gather_nor_mask():
    crossing = cross([8] * 5, [12] * 5)
    assert groups_of(crossing) == [[0, 1, 2, 3, 4]]
    for packing in (crossing.queries, crossing.memory):
        assert packing.grouping.order is None and packing.groups[0].mask is None


def test_groups_stay_small(monkeypatch):
    monkeypatch.setattr(crossing_module, "MAX_ROWS", 40)
    assert {len(group) for group in groups_of(cross([8] * 9, [12] * 9))} == {3}
    monkeypatch.setattr(crossing_module, "MAX_ROWS", 4000)
    monkeypatch.setattr(crossing_module, "MAX_CELLS", 200)
    assert {len(group) for group in groups_of(cross([8] * 9, [12] * 9))} == {2, 1}


def test_an_empty_batch():
    crossing = cross([], [])
    assert crossing.queries.n_rows == crossing.memory.n_rows == 0


def test_batches_that_do_not_match():
    with pytest.raises(ValueError, match="E131.*1 of queries and 2 of memory"):
        cross([3], [4, 5])


@pytest.mark.parametrize("qk_norm", [False, True])
def test_cross_attention_is_alone_with_its_memory(qk_norm):
    """Together with others or alone: the same rows, and only its own memory matters."""
    torch.manual_seed(0)
    config = TransformerConfig(n_pieces=9, width=16, n_heads=2, depth=1, qk_norm=qk_norm)
    attention = CrossAttention(config).eval()
    x, memory = torch.randn(sum(LENGTHS), 16), torch.randn(sum(MEMORY), 16)
    with torch.no_grad():
        together = attention(x, memory, cross())
        for i, (rows, own, found) in enumerate(
            zip(x.split(LENGTHS), memory.split(MEMORY), together.split(LENGTHS), strict=True)
        ):
            alone = attention(rows, own, cross([len(rows)], [len(own)]))
            assert (alone - found).abs().max() < 1e-5
            others = torch.cat(
                [m if j == i else torch.randn_like(m) for j, m in enumerate(memory.split(MEMORY))]
            )
            changed = attention(x, others, cross())
            assert torch.equal(changed.split(LENGTHS)[i], found)
            assert not torch.allclose(changed.split(LENGTHS)[i - 1], together.split(LENGTHS)[i - 1])


def test_spare_rows_are_left_alone():
    torch.manual_seed(0)
    attention = CrossAttention(TransformerConfig(n_pieces=9, width=16, n_heads=2, depth=1)).eval()
    x, memory = torch.randn(sum(LENGTHS), 16), torch.randn(sum(MEMORY), 16)
    spare = [torch.cat([rows, torch.randn(5, 16)]) for rows in (x, memory)]
    found = attention(*spare, cross())
    assert found.shape == (sum(LENGTHS) + 5, 16)
    assert torch.allclose(found[:-5], attention(x, memory, cross()), atol=1e-6)
