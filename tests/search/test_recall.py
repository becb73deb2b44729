import sys

import numpy as np
import pytest

from search.data import clustered, entries
from spacy_llm_tasks.search import Entry, Filters, SearchIndex, measure_recall
from spacy_llm_tasks.search.quantize import PRECISIONS

LEAST = {"float32": 1.0, "int8": 0.999, "binary": 0.95}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_recall_of_the_precisions(tmp_path, precision):
    vectors = clustered(3000, 384)
    queries = clustered(3050, 384)[-50:] + clustered(50, 384, noise=1.0, seed=5) * 0.3
    with SearchIndex.create(tmp_path / "index", width=384, precision=precision) as index:
        index.add(entries(3000), vectors)
        found = measure_recall(index, queries)
        assert found.recall >= LEAST[precision] and (found.k, found.queries) == (10, 50)
        assert found.seconds > 0 and found.exact_seconds > 0
        assert measure_recall(index, sample=40).recall >= LEAST[precision]
        if precision == "binary":
            assert measure_recall(index, queries, oversample=1).recall < found.recall


def test_recall_is_counted_right(tmp_path, monkeypatch):
    with SearchIndex.create(tmp_path / "index", width=4) as index:
        index.add([Entry(str(i), "a") for i in range(6)], np.eye(4)[[0, 0, 1, 1, 2, 3]] + 0.01)
        real = SearchIndex.nearest

        def misses(self, vectors, *, k=10, exact=False, oversample=None):
            found = real(self, vectors, k=k if exact else k + 1, exact=exact)
            return found if exact else [(rows[1:], scores[1:]) for rows, scores in found]

        assert measure_recall(index, k=10).recall == 1.0
        monkeypatch.setattr(SearchIndex, "nearest", misses)
        # The equal vector in the first row is missed, the one in the second is as good.
        assert measure_recall(index, np.eye(4)[:1], k=2).recall == 0.5
        assert measure_recall(index, np.eye(4)[:1], k=1).recall == 1.0


def test_nothing_to_measure(tmp_path):
    with SearchIndex.create(tmp_path / "index", width=4) as index:
        for queries in (None, np.ones((1, 4))):
            with pytest.raises(ValueError, match="E618"):
                measure_recall(index, queries)
        index.add([Entry("a", "a")], np.ones((1, 4)))
        assert measure_recall(index).recall == 1.0
        with pytest.raises(ValueError, match="E618"):
            measure_recall(index, np.ones((0, 4)))


# ------------------------------------------------------------------------------ graph


@pytest.fixture(params=PRECISIONS)
def large(tmp_path, request):
    """More entries than are searched exactly, if only because the limit is low."""
    pytest.importorskip("usearch")
    index = SearchIndex.create(
        tmp_path / "index", width=64, precision=request.param, exact_below=500
    )
    with index:
        index.add(entries(2000), clustered(2000, 64))
        index.optimize()
        yield index


def test_a_graph_finds_nearly_all(large):
    assert large.manifest.graph_rows == 2000
    assert measure_recall(large, clustered(2100, 64)[-100:]).recall >= 0.9
    vectors = large.vectors
    hits = large.search(vectors[:100], k=1)
    assert np.mean([hit[0].entry.id == f"e{i}" for i, hit in enumerate(hits)]) >= 0.99


def test_beside_a_graph(large):
    """What was added, replaced and removed after the graph was built."""
    new = clustered(100, 64, seed=9)
    large.add(entries(100, 1950), new)
    large.delete(doc_ids=[f"d{i}" for i in range(50)])
    assert large.manifest.graph_rows == 2000 and len(large) == 1550
    hits = large.search(new, k=1)
    assert [hit[0].entry.id for hit in hits] == [f"e{i}" for i in range(1950, 2050)]
    assert measure_recall(large).recall >= 0.9
    for found in large.search(large.vectors[:20], k=10):
        assert len(found) == 10 and all(int(hit.entry.id[1:]) >= 500 for hit in found)
    large.compact()
    assert large.manifest.graph == "" and measure_recall(large).recall >= 0.9
    large.optimize()
    assert large.manifest.graph_rows == 1550
    assert len(list(large.path.glob("graph-*"))) == 1


def test_filters_with_a_graph(large):
    queries = large.vectors[:20]
    for filters in (Filters(meta={"odd": True}), Filters(docs=["d3"]), Filters(cats={"size": 0.9})):
        exact = large.search(queries, filters=filters, exact=True)
        found = large.search(queries, filters=filters)
        for one, other in zip(exact, found, strict=True):
            assert len(one) == len(other) == 10
            assert {hit.entry.id for hit in other} <= {
                hit.entry.id for hit in large.search(queries[:1], k=2000, filters=filters)[0]
            }
        right = np.mean(
            [one[0].entry == other[0].entry for one, other in zip(exact, found, strict=True)]
        )
        assert right >= 0.9


def test_k_above_what_a_graph_holds(large):
    (found,) = large.search(large.vectors[0], k=5000)
    assert len(found) == 2000


def test_a_damaged_or_missing_graph_is_not_used(large):
    large.close()
    path = next(large.path.glob("graph-*"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    for content in (bytes(data), data[:100], b""):
        path.write_bytes(content)
        with pytest.warns(UserWarning, match="W601"):
            index = SearchIndex.open(large.path, exact_below=500)
        with index:
            assert measure_recall(index).recall >= 0.9
    path.unlink()
    with pytest.warns(UserWarning, match="W601"):
        SearchIndex.open(large.path, exact_below=500).close()
    # Below the limit nobody asks for it.
    SearchIndex.open(large.path).close()


def test_without_usearch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "usearch", None)
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    with SearchIndex.create(tmp_path / "index", width=8, exact_below=10) as index:
        index.add(entries(30), clustered(30, 8))
        with pytest.raises(ImportError, match="E614"):
            index.optimize()
        index.optimize(graph=False)
        assert len(index.search(np.ones(8))[0]) == 10 and measure_recall(index).recall == 1.0


def test_dropping_the_graph(large):
    large.optimize(graph=False)
    assert large.manifest.graph == "" and not list(large.path.glob("graph-*"))


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
def test_200_000_vectors(tmp_path, precision):
    pytest.importorskip("usearch")
    n = 200_000
    vectors = clustered(n + 100, 64, n_groups=5000)
    queries = vectors[n:]
    with SearchIndex.create(tmp_path / "index", width=64, precision=precision) as index:
        with index.update():
            for start in range(0, n, 20_000):
                index.add(entries(20_000, start), vectors[start : start + 20_000])
        assert len(index) == n
        assert measure_recall(index, queries).recall >= 0.9
        index.optimize()
        assert index.manifest.graph_rows == n
        found = measure_recall(index, queries)
        assert found.recall >= 0.9 and found.seconds < found.exact_seconds
        hits = index.search(queries[:5], filters=Filters(docs=["d7", "d8"]))
        assert all(len(row) == 10 and row[0].entry.doc_id in ("d7", "d8") for row in hits)
