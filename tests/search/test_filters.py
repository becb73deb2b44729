import pytest

from search.data import entry
from spacy_llm_tasks.search import Entry, Filters, SearchIndex

ALL = [entry(i) for i in range(300)]


def has(i, label):
    return any(found == label for found, _ in ALL[i].ents)


@pytest.mark.parametrize(
    "filters, holds",
    [
        (Filters(), lambda i: True),
        (Filters(ents=["YEAR"]), lambda i: has(i, "YEAR")),
        (Filters(ents=[("PLACE", " CEDAR ")]), lambda i: i % 10 == 2),
        (Filters(ents=[("", "delta")]), lambda i: i % 10 == 3),
        (Filters(ents=["PLACE", ("YEAR", "1999")]), lambda i: i % 2 == 0),
        (Filters(ents=["PLACE", "PLANT"]), lambda i: False),
        (Filters(cats={"even": 0.5}), lambda i: i % 2 == 0),
        (Filters(cats={"size": 0.25}), lambda i: i >= 250),
        (Filters(cats={"size": 0.1, "even": 1.0}), lambda i: i >= 100 and i % 2 == 0),
        (Filters(cats={"none": 0.0}), lambda i: False),
        (Filters(meta={"year": 2003}), lambda i: i % 5 == 3),
        (Filters(meta={"year": [2003, 2004.0]}), lambda i: i % 5 in (3, 4)),
        (Filters(meta={"year": "2003"}), lambda i: False),
        (Filters(meta={"year": []}), lambda i: False),
        (Filters(meta={"tags": "a"}), lambda i: i % 3 == 0),
        (Filters(meta={"odd": True}), lambda i: i % 2 == 1),
        (Filters(ranges={"year": (2001, 2002)}), lambda i: i % 5 in (1, 2)),
        (Filters(ranges={"year": (None, 2000)}), lambda i: i % 5 == 0),
        (Filters(ranges={"year": ("a", None)}), lambda i: False),
        (Filters(ranges={"tags": (None, "a")}), lambda i: i % 3 == 0),
        (Filters(ranges={"tags": (0, None)}), lambda i: False),
        (Filters(docs=["d3", "d29", "?"]), lambda i: i // 10 in (3, 29)),
        (Filters(docs=[]), lambda i: False),
        (Filters(docs=[f"d{i}" for i in range(20, 40_000)]), lambda i: i >= 200),
        (Filters(docs=["d3"], meta={"odd": False}), lambda i: i // 10 == 3 and i % 2 == 0),
    ],
)
def test_only_what_meets_the_conditions_is_found(index, vectors, filters, holds):
    expected = {f"e{i}" for i in range(300) if holds(i)}
    (found,) = index.search(vectors[7], k=300, filters=filters)
    assert {hit.entry.id for hit in found} == expected
    (found,) = index.search(texts="number", k=300, filters=filters)
    assert {hit.entry.id for hit in found} == expected
    (found,) = index.search(vectors[7], texts="number", k=300, filters=filters)
    assert {hit.entry.id for hit in found} == expected


def test_odd_values(tmp_path, vectors):
    metas = [{"x": None}, {}, {"x": 2**70}, {"x": {"a": 1}}, {"x": "' OR 1 --"}, {"é\0": "ü"}]
    with SearchIndex.create(tmp_path / "index", width=32) as index:
        index.add([Entry(str(i), "a", meta=meta) for i, meta in enumerate(metas)], vectors[:6])
        assert [entry.meta for entry in index.entries()] == metas

        def found(**meta):
            return [hit.entry.id for hit in index.search(texts="a", filters=Filters(meta=meta))[0]]

        assert found(x=None) == ["0"]
        assert found(x=2**70) == ["2"]
        assert found(x="' OR 1 --") == ["4"]
        assert found(**{"é\0": "ü"}) == ["5"]
        assert found(x="' OR 1=1 --") == []


@pytest.mark.parametrize(
    "filters",
    [
        Filters(ents="PLACE"),
        Filters(ents=[("a", "b", "c")]),
        Filters(meta={"x": {"a": 1}}),
        Filters(ranges={"x": 3}),
        Filters(docs="d1"),
        Filters(cats={"even": None}),
        Filters(cats={"even": "x"}),
    ],
)
def test_conditions_of_another_form(index, vectors, filters):
    with pytest.raises(ValueError, match="E612"):
        index.search(vectors[0], filters=filters)
