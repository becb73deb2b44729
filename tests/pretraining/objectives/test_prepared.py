import numpy as np
import torch

from spacy_llm_tasks.pretraining.objectives.prepared import Prepared


def prepared_of(**settings):
    return Prepared(
        pieces=torch.arange(5),
        lengths=torch.tensor([3, 2]),
        target_rows=torch.tensor([1, 4]),
        targets=torch.tensor([8, 9]),
        **settings,
    )


def test_packings_follow_from_lengths():
    prepared = prepared_of(
        decoder_pieces=torch.arange(3), decoder_lengths=torch.tensor([1, 2]), seed=4
    )
    assert prepared.count == 2
    assert prepared.packing.positions.tolist() == [0, 1, 2, 0, 1]
    assert prepared.decoder_packing.positions.tolist() == [0, 0, 1]
    assert prepared.packing is prepared.packing
    assert prepared_of().decoder_packing is None


def test_moving_takes_everything_but_lengths_along():
    prepared = prepared_of(
        segments=torch.zeros(5, dtype=torch.int64),
        text_rows=torch.arange(2),
        decoder_pieces=torch.arange(3),
        decoder_lengths=torch.tensor([1, 2]),
        seed=4,
    )
    moved = prepared.to("meta")
    for name, value in vars(prepared).items():
        if isinstance(value, torch.Tensor):
            on = "cpu" if name.endswith("lengths") else "meta"
            assert getattr(moved, name).device.type == on, name
    assert moved.seed == 4 and moved.count == 2
    assert moved.packing.positions.device.type == "meta"
    assert moved.decoder_packing.positions.device.type == "meta"
    assert prepared.pieces.device.type == "cpu"


def test_arrays_are_not_copied():
    pieces = np.arange(4)
    prepared = Prepared(
        pieces=torch.from_numpy(pieces),
        lengths=torch.tensor([4]),
        target_rows=torch.tensor([0]),
        targets=torch.tensor([1]),
    ).to("cpu")
    pieces[0] = 77
    assert prepared.pieces[0] == 77
