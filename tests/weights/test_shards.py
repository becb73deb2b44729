"""Weights in several files: read like one, and refused when they do not belong together."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from spacy_llm_tasks.bench.records import fingerprint
from spacy_llm_tasks.pretraining.looking.description import describe
from spacy_llm_tasks.weights.checkpoint import (
    has_piece_head,
    load_encoder,
    load_piece_head,
    save_encoder,
)
from spacy_llm_tasks.weights.decoders import load_decoder
from spacy_llm_tasks.weights.folder import weight_files
from spacy_llm_tasks.weights.seq2seq import load_seq2seq

from .references import draw_sequences, load, make_reference, packed_rows, padded_rows

INDEX = "model.safetensors.index.json"


@pytest.fixture
def sharded(tmp_path):
    """A BERT that the other library has cut into parts, and that model."""
    model = make_reference("bert", "ForMaskedLM")
    folder = tmp_path / "sharded"
    model.save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    assert not (folder / "model.safetensors").exists()
    return folder, model


def index_of(folder):
    return json.loads((folder / INDEX).read_text())


def rewrite_index(folder, change):
    index = index_of(folder)
    change(index["weight_map"])
    (folder / INDEX).write_text(json.dumps(index))


def test_read_like_one_file(sharded, tmp_path):
    folder, model = sharded
    whole = tmp_path / "whole"
    model.save_pretrained(whole)
    found, expected = load_encoder(folder), load_encoder(whole)
    assert found.config == expected.config and found.ignored == expected.ignored
    assert found.state.keys() == expected.state.keys()
    assert all(torch.equal(found.state[name], expected.state[name]) for name in found.state)
    assert has_piece_head(folder)
    heads = load_piece_head(folder), load_piece_head(whole)
    assert all(torch.equal(heads[0][name], heads[1][name]) for name in heads[1])
    sequences = draw_sequences()
    theirs = padded_rows(model.bert, sequences)
    torch.testing.assert_close(packed_rows(load(folder), sequences), theirs, atol=1e-5, rtol=0)


def test_sizes_and_fingerprints_are_of_all_files(sharded, tmp_path):
    folder, model = sharded
    files = weight_files(folder)
    assert files == sorted(folder.glob("model-*.safetensors"))
    assert describe(folder).stored.n_bytes == sum(path.stat().st_size for path in files)
    before = fingerprint(folder)
    tensors = {name: t.clone() for name, t in load_file(files[-1]).items()}
    next(iter(tensors.values())).add_(1.0)
    save_file(tensors, files[-1])
    assert fingerprint(folder) != before


def test_a_single_file_beside_them_wins(sharded):
    """As for the library that writes both: what was saved last is a single file."""
    folder, _ = sharded
    encoder = load(folder)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.mul_(1.5)
    save_encoder(folder, encoder, family="bert")
    assert weight_files(folder) == [folder / "model.safetensors"]
    state = load_encoder(folder).state
    assert all(torch.equal(state[name], t) for name, t in encoder.state_dict().items())


@pytest.mark.parametrize("kind", ["gpt2", "bart"])
def test_other_kinds_of_models(kind, tmp_path):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(1)
    if kind == "gpt2":
        config = transformers.GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=60)
        model, read = transformers.GPT2LMHeadModel(config), load_decoder
    else:
        config = transformers.BartConfig(
            d_model=32,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=48,
            decoder_ffn_dim=48,
            vocab_size=60,
            max_position_embeddings=40,
        )
        model, read = transformers.BartForConditionalGeneration(config), load_seq2seq
    model.save_pretrained(tmp_path / "parts", max_shard_size="40KB")
    model.save_pretrained(tmp_path / "whole")
    assert (tmp_path / "parts" / INDEX).is_file()
    parts, whole = read(tmp_path / "parts").state, read(tmp_path / "whole").state
    assert parts.keys() == whole.keys()
    assert all(torch.equal(parts[name], whole[name]) for name in whole)


def test_missing_parts_are_counted(sharded):
    folder, _ = sharded
    first, second, *_ = weight_files(folder)
    first.unlink()
    second.unlink()
    with pytest.raises(FileNotFoundError, match=rf"E146.*{first.name}.*index\.json.*2 of \d+ "):
        load_encoder(folder)


def test_a_truncated_part_is_named(sharded):
    folder, _ = sharded
    path = weight_files(folder)[1]
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match=rf"E114.*{path.name}"):
        load_encoder(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"\xff",
        b"[]",
        b"{}",
        b'{"weight_map": []}',
        b'{"weight_map": {}}',
        b'{"weight_map": {"a": 3}}',
        b'{"weight_map": "model-00001-of-00002.safetensors"}',
    ],
)
def test_a_broken_index(sharded, content):
    folder, _ = sharded
    (folder / INDEX).write_bytes(content)
    with pytest.raises(ValueError, match=r"E144.*index\.json"):
        load_encoder(folder)


@pytest.mark.parametrize(
    "name",
    [
        "../outside.safetensors",
        "..",
        "/etc/outside.safetensors",
        "sub/model-00001.safetensors",
        "..\\outside.safetensors",
        "C:\\outside.safetensors",
        "pytorch_model-00001-of-00002.bin",
        "",
    ],
)
def test_names_that_lead_elsewhere_are_refused_before_anything_is_opened(sharded, name):
    folder, _ = sharded
    # what such a name would find is a valid file
    save_file({"a": torch.zeros(1)}, folder.parent / "outside.safetensors")
    rewrite_index(folder, lambda places: places.update({next(iter(places)): name}))
    with pytest.raises(ValueError, match=r"E145.*index\.json"):
        load_encoder(folder)


def test_an_index_of_other_files(sharded):
    folder, _ = sharded
    first, second = (path.name for path in weight_files(folder)[:2])
    places = index_of(folder)["weight_map"]
    moved = next(name for name, file in places.items() if file == first)
    rewrite_index(folder, lambda places: places.update({moved: second}))
    with pytest.raises(ValueError, match=rf"E147.*{moved}' is in the file alone"):
        load_encoder(folder)
    rewrite_index(folder, lambda places: places.update({moved: first, "more.weight": second}))
    with pytest.raises(ValueError, match=r"E147.*more\.weight' is in the index alone"):
        load_encoder(folder)


def test_a_missing_parameter_is_told_with_the_index(sharded):
    folder, _ = sharded
    key = "bert.encoder.layer.1.attention.self.key.bias"
    path = folder / index_of(folder)["weight_map"][key]
    tensors = {name: t.clone() for name, t in load_file(path).items() if name != key}
    save_file(tensors, path)
    rewrite_index(folder, lambda places: places.pop(key))
    with pytest.raises(ValueError, match=r"E115.*index\.json.*key\.bias"):
        load_encoder(folder)
