"""The index of a run, from files that workers leave, through every kind of interruption."""

import errno
import shutil
import threading

import numpy as np
import pytest

from spacy_llm_tasks.annotate.indexing import index_builder
from spacy_llm_tasks.annotate.indexing.index_builder import IndexBuilder
from spacy_llm_tasks.annotate.indexing.index_file import (
    IndexEntries,
    IndexFileWriter,
    Origin,
    index_file_name,
    to_line,
)
from spacy_llm_tasks.search import Entry, SearchIndex

ORIGIN = Origin("doc", 4, "abc")
# Documents of each shard; one has none.
SIZES = [3, 2, 0, 4]


class Crash(BaseException):
    """Stands for the end of the process."""


def leave(folder, number, origin=ORIGIN):
    """What a worker leaves of a shard."""
    draw = np.random.default_rng(number)
    with IndexFileWriter(folder / index_file_name(number), origin) as file:
        for i in range(SIZES[number]):
            entry = Entry(f"d{number}-{i}", f"text {i}", doc_id=f"d{number}-{i}", meta={"n": i})
            vectors = draw.normal(size=(1, 4)).astype("f4")
            file.write([IndexEntries([to_line(entry)], vectors)])


class Run:
    """A run of four shards, as the builder sees it."""

    def __init__(self, folder):
        self.path, self.files, self.done = folder / "index", folder / "entries", set()
        self.files.mkdir(parents=True, exist_ok=True)

    def builder(self):
        return IndexBuilder(
            self.path, self.files, precision="float32", is_done=lambda n: n in self.done
        )

    def finish(self, number, builder=None):
        leave(self.files, number)
        self.done.add(number)
        if builder is not None:
            builder.wake()

    def left(self):
        return sorted(int(path.stem.removeprefix("part-")) for path in self.files.iterdir())


def contents(path):
    with SearchIndex.open(path) as index:
        hits = index.search(np.eye(4, dtype="f4"), k=3, texts=["text 1"] * 4)
        found = [(hit.entry.id, hit.score) for row in hits for hit in row]
        return list(index.entries()), index.vectors.tobytes(), index.rows().tolist(), found


@pytest.fixture
def calm(tmp_path):
    run = Run(tmp_path / "calm")
    with run.builder() as builder:
        for number in range(4):
            run.finish(number, builder)
        assert builder.finish(lambda: False)
    assert run.left() == [] and builder.count() == 9
    return contents(run.path)


def test_shards_are_added_in_their_order(calm, tmp_path):
    run = Run(tmp_path)
    with run.builder() as builder:
        for number in (2, 1, 3):
            run.finish(number, builder)
        assert builder.count() == 0 and run.left() == [1, 2, 3]
        run.finish(0, builder)
        assert builder.finish(lambda: False)
    assert run.left() == [] and contents(run.path) == calm
    assert [entry.id for entry in calm[0]][:4] == ["d0-0", "d0-1", "d0-2", "d1-0"]


def test_a_session_that_is_left_goes_on(calm, tmp_path):
    run = Run(tmp_path)
    with run.builder() as builder:
        run.finish(0, builder)
        run.finish(3, builder)
    with run.builder() as builder:
        run.finish(1, builder)
        run.finish(2, builder)
        assert builder.finish(lambda: False)
    assert contents(run.path) == calm


@pytest.mark.parametrize("nth", range(1, 7))
def test_killed_within_a_shard(calm, tmp_path, monkeypatch, nth):
    run, calls = Run(tmp_path), []
    for number in range(4):
        run.finish(number)
    add = SearchIndex.add

    def dies(self, entries, vectors):
        calls.append(entries)
        if len(calls) == nth:
            raise Crash
        add(self, entries, vectors)

    with monkeypatch.context() as patched:
        patched.setattr(SearchIndex, "add", dies)
        with run.builder() as builder, pytest.raises(Crash):
            builder.finish(lambda: False)
    assert 1 <= len(run.left()) <= 4
    with run.builder() as builder:
        assert builder.finish(lambda: False)
    assert contents(run.path) == calm


def test_killed_before_a_file_was_removed(calm, tmp_path):
    run = Run(tmp_path)
    with run.builder() as builder:
        run.finish(0, builder)
        run.finish(1, builder)
        assert builder.finish(lambda: False)
    # Both are there again; so is a shard whose output was lost, and made once more.
    for number in range(4):
        run.finish(number)
    with run.builder() as builder:
        assert builder.finish(lambda: False)
    assert run.left() == [] and contents(run.path) == calm


def test_waiting_for_it_may_be_given_up(tmp_path, monkeypatch):
    run, go_on = Run(tmp_path), threading.Event()
    run.finish(0)
    monkeypatch.setattr(SearchIndex, "add", lambda *arguments: go_on.wait())
    with run.builder() as builder:
        assert not builder.finish(lambda: True)
        go_on.set()


def test_what_the_thread_cannot_do_is_told(tmp_path, monkeypatch):
    run = Run(tmp_path)
    run.finish(0)
    path = run.files / index_file_name(0)
    path.write_bytes(path.read_bytes()[:-1])
    with run.builder() as builder, pytest.raises(ValueError, match="E856"):
        builder.finish(lambda: False)
    leave(run.files, 0)
    with run.builder() as builder:
        assert builder.finish(lambda: False)
    leave(run.files, 1, Origin("doc", 4, "another"))
    run.done.add(1)
    with run.builder() as builder, pytest.raises(ValueError, match="E607"):
        builder.finish(lambda: False)

    def full(*arguments):
        raise OSError(errno.ENOSPC, "no space")

    run.finish(1)
    monkeypatch.setattr(index_builder.SearchIndex, "add", full)
    with run.builder() as builder, pytest.raises(OSError, match="E843"):
        builder.finish(lambda: False)


def test_an_index_that_was_removed_is_missed(tmp_path):
    run = Run(tmp_path)
    with run.builder() as builder:
        run.finish(0, builder)
        assert builder.finish(lambda: False)
    run.finish(1)
    run.builder().require_whole(run.done, "parquet")
    shutil.rmtree(run.path)
    with pytest.raises(ValueError, match="E857.*part-00000.parquet"):
        run.builder().require_whole(run.done, "parquet")
    # Nothing was in it yet: it is made when its time comes.
    leave(run.files, 0)
    run.builder().require_whole(run.done, "parquet")
