import numpy as np
import pytest
import torch

from spacy_llm_tasks.nn import packing as packing_module
from spacy_llm_tasks.nn.packing import Packing

LENGTHS = [
    [1],
    [3, 3, 3],
    [9, 5, 30, 1, 5, 9, 64, 2],
    [1, 2, 3, 9, 10, 17],
    [17, 10, 9, 3, 2, 1],
    [2, 40, 2, 40, 2],
]


@pytest.mark.parametrize("lengths", LENGTHS)
def test_rows_are_described(lengths):
    packing = Packing.from_lengths(lengths)
    assert packing.n_rows == sum(lengths)
    assert packing.n_sequences == len(lengths)
    assert packing.max_length == max(lengths)
    assert packing.lengths.tolist() == lengths
    assert packing.starts.tolist() == np.cumsum([0, *lengths])[:-1].tolist()
    assert packing.positions.tolist() == [i for length in lengths for i in range(length)]


@pytest.mark.parametrize("lengths", LENGTHS)
def test_merge_undoes_split(lengths):
    packing = Packing.from_lengths(np.array(lengths))
    rows = torch.randn(packing.n_rows, 2, 3)
    assert torch.equal(packing.merge(packing.split(rows)), rows)


@pytest.mark.parametrize("lengths", LENGTHS)
def test_each_line_of_a_group_is_one_sequence(lengths):
    packing = Packing.from_lengths(lengths)
    owner = torch.repeat_interleave(torch.arange(len(lengths)), packing.lengths)
    rows = torch.stack([owner, packing.positions], dim=1)
    seen = []
    for group, part in zip(packing.groups, packing.split(rows), strict=True):
        assert part.shape == (len(group.sequences), group.length, 2)
        for sequence, line in zip(group.sequences, part, strict=True):
            n = lengths[sequence]
            seen.append(sequence)
            assert line[:n].tolist() == [[sequence, i] for i in range(n)]
            assert (line[:, 0] == sequence).all()  # padding never shows another sequence
    assert sorted(seen) == list(range(len(lengths)))


@pytest.mark.parametrize("lengths", LENGTHS)
def test_masks_only_where_lengths_differ(lengths):
    for group in Packing.from_lengths(lengths).groups:
        sizes = torch.tensor([lengths[i] for i in group.sequences])
        if len(set(sizes.tolist())) == 1:
            assert group.mask is None and group.cells is None
        else:
            assert torch.equal(group.mask.sum(-1).flatten(), sizes)


@pytest.mark.parametrize("lengths", [[5] * 4, [3, 3, 19, 19, 19], [19, 19, 3]])
def test_equal_lengths_are_views(lengths):
    packing = Packing.from_lengths(lengths)
    rows = torch.randn(packing.n_rows, 4)
    storage = rows.untyped_storage().data_ptr()
    assert packing.grouping.order is None
    assert all(p.untyped_storage().data_ptr() == storage for p in packing.split(rows))


def test_mixed_groups_fill_vectors():
    lengths = [17, 30, 32, 40, 40, 90, 85]
    found = [(len(g.sequences), g.length) for g in Packing.from_lengths(lengths).groups]
    assert found == [(3, 32), (2, 40), (2, 96)]


def test_groups_are_bounded(monkeypatch):
    monkeypatch.setattr(packing_module, "MAX_ROWS", 32)
    monkeypatch.setattr(packing_module, "MAX_CELLS", 300)
    packing = Packing.from_lengths([8] * 9 + [20] * 3)
    for group in packing.groups:
        n = len(group.sequences)
        assert n == 1 or (n * group.length <= 32 and n * group.length**2 <= 300)
    assert sum(len(group.sequences) for group in packing.groups) == 12


def test_empty_batch():
    packing = Packing.from_lengths([])
    assert (packing.n_rows, packing.n_sequences, packing.max_length) == (0, 0, 0)
    assert packing.groups == ()


@pytest.mark.parametrize("lengths", [[3, 0], [-1], [1.5], [[2, 2]], ["3"]])
def test_bad_lengths_are_refused(lengths):
    with pytest.raises(ValueError, match="E105"):
        Packing.from_lengths(lengths)


def test_moves_to_a_device():
    packing = Packing.from_lengths([4, 30, 6, 2], device="cpu")
    moved = packing.to("meta")
    assert moved.positions.device.type == moved.grouping.order.device.type == "meta"
    masks = [group.mask for group in moved.groups if group.mask is not None]
    assert masks and all(mask.device.type == "meta" for mask in masks)
