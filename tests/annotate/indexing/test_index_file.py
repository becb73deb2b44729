import json

import numpy as np
import pytest

from spacy_llm_tasks.annotate.indexing.index_file import (
    IndexEntries,
    IndexFile,
    IndexFileWriter,
    Origin,
    index_file_name,
    to_line,
)
from spacy_llm_tasks.search import Entry

ORIGIN = Origin("ent", 3, "abc")
ENTRIES = [
    Entry("a:0-3:PER", "Ada\n", 0, 3, "a", (("PER", "Ada"),), {"news": 0.5}, {"n": [1, None]}),
    Entry("b:2-5:LOC", "Ulm \u2028 ü", 2, 5, "b"),
    Entry("b:7-9:LOC", "", 7, 9, "b"),
]
VECTORS = np.arange(9, dtype=np.float32).reshape(3, 3) / 7


@pytest.fixture
def path(tmp_path):
    path = tmp_path / index_file_name(12)
    of_b = IndexEntries([to_line(entry) for entry in ENTRIES[1:]], VECTORS[1:])
    nothing = IndexEntries([], VECTORS[:0])
    with IndexFileWriter(path, ORIGIN) as file:
        file.write([IndexEntries([to_line(ENTRIES[0])], VECTORS[:1]), nothing, of_b])
        file.write([nothing])
        file.write([of_b])
    return path


def test_what_was_written_is_read(path):
    assert path.name == "part-00012.entries"
    with IndexFile(path) as file:
        assert file.origin == ORIGIN
        (first, vectors), (second, others) = file.blocks()
    assert first == ENTRIES and second == ENTRIES[1:]
    assert np.array_equal(vectors, VECTORS) and np.array_equal(others, VECTORS[1:])


def test_a_damaged_file_says_what_to_do(path):
    whole = path.read_bytes()
    for n_bytes in (0, 5, len(whole) - 1, whole.index(b"\n") + 20):
        path.write_bytes(whole[:n_bytes])
        with pytest.raises(ValueError, match="E856.*Delete part-00012 "), IndexFile(path) as file:
            list(file.blocks())


@pytest.mark.parametrize(
    "entry", [Entry("a", "half \ud800"), Entry("a", "x", cats={"news": float("nan")})]
)
def test_what_an_index_cannot_store_is_no_line(entry):
    with pytest.raises(ValueError):
        to_line(entry)


def test_a_line_is_one_line():
    assert b"\n" not in to_line(ENTRIES[0])
    assert json.loads(to_line(ENTRIES[1]))["text"] == ENTRIES[1].text
