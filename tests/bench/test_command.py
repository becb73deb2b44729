import json

import pytest
from typer.testing import CliRunner

from spacy_llm_tasks.bench import inference
from spacy_llm_tasks.cli.bench import app

from .data import write_weights


def call(*args):
    return CliRunner().invoke(app, list(map(str, args)))


@pytest.fixture
def weights(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"stands for weights")
    return tmp_path


def test_show_prints_the_table_and_trains_nothing(tmp_path, weights):
    result = call("accuracy", "--data", tmp_path, "--weights", weights, "--sides", "peer",
                  "--results", tmp_path / "none", "--show")  # fmt: skip
    assert result.exit_code == 0
    assert "| wnut17 | ents_f | 636 |" in result.output
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "option,value,code",
    [
        ("--sets", "conll", "E582"),
        ("--sides", "theirs", "E583"),
        ("--sides", " ", "E587"),
        ("--seeds", "zero", "E587"),
        ("--rates", "1e-4;2e-4", "E587"),
    ],
)
def test_bad_options_end_in_one_message(tmp_path, weights, option, value, code):
    result = call("accuracy", "--data", tmp_path, "--weights", weights, option, value)
    assert result.exit_code == 1 and code in result.output
    assert "Traceback" not in result.output


def test_inference_json_is_the_whole_output(monkeypatch, weights):
    monkeypatch.setattr(inference, "report", lambda *args, **kwargs: {"results": [], **kwargs})
    result = call("inference", "--weights", weights, "--texts", "long", "--format", "json")
    assert json.loads(result.output)["kind"] == "long"


def test_questions_json_is_the_whole_output(tmp_path):
    folder = write_weights(tmp_path)
    options = ["--deferred", "1", "--per-text", "2", "--texts", "1", "--rounds", "1"]
    result = call("questions", "--weights", folder, *options, "--format", "json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["results"]
    assert [row["deferred_layers"] for row in rows] == [0, 1]
