import pytest
import spacy

from spacy_llm_tasks.annotate.running.crew import default_threads
from spacy_llm_tasks.annotate.running.pipelines import find_pipeline, kernel_for
from spacy_llm_tasks.nn import kernels


@pytest.fixture
def saved(tmp_path):
    def saved(*factories):
        nlp = spacy.blank("en")
        for factory in factories:
            nlp.add_pipe(factory)
        (tmp_path / "nlp").mkdir()
        nlp.config.to_disk(tmp_path / "nlp" / "config.cfg")
        return tmp_path / "nlp"

    return saved


def test_a_kernel_is_chosen_where_ours_is_used(saved):
    assert kernel_for(saved("trf_encoder")) in kernels.KERNELS


def test_and_nowhere_else(saved):
    assert kernel_for(saved("sentencizer", "tagger")) is None


def test_pipelines_are_folders_or_packages(saved, tmp_path, monkeypatch):
    path = saved("sentencizer")
    monkeypatch.chdir(tmp_path)
    assert find_pipeline("nlp") == find_pipeline(path) == path.resolve()
    for wrong in (tmp_path, "no_such_package", tmp_path / "none"):
        with pytest.raises(ValueError, match="E850"):
            find_pipeline(wrong)


def test_threads_are_shared():
    assert default_threads(1) >= default_threads(2) >= default_threads(10_000) == 1
