import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.data import clustered
from spacy_llm_tasks.search.nearest import nearest
from spacy_llm_tasks.search.quantize import PRECISIONS, encode, form_of, scores
from spacy_llm_tasks.search.vectors import VectorFiles, unit_vectors


def test_lengths_become_one_and_zeros_stay():
    found = unit_vectors([[3.0, 4.0], [0.0, 0.0], [1e300, 0.0], [1e-300, 1e-300]])
    expected = [[0.6, 0.8], [0, 0], [1, 0], [np.sqrt(0.5), np.sqrt(0.5)]]
    assert found.dtype == np.float32 and found == pytest.approx(np.array(expected), rel=1e-6)
    assert unit_vectors(np.array([[2, 0]])).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize(
    "vectors, code",
    [
        ([[1.0, np.nan]], "E608"),
        ([[1.0, np.inf]], "E608"),
        ([1.0, 2.0], "E609"),
        ([["a", "b"]], "E609"),
        ([[1.0, 2.0, 3.0]], "E606"),
    ],
)
def test_what_is_no_vector(vectors, code):
    with pytest.raises(ValueError, match=code):
        unit_vectors(vectors, width=2)


def test_the_message_names_the_row():
    vectors = np.ones((9000, 2))
    vectors[8500, 1] = np.nan
    with pytest.raises(ValueError, match="Vector 8500 "):
        unit_vectors(vectors)


@pytest.mark.parametrize("width", [1, 7, 8, 63, 64, 65, 384])
def test_forms_of_any_width(width):
    vectors = clustered(50, width)
    exact = vectors @ vectors.T
    for precision in PRECISIONS:
        form, rows = form_of(precision, width), encode(vectors, precision)
        assert rows.dtype == form.dtype and rows.shape == (50, form.columns)
        queries = rows if precision == "binary" else vectors
        found = scores(queries, rows, precision)
        if precision == "binary":
            different = (vectors[:, None] > 0) != (vectors[None] > 0)
            assert (found == -different.sum(axis=2)).all()
        else:
            # Rounding moves each number by at most half of its vector's scale.
            bound = 1e-6 if precision == "float32" else np.sqrt(width) / 127 / 2
            assert np.abs(found - exact).max() <= bound


def test_zero_vectors_have_forms():
    zeros = np.zeros((2, 10), dtype=np.float32)
    assert scores(zeros, encode(zeros, "int8"), "int8").tolist() == [[0, 0], [0, 0]]
    assert encode(zeros, "binary").tolist() == [[0], [0]]


@given(st.integers(0, 40), st.integers(1, 50), st.integers(0, 1000))
def test_nearest_is_a_stable_sort(n, k, seed):
    # Numbers of which many are equal, compared in pieces smaller than the matrix.
    rng = np.random.default_rng(seed)
    matrix = rng.integers(-2, 3, (n, 2)).astype(np.float32)
    query = rng.integers(-2, 3, (3, 2)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spacy_llm_tasks.search.nearest.CHUNK", 7)
        patch.setattr("spacy_llm_tasks.search.nearest._QUERIES", 2)
        found = nearest(query, matrix, k=k)
        some = np.flatnonzero(rng.random(n) < 0.5)
        among = nearest(query, matrix, k=k, rows=some)
    for item, ((rows, cosines), (some_rows, _)) in enumerate(zip(found, among, strict=True)):
        order = np.argsort(-(matrix @ query[item]), kind="stable")
        assert rows.tolist() == order[:k].tolist()
        assert cosines.tolist() == (matrix @ query[item])[order[:k]].tolist()
        assert some_rows.tolist() == [row for row in order if row in some][:k]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_files_keep_what_was_written(tmp_path, precision):
    vectors = clustered(100, 20)
    files = VectorFiles(tmp_path, width=20, precision=precision, generation=3)
    assert files.rows("float32", 0).shape == (0, 20)
    files.write(vectors[:60], first_row=0)
    files.write(vectors[:40] * 0, first_row=60)  # as a killed update does
    files.write(vectors[60:], first_row=60)
    files.sync()
    assert (files.rows("float32", 100) == vectors).all()
    assert (files.rows(precision, 100) == encode(vectors, precision)).all()
    assert files.rows(precision, 5).shape[0] == 5
    with pytest.raises(ValueError, match="E603"):
        files.rows(precision, 101)
