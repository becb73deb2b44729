import pytest
import thinc.api
import typer

from spacy_llm_tasks.cli._config import use_device


@pytest.fixture
def called(monkeypatch):
    called = []
    for name in ("require_gpu", "set_gpu_allocator"):
        monkeypatch.setattr(thinc.api, name, lambda value, name=name: called.append((name, value)))
    return called


def test_one_store_of_memory_on_a_gpu(called):
    assert use_device(1) == "GPU 1"
    assert called == [("require_gpu", 1), ("set_gpu_allocator", "pytorch")]


def test_nothing_is_chosen_for_the_cpu(called):
    assert use_device(-1) == "CPU"
    assert called == []


def test_a_gpu_that_is_not_there(called, monkeypatch):
    def refuse(gpu_id):
        raise ValueError("No GPU devices detected")

    monkeypatch.setattr(thinc.api, "require_gpu", refuse)
    with pytest.raises(typer.BadParameter, match="No GPU"):
        use_device(0)
    assert called == []
