import pytest

from spacy_llm_tasks.nn import kernels

from .runs import write_texts


@pytest.fixture(scope="module")
def quick():
    """One kernel for the whole module, and no waiting for the disk."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(kernels, "_chosen", "plain")
        monkeypatch.setattr("spacy_llm_tasks.files.sync", lambda path: None)
        yield


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A file of invented documents, one a line."""
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    write_texts(path)
    return path
