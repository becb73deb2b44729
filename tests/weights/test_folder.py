"""Broken, foreign and half-written folders."""

import json
import os
import shutil

import pytest
import torch

from spacy_llm_tasks.weights.checkpoint import load_encoder, read_config, save_encoder

from .references import load, make_reference, rewrite, saved, set_config, without


@pytest.fixture
def bert(tmp_path):
    return saved(make_reference("bert"), tmp_path / "bert")


def test_old_names_of_norms(bert):
    expected = load_encoder(bert).state

    def age(tensors):
        pairs = [("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")]
        for new, old in pairs:
            tensors = {key.replace(new, old): tensor for key, tensor in tensors.items()}
        return tensors

    rewrite(bert, age)
    state = load_encoder(bert).state
    assert all(torch.equal(state[key], tensor) for key, tensor in expected.items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_float32(bert, dtype):
    rewrite(bert, lambda tensors: {key: tensor.to(dtype) for key, tensor in tensors.items()})
    assert {tensor.dtype for tensor in load_encoder(bert).state.values()} == {torch.float32}


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe", b""])
def test_broken_config(bert, content):
    (bert / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"E112.*config\.json"):
        read_config(bert)


def test_missing_files(bert, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"E111.*nowhere.config\.json"):
        load_encoder(tmp_path / "nowhere")
    (bert / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"E111.*model\.safetensors"):
        load_encoder(bert)
    (bert / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"E113.*pytorch_model\.bin.*save_pretrained"):
        load_encoder(bert)


@pytest.mark.parametrize("keep", [0, 4, 100, -10])
def test_truncated_weights(bert, keep):
    path = bert / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"E114.*model\.safetensors"):
        load_encoder(bert)


def test_tampered_header(bert):
    path = bert / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(
        content[:8] + content[8:].replace(b'"data_offsets":[0,', b'"data_offsets":[9,')
    )
    with pytest.raises(ValueError, match="E114"):
        load_encoder(bert)


def test_missing_parameter(bert):
    key = "encoder.layer.1.attention.self.key.bias"
    rewrite(bert, without(key))
    with pytest.raises(ValueError, match=rf"E115.*model\.safetensors.*'{key}'.*\[32\]"):
        load_encoder(bert)


def test_wrong_shape(bert):
    set_config(bert, vocab_size=61)
    with pytest.raises(ValueError, match=r"E116.*word_embeddings.*\[60, 32\].*\[61, 32\]"):
        load_encoder(bert)


def test_quantised_weights(bert):
    key = "encoder.layer.0.intermediate.dense.weight"
    rewrite(bert, lambda tensors: {**tensors, key: tensors[key].to(torch.int8)})
    with pytest.raises(ValueError, match=rf"E117.*{key}.*I8"):
        load_encoder(bert)


def test_more_blocks_than_the_config_says(bert):
    set_config(bert, num_hidden_layers=1)
    with pytest.raises(ValueError, match=r"E118.*encoder\.layer\.1\."):
        load_encoder(bert)


@pytest.mark.parametrize("broken", ["save_file", "json.dumps"])
def test_nothing_half_written(bert, monkeypatch, broken):
    encoder = load(bert)
    shutil.copy(bert / "model.safetensors", bert / "before")

    def fail(*args, **options):
        raise OSError("disk full")

    folder = "spacy_llm_tasks.weights.folder"
    if broken == "save_file":
        monkeypatch.setattr(f"{folder}.save_file", fail)
    else:
        monkeypatch.setattr(json, "dumps", fail)
    with pytest.raises(OSError, match="disk full"):
        save_encoder(bert, encoder, family="bert")
    monkeypatch.undo()
    names = sorted(path.name for path in bert.iterdir())
    assert names == ["before", "config.json", "model.safetensors"]
    assert load_encoder(bert).family == "bert"


@pytest.mark.skipif(os.name == "nt", reason="no rights of this kind")
def test_others_may_read_what_the_umask_lets_them(bert, tmp_path):
    before = os.umask(0o022)
    try:
        save_encoder(tmp_path / "saved", load(bert), family="bert")
    finally:
        os.umask(before)
    found = {
        path.name: path.stat().st_mode & 0o777
        for path in (tmp_path / "saved").iterdir()
        if path.is_file()
    }
    assert "model.safetensors" in found and set(found.values()) == {0o644}
