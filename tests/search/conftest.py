import pytest

from search.data import clustered, entries
from spacy_llm_tasks.search import SearchIndex


@pytest.fixture
def vectors():
    return clustered(300, 32)


@pytest.fixture
def index(tmp_path, vectors):
    with SearchIndex.create(
        tmp_path / "index", width=32, unit="sent", fingerprint="pipe-1"
    ) as index:
        index.add(entries(300), vectors)
        yield index
