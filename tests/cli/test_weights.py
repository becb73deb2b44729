"""The `weights` commands."""

import pytest
from pipeline import toys
from typer.testing import CliRunner

from spacy_llm_tasks.cli import app
from spacy_llm_tasks.weights import download


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SPACY_LLM_TASKS_CACHE", str(tmp_path / "cache"))


def test_get_passes_everything_on(monkeypatch, tmp_path):
    calls = []

    def get_weights(name, output, **options):
        options.pop("say")("a message")
        calls.append((name, output, options))

    monkeypatch.setattr(download, "get_weights", get_weights)
    target = tmp_path / "out"
    result = CliRunner().invoke(
        app, ["weights", "get", "minilm-l6", "--output", str(target), "--force"]
    )
    assert result.exit_code == 0 and result.stdout == "a message\n"
    assert calls == [("minilm-l6", target, {"force": True, "offline": False})]


def test_unknown_name(tmp_path):
    result = CliRunner().invoke(app, ["weights", "get", "nothing", "-o", str(tmp_path / "x")])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: [E180]") and "Traceback" not in result.stderr


def test_offline_without_a_cache(tmp_path):
    target = tmp_path / "x"
    result = CliRunner().invoke(
        app, ["weights", "get", "minilm-l6", "-o", str(target), "--offline"]
    )
    assert result.exit_code == 1 and "[E183]" in result.stderr
    assert not target.exists()


def test_list(tmp_path):
    result = CliRunner().invoke(app, ["weights", "list"])
    assert result.exit_code == 0
    for part in ("minilm-l6", "Apache-2.0", "92 MB", "not in the cache"):
        assert part in result.stdout


@pytest.mark.parametrize("name", ["foo", "trf_textcat"])
def test_only_an_encoder_is_exported(tmp_path, name):
    nlp = toys.empty_pipeline(toys.save_tokenizer(tmp_path / "tokenizer"))
    nlp.add_pipe("trf_textcat")
    toys.overfit(nlp, steps=1)
    nlp.to_disk(tmp_path / "model")
    arguments = ["weights", "export", str(tmp_path / "model"), "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*arguments, "--component", name])
    assert result.exit_code == 1 and "E538" in result.stderr
    assert f"'{name}'. Its encoders: transformer." in result.stderr
    assert not (tmp_path / "out").exists()
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert (tmp_path / "out" / "model.safetensors").is_file()


@pytest.mark.parametrize("arguments", [["weights"], ["weights", "get"], ["weights", "list"]])
def test_help_teaches(arguments):
    result = CliRunner().invoke(app, [*arguments, "--help"])
    assert result.exit_code == 0
    if len(arguments) > 1:
        assert f"spacy-llm-tasks weights {arguments[1]}" in result.stdout
