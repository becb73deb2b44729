import numpy as np
import pytest
from scipy.stats import spearmanr

from spacy_llm_tasks.bench.similarity import read_pairs, spearman


def test_spearman_equals_scipys_with_ties():
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = rng.integers(0, 8, size=(2, 30)).astype(float)
        assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)


def test_pairs_are_read_from_their_columns(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text('x\tx\tx\t1\t2.5\tA "red" hat.\tHats.\n', encoding="utf8")
    scores, first, second = read_pairs(path)
    assert scores.tolist() == [2.5]
    assert first == ['A "red" hat.'] and second == ["Hats."]


def test_a_broken_line_is_named(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("x\tx\tx\t1\t2.5\tA\tB\nx\ty\n", encoding="utf8")
    with pytest.raises(ValueError, match=r"pairs.tsv:2"):
        read_pairs(path)
