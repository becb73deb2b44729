import numpy as np
import pytest

from spacy_llm_tasks.pretraining.pieces.special import SpecialIds

from ..cutters import KINDS

IDS = SpecialIds(cls=7, sep=3, pad=0, unk=None, mask=9, n_pieces=12, others=(4,))


def test_ids_are_those_of_the_tokenizer():
    tokenizer = KINDS["wordpiece"]()
    ids = SpecialIds.from_pieces(tokenizer.special, n_pieces=tokenizer.n_pieces)
    assert (ids.pad, ids.unk, ids.cls, ids.sep, ids.mask) == (0, 1, 2, 3, 4)
    assert ids.n_pieces == tokenizer.n_pieces and ids.ids.tolist() == [0, 1, 2, 3, 4]


def test_special_pieces_are_recognised():
    assert IDS.ids.tolist() == [0, 3, 4, 7, 9]
    assert np.flatnonzero(IDS.among(np.arange(12))).tolist() == [0, 3, 4, 7, 9]


def test_random_pieces_are_all_others_equally_often():
    n = 70_000
    counts = np.bincount(IDS.random_pieces(n, np.random.default_rng(0)), minlength=12)
    assert counts[[0, 3, 4, 7, 9]].sum() == 0 and len(counts) == 12
    error = np.sqrt(n * (1 / 7) * (6 / 7))
    assert (np.abs(counts[[1, 2, 5, 6, 8, 10, 11]] - n / 7) < 4 * error).all()


def test_ids_may_coincide():
    one = SpecialIds(cls=5, sep=5, pad=5, unk=5, mask=None, n_pieces=6)
    assert set(one.random_pieces(100, np.random.default_rng(0)).tolist()) == {0, 1, 2, 3, 4}
    with pytest.raises(ValueError, match="E725.*'masked'"):
        one.need_mask("masked")
