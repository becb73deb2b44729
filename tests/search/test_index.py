import json
import shutil
import sqlite3
import subprocess
import sys
import threading

import numpy as np
import pytest

from search.data import brute_force, clustered, entries, entry
from spacy_llm_tasks.search import Entry, Filters, SearchIndex, store
from spacy_llm_tasks.search.quantize import PRECISIONS
from spacy_llm_tasks.search.store import Store
from spacy_llm_tasks.search.vectors import VectorFiles


def ids(hits):
    return [hit.entry.id for hit in hits]


@pytest.mark.parametrize("k", [1, 10, 300, 1000])
def test_exact_against_brute_force(index, vectors, k):
    queries = clustered(20, 32, seed=1) * 40
    for query, hits in zip(queries, index.search(queries, k=k), strict=True):
        rows, cosines = brute_force(vectors, query / np.linalg.norm(query), k)
        assert ids(hits) == [f"e{row}" for row in rows]
        assert [hit.score for hit in hits] == pytest.approx(cosines.tolist(), abs=1e-6)
        assert all(hit.cosine == hit.score and hit.bm25 is None for hit in hits)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_precision_gives_back_what_was_stored(tmp_path, vectors, precision):
    with SearchIndex.create(tmp_path / "index", width=32, precision=precision) as index:
        index.add(entries(300), vectors * 3)
        assert list(index.entries()) == entries(300)
        assert index.vectors == pytest.approx(vectors, abs=1e-6)
        # Every candidate is scored by its float32 vector.
        for i, hits in enumerate(index.search(vectors[:50], k=3)):
            assert hits[0].entry == entry(i) and hits[0].score == pytest.approx(1.0, abs=1e-6)
        assert ids(index.search(vectors[0], k=300)[0]) == [
            f"e{row}" for row in brute_force(vectors, vectors[0], 300)[0]
        ]


def test_replacing_and_removing(index, vectors):
    new = clustered(5, 32, seed=3)
    index.add([Entry(f"e{i}", f"fresh words {i}") for i in range(5)], new)
    assert len(index) == 300 and index.manifest.n_rows == 305
    assert index.search(new[2], k=1)[0][0].entry.text == "fresh words 2"
    assert ids(index.search(texts="fresh")[0]) == [f"e{i}" for i in range(5)]
    assert "e2" not in ids(index.search(texts="cedar", k=300)[0])
    assert "e2" not in ids(index.search(texts="new", filters=Filters(ents=["YEAR"]))[0])
    assert index.delete(["e10", "e11", "nobody"]) == 2
    assert index.delete("e12") == 1
    assert index.delete(doc_ids=["d2"]) == 10 and index.delete(doc_ids="d2") == 0
    assert len(index) == 287 and "e10" not in index and "e13" in index
    assert index.get(["e10", "e13"]) == [None, entry(13)]
    left = [i for i in range(5, 300) if i not in (10, 11, 12) and i // 10 != 2]
    assert [e.id for e in index.entries()] == [f"e{i}" for i in left] + [f"e{i}" for i in range(5)]
    assert index.vectors == pytest.approx(np.concatenate([vectors[left], new]), abs=1e-6)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_compacting_changes_no_result(tmp_path, vectors, precision):
    with SearchIndex.create(tmp_path / "index", width=32, precision=precision) as index:
        index.add(entries(300), vectors)
        index.delete([f"e{i}" for i in range(0, 300, 3)])
        index.add([Entry("e5", "again")], vectors[:1])
        before = index.search(vectors[:9], k=20, texts=["cedar again"] * 9)
        size = sum(path.stat().st_size for path in index.path.iterdir())
        index.compact()
        assert index.search(vectors[:9], k=20, texts=["cedar again"] * 9) == before
        assert index.manifest.n_rows == len(index) == 200
        assert isinstance(index.vectors.base, np.memmap) or isinstance(index.vectors, np.memmap)
        assert sum(path.stat().st_size for path in index.path.iterdir()) < size
        files = {path.name for path in index.path.iterdir()}
        assert files == {"entries.sqlite", "vectors-2.float32", f"vectors-2.{precision}"}
        index.compact()
        index.add(entries(10, 400), vectors[:10])
        assert ids(index.search(vectors[3], k=1)[0]) == ["e403"]
    with SearchIndex.open(tmp_path / "index") as index:
        assert len(index) == 210


def test_one_id_twice_in_one_call(tmp_path, vectors):
    with SearchIndex.create(tmp_path / "index", width=32) as index:
        index.add([Entry("a", "first"), Entry("b", "b"), Entry("a", "last")], vectors[:3])
        assert len(index) == 2 and index.get(["a"])[0].text == "last"
        assert ids(index.search(vectors[2], k=1)[0]) == ["a"]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_an_empty_index(tmp_path, precision):
    with SearchIndex.create(tmp_path / "index", width=8, precision=precision) as index:
        assert len(index) == 0 and index.vectors.shape == (0, 8)
        assert index.search(np.ones(8)) == [[]]
        assert index.search(np.ones((3, 8)), texts=["a", "b", "c"]) == [[], [], []]
        assert index.search(np.ones((0, 8))) == [] and index.search(texts=[]) == []
        index.add([], np.empty((0, 8)))
        index.add([], [])
        index.compact()
        index.optimize()
        assert index.delete(["a"]) == 0 and list(index.entries()) == []
        index.add([Entry("a", "b")], np.ones((1, 8)))
        index.delete(["a"])
        assert index.search(np.ones(8)) == [[]] and index.search(texts="b") == [[]]
        index.compact()
        assert index.search(np.ones(8)) == [[]]


@pytest.mark.parametrize(
    "vectors, code",
    [
        (np.full((1, 4), np.nan), "E608"),
        (np.full((1, 4), np.inf), "E608"),
        (np.ones((1, 5)), "E606"),
        (np.ones((2, 4)), "E613"),
        (np.ones((1, 1, 4)), "E609"),
    ],
)
def test_vectors_that_cannot_be_used(tmp_path, vectors, code):
    with SearchIndex.create(tmp_path / "index", width=4) as index:
        with pytest.raises(ValueError, match=code):
            index.add([Entry("a", "b")], vectors)
        if code != "E613":
            with pytest.raises(ValueError, match=code):
                index.search(vectors)
        assert len(index) == 0


@pytest.mark.parametrize(
    "bad",
    [
        Entry("", "text"),
        Entry(7, "text"),
        Entry("a", None),
        Entry("a", "\ud800"),
        Entry("a", "text", start_char="0"),
        Entry("a", "text", ents=(("label",),)),
        Entry("a", "text", cats={"x": float("nan")}),
        Entry("a", "text", cats=["x"]),
        Entry("a", "text", meta={"x": {1, 2}}),
        Entry("a", "text", meta={"x": float("inf")}),
    ],
)
def test_an_entry_that_cannot_be_stored_changes_nothing(index, vectors, bad):
    with index.update():
        with pytest.raises(ValueError, match="E610"):
            index.add([Entry("e1", "changed"), bad], vectors[:2])
        index.add([Entry("later", "later")], vectors[:1])
    assert len(index) == 301 and index.get(["e1"]) == [entry(1)]


def test_options_that_cannot_be(tmp_path, index, vectors):
    for options in ({"width": 0}, {"width": 2.0}, {"width": 4, "fingerprint": None}):
        with pytest.raises(ValueError, match="E612"):
            SearchIndex.create(tmp_path / "other", **options)
    for options in ({"unit": "page"}, {"precision": "int4"}):
        with pytest.raises(ValueError, match="E601"):
            SearchIndex.create(tmp_path / "other", width=4, **options)
    assert not (tmp_path / "other").exists()
    for options in ({"k": 0}, {"k": 2.5}, {"oversample": -1}, {"depth": 0}):
        with pytest.raises(ValueError, match="E612"):
            index.search(vectors[0], **options)


# ------------------------------------------------------------------------------ opening


def test_create_takes_no_folder_that_is_in_use(tmp_path, index):
    with pytest.raises(ValueError, match="E605"):
        SearchIndex.create(index.path, width=3)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="E605"):
        SearchIndex.create(tmp_path / "file", width=3)
    (tmp_path / "empty").mkdir()
    SearchIndex.create(tmp_path / "empty", width=3).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file", "index"]


def test_an_index_of_another_pipeline(index):
    SearchIndex.open(index.path).close()
    SearchIndex.open(index.path, fingerprint="pipe-1").close()
    with pytest.raises(ValueError, match="E607.*'pipe-1', but this one has 'pipe-2'"):
        SearchIndex.open(index.path, fingerprint="pipe-2")


def test_no_index_there(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    sqlite3.connect(tmp_path / "other" / "entries.sqlite").execute("CREATE TABLE x (y)")
    for name in ("missing", "empty", "other"):
        with pytest.raises(ValueError, match="E602"):
            SearchIndex.open(tmp_path / name)
    assert not (tmp_path / "missing").exists()


def change_manifest(path, **values):
    connection = sqlite3.connect(path / "entries.sqlite")
    (text,) = connection.execute("SELECT value FROM manifest").fetchone()
    connection.execute(
        "UPDATE manifest SET value = ?", (json.dumps({**json.loads(text), **values}),)
    )
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    "values",
    [
        {"width": -1},
        {"width": True},
        {"unit": "page"},
        {"precision": "../../x"},
        {"graph": "../../../etc/passwd"},
        {"graph": "a\\b"},
        {"n_rows": 10**12},
        {"count": "3"},
        {"extra": 1},
    ],
)
def test_a_manifest_that_was_tampered_with(index, values):
    index.close()
    change_manifest(index.path, **values)
    with pytest.raises(ValueError, match="E603"):
        SearchIndex.open(index.path)


def test_damaged_files(tmp_path, index):
    index.close()

    def copy(name):
        shutil.copytree(index.path, tmp_path / name)
        return tmp_path / name

    path = copy("cut")
    with open(path / "vectors-1.float32", "r+b") as file:
        file.truncate(1000)
    with pytest.raises(ValueError, match="E603.*1000 bytes for 300 vectors"):
        SearchIndex.open(path)
    path = copy("missing")
    (path / "vectors-1.float32").unlink()
    with pytest.raises(ValueError, match="E603"):
        SearchIndex.open(path)
    path = copy("noise")
    (path / "entries.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(ValueError, match="E603"):
        SearchIndex.open(path)
    path = copy("newer")
    connection = sqlite3.connect(path / "entries.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ValueError, match="E604"):
        SearchIndex.open(path)


def test_a_closed_index(index, vectors):
    index.close()
    index.close()
    with pytest.raises(ValueError, match="E616"):
        index.search(vectors[0])


def test_nothing_is_pickled(index):
    assert {path.suffix for path in index.path.iterdir()} == {".sqlite", ".float32"}
    assert (index.path / "vectors-1.float32").stat().st_size == 300 * 32 * 4


# ------------------------------------------------------------------------------ updates


class Killed(BaseException):
    pass


def contents(index):
    return list(index.entries()), index.vectors.copy(), index.search(texts="cedar fresh", k=300)


def same(one, other):
    return one[0] == other[0] and (one[1] == other[1]).all() and one[2] == other[2]


@pytest.mark.parametrize(
    "owner, name",
    [(Store, "put"), (VectorFiles, "write"), (VectorFiles, "sync"), (store, "write_manifest")],
)
@pytest.mark.parametrize("late", [False, True])
def test_a_killed_update_leaves_the_old_index(index, vectors, monkeypatch, owner, name, late):
    before = contents(index)

    def killing(real):
        def function(*args, **kwargs):
            if late:
                real(*args, **kwargs)
            raise Killed

        return function

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, killing(getattr(owner, name)))
        with pytest.raises(Killed):
            with index.update():
                index.delete(doc_ids=["d1"])
                index.add([Entry("e3", "fresh"), Entry("x", "fresh")], vectors[:2] * 0)
    assert same(contents(index), before)
    with SearchIndex.open(index.path) as other:
        assert same(contents(other), before)
        other.add([Entry("x", "fresh")], vectors[:1])
        assert other.search(texts="fresh")[0][0].entry.id == "x"
    assert len(index) == 301 and ids(index.search(vectors[0], k=2)[0]) == ["e0", "x"]


def test_an_update_that_raises_in_the_middle(index, vectors):
    before = contents(index)
    with pytest.raises(KeyError):
        with index.update():
            index.delete(doc_ids=["d0", "d1"])
            index.compact()
            index.add([Entry("e50", "fresh")], vectors[:1])
            assert len(index) == 280 and index.search(texts="fresh")[0]
            assert index.search(vectors[25], k=1)[0][0].entry.id == "e25"
            raise KeyError
    assert same(contents(index), before)
    with index.update():
        index.delete(doc_ids=["d0"])
        index.compact()
        index.delete(doc_ids=["d1"])
        index.compact()
    assert len(index) == index.manifest.n_rows == 280
    index.add([Entry("y", "y")], vectors[:1])
    assert {path.name for path in index.path.iterdir()} == {"entries.sqlite", "vectors-3.float32"}


KILLED = """
import os, sys, numpy as np
from spacy_llm_tasks.search import Entry, SearchIndex
index = SearchIndex.open(sys.argv[1])
with index.update():
    index.add([Entry(f"n{i}", "fresh " * 50) for i in range(2000)], np.ones((2000, 32)))
    index.delete(doc_ids=["d0"])
    if sys.argv[2] == "compact":
        index.compact()
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("when", ["add", "compact"])
def test_a_process_that_dies(index, vectors, when):
    before = contents(index)
    done = subprocess.run([sys.executable, "-c", KILLED, index.path, when], capture_output=True)
    assert done.returncode == -9, done.stderr
    assert same(contents(index), before)
    index.add([Entry("x", "fresh")], vectors[:1])
    assert index.search(texts="fresh")[0][0].entry.id == "x"
    assert {path.name for path in index.path.iterdir()} == {"entries.sqlite", "vectors-1.float32"}


FRESH = """
import sys, json, numpy as np
from spacy_llm_tasks.search import SearchIndex
index = SearchIndex.open(sys.argv[1], fingerprint="pipe-1")
hits = index.search(np.load(sys.argv[2]), k=7, texts=["cedar"] * 3)
assert "usearch" not in sys.modules
print(json.dumps([[[hit.entry.id, hit.score, hit.entry.meta] for hit in row] for row in hits]))
"""


def test_in_a_fresh_process(tmp_path, index, vectors):
    np.save(tmp_path / "queries.npy", vectors[:3])
    command = [sys.executable, "-c", FRESH, index.path, tmp_path / "queries.npy"]
    found = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    expected = index.search(vectors[:3], k=7, texts=["cedar"] * 3)
    assert found == [[[h.entry.id, h.score, h.entry.meta] for h in hits] for hits in expected]


def test_another_reader_sees_changes_when_they_are_done(index, vectors):
    with SearchIndex.open(index.path) as reader:
        assert len(reader.search(vectors[0], k=400)[0]) == 300
        with index.update():
            index.delete(doc_ids=["d0"])
            assert len(reader) == 300 and len(index) == 290
            assert len(reader.search(vectors[0], k=400)[0]) == 300
        assert len(reader) == 290
        assert len(reader.search(vectors[0], k=400)[0]) == 290
        index.compact()
        assert ids(reader.search(vectors[30], k=1)[0]) == ["e30"]
        assert reader.vectors == pytest.approx(vectors[10:], abs=1e-6)


def test_two_writers(index, vectors, monkeypatch):
    monkeypatch.setattr("spacy_llm_tasks.search.store._TIMEOUT", 0.05)
    with SearchIndex.open(index.path) as other:
        with index.update():
            with pytest.raises(ValueError, match="E617"):
                other.delete(["e1"])
        other.delete(["e1"])
        assert len(index) == 299


def test_threads_take_turns(index, vectors):
    errors = []

    def work(start):
        try:
            for i in range(start, start + 20):
                index.add([Entry(f"t{i}", "thread")], vectors[i : i + 1])
                assert len(index.search(vectors[i], k=5)[0]) == 5
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(20 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and len(index) == 380


def test_an_index_that_cannot_be_written(index, vectors):
    index.close()
    for path in (*index.path.iterdir(), index.path):
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        with SearchIndex.open(index.path) as readonly:
            assert ids(readonly.search(vectors[4], k=1, texts="inlet")[0])
    finally:
        for path in (index.path, *index.path.iterdir()):
            path.chmod(path.stat().st_mode | 0o200)
