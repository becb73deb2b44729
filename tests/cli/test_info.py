import json

import numpy as np
import pytest
from safetensors.numpy import save_file
from toy_training import initialized, write_corpora
from typer.testing import CliRunner

from spacy_llm_tasks.cli import app
from spacy_llm_tasks.cli._pipeline import parameters
from spacy_llm_tasks.cli._units import operations, size
from spacy_llm_tasks.cli.info import versions


def invoke(*arguments):
    return CliRunner().invoke(app, ["info", *map(str, arguments)])


def test_versions_and_machine():
    result = invoke()
    assert result.exit_code == 0, result.output
    for word in ("spacy-llm-tasks", "torch", "transformers", "torch threads", "GPU"):
        assert word in result.output
    found = json.loads(invoke("--json").output)
    assert found["packages"] == versions()
    assert found["machine"]["torch threads"] == "1"


def test_packages_that_are_not_there_are_told(monkeypatch):
    monkeypatch.setattr("spacy_llm_tasks.cli.info.OPTIONAL_PACKAGES", ("no-such-package",))
    assert versions()["no-such-package"] == "not installed"


def test_a_pipeline(tmp_path):
    nlp = initialized(write_corpora(tmp_path / "data"))
    nlp.to_disk(tmp_path / "model")
    result = invoke(tmp_path / "model")
    assert result.exit_code == 0, result.output
    for word in ("tok2vec", "textcat", "GPE, PERSON", "TRADE", "en_pipeline"):
        assert word in result.output
    # Two linear layers, 16 -> 16 -> 2, beside the listener.
    assert parameters(nlp.get_pipe("textcat").model) == 17 * 16 + 17 * 2
    assert f"{17 * 16 + 17 * 2}" in result.output
    found = json.loads(invoke(tmp_path / "model", "--json").output)
    assert [part["name"] for part in found["components"]] == nlp.pipe_names
    by_name = {part["name"]: part for part in found["components"]}
    assert by_name["ner"]["labels"] == ["GPE", "PERSON"]
    assert by_name["textcat"]["parameters"] == 17 * 16 + 17 * 2
    on_disk = sum(p.stat().st_size for p in (tmp_path / "model").rglob("*") if p.is_file())
    assert found["bytes"] == on_disk


def test_weights_of_a_model_that_we_do_not_have(tmp_path):
    config = {"model_type": "abacus", "hidden_size": 8, "vocab_size": 2000, "n_layers": 3}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert "no model.safetensors" in invoke(tmp_path).output
    tensors = {"a.weight": np.zeros((8, 5), "float32"), "a.bias": np.zeros(8, "float32")}
    save_file(tensors, tmp_path / "model.safetensors")
    result = invoke(tmp_path)
    assert result.exit_code == 0, result.output
    for word in ("abacus", "width", "8", "2,000", "48", "cannot be used", "E768"):
        assert word in result.output
    found = json.loads(invoke(tmp_path, "--json").output)
    assert found["parameters"] == "48" and "'abacus'" in found["cannot be used"]
    (tmp_path / "model.safetensors").write_bytes(b"not a tensor")
    broken = invoke(tmp_path)
    assert broken.exit_code == 1 and "model.safetensors" in broken.output


def test_weights_that_do_not_fit_their_family(tmp_path):
    """Twelve heads, where nothing is said, do not divide a width of 8."""
    config = {"model_type": "bert", "hidden_size": 8, "num_hidden_layers": 3, "vocab_size": 2000}
    (tmp_path / "config.json").write_text(json.dumps(config))
    result = invoke(tmp_path)
    assert result.exit_code == 0, result.output
    assert "bert" in result.output and "E103" in result.output


@pytest.mark.parametrize("content", [None, "{"])
def test_other_folders_are_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    result = invoke(tmp_path)
    assert result.exit_code == 1
    assert str(tmp_path.name) in result.output.replace("\n", "")


def test_sizes_are_for_people():
    assert [size(n) for n in (12, 1500, 90_900_000, 2_000_000_000)] == [
        "12 B",
        "1.5 kB",
        "90.9 MB",
        "2.0 GB",
    ]


def test_operations_are_for_people():
    assert [operations(n) for n in (12, 3_500, 25_950_000, 7_000_000_000, 2 * 10**12)] == [
        "12 FLOP",
        "3.50 kFLOP",
        "25.95 MFLOP",
        "7.00 GFLOP",
        "2.00 TFLOP",
    ]
