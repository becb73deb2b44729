"""Encoders of every family give the same rows here and in the library they come from."""

import json

import pytest
import torch

from spacy_llm_tasks.nn import kernels
from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.weights.checkpoint import load_encoder, read_config, save_encoder
from spacy_llm_tasks.weights.families import FAMILIES, family_for
from spacy_llm_tasks.weights.family import Boundaries

from .references import (
    ENCODERS,
    changed,
    difference,
    draw_sequences,
    load,
    make_reference,
    packed_rows,
    padded_rows,
    saved,
    set_config,
)


@pytest.mark.parametrize("kernel", ["plain", "onednn"])
@pytest.mark.parametrize("name", ENCODERS)
def test_import_gives_the_same_rows(name, kernel, tmp_path):
    if kernel == "onednn" and not kernels.available():
        pytest.skip("this torch has no oneDNN")
    model = make_reference(name)
    encoder = load(saved(model, tmp_path))
    sequences = draw_sequences()
    kernels.use(kernel)
    try:
        ours = packed_rows(encoder, sequences)
    finally:
        kernels.use(None)
    assert difference(ours, padded_rows(model, sequences)) < 1e-5


@pytest.mark.parametrize("name", ENCODERS)
def test_export_is_loaded_by_the_other_library(name, tmp_path):
    transformers = pytest.importorskip("transformers")
    model = make_reference(name)
    encoder = load(saved(model, tmp_path / "theirs"))
    changed(encoder)
    save_encoder(tmp_path / "ours", encoder, family=name.split("-")[0])
    back = transformers.AutoModel.from_pretrained(tmp_path / "ours").eval()
    assert type(back) is type(model)
    sequences = draw_sequences()
    assert difference(packed_rows(encoder, sequences), padded_rows(back, sequences)) < 1e-5
    again = load(tmp_path / "ours")
    assert again.config == encoder.config
    state = encoder.state_dict()
    assert all(torch.equal(tensor, state[key]) for key, tensor in again.state_dict().items())
    names = sorted(path.name for path in (tmp_path / "ours").iterdir())
    assert names == ["config.json", "model.safetensors"]


@pytest.mark.parametrize(
    "name, head, prefix, ignored",
    [
        ("bert", "ForPreTraining", "bert", "cls.seq_relationship.weight"),
        ("roberta", "ForTokenClassification", "roberta", "classifier.weight"),
        ("electra", "ForPreTraining", "electra", "discriminator_predictions.dense.weight"),
        ("distilbert", "ForMaskedLM", "distilbert", "vocab_transform.weight"),
        ("modernbert", "ForTokenClassification", "model", "classifier.weight"),
    ],
)
def test_prefix_and_heads(name, head, prefix, ignored, tmp_path):
    model = make_reference(name, head)
    checkpoint = load_encoder(saved(model, tmp_path))
    assert ignored in checkpoint.ignored
    assert not [key for key in checkpoint.ignored if "layer." in key or "layers." in key]
    assert checkpoint.family == name
    encoder = TransformerEncoder(checkpoint.config).eval()
    encoder.load_state_dict(checkpoint.state)
    sequences = draw_sequences()
    expected = padded_rows(getattr(model, prefix), sequences)
    assert difference(packed_rows(encoder, sequences), expected) < 1e-5


def test_config_translation(tmp_path):
    config = read_config(saved(make_reference("bert"), tmp_path / "bert"))
    assert (config.width, config.depth, config.n_heads, config.ffn_width) == (32, 2, 4, 48)
    assert (config.max_length, config.position_offset, config.n_segments) == (40, 0, 2)
    roberta = read_config(saved(make_reference("roberta"), tmp_path / "roberta"))
    assert (roberta.max_length, roberta.position_offset, roberta.pad_piece) == (38, 2, 1)
    modern = read_config(saved(make_reference("modernbert-biases"), tmp_path / "modernbert"))
    assert (modern.positions, modern.rope_base, modern.activation) == ("rope", 500.0, "geglu")
    assert (modern.first_norm, modern.final_norm, modern.bias) == (False, True, True)
    (tmp_path / "config.json").write_text('{"model_type": "electra", "pad_token_id": null}')
    defaults = read_config(tmp_path)
    assert (defaults.width, defaults.embedding_width, defaults.pad_piece) == (256, 128, 0)


def test_defaults_are_those_of_the_other_library(tmp_path):
    transformers = pytest.importorskip("transformers")
    for name, family in FAMILIES.items():
        theirs = transformers.AutoConfig.for_model(name).to_dict()
        for key, value in family.defaults.items():
            assert theirs.get(key, value) == value, f"{name}: {key}"


@pytest.mark.parametrize(
    "values, message",
    [
        ({"model_type": "gpt2"}, "E120.*encoder.*'gpt2'.*distilbert, modernbert"),
        ({"model_type": None}, "E120"),
        ({"hidden_act": "mish"}, "E121.*hidden_act.*mish.*gelu_new"),
        ({"hidden_act": {"a": 1}}, "E121"),
        ({"position_embedding_type": "relative_key"}, "E121.*relative_key"),
        ({"is_decoder": True}, "E121.*is_decoder"),
        ({"hidden_size": "32"}, "E102.*'width'.*'32'"),
        ({"num_attention_heads": 5}, "E103"),
    ],
)
def test_unsupported_configs(values, message, tmp_path):
    set_config(saved(make_reference("bert"), tmp_path), **values)
    with pytest.raises(ValueError, match=rf"E119.*config\.json.*{message}"):
        load_encoder(tmp_path)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"global_attn_every_n_layers": 3}, "E121.*global_attn_every_n_layers.*3; supported: 1"),
        ({"global_attn_every_n_layers": 2, "local_attention": 77}, "E121.*global_attn_every"),
        (
            {"global_attn_every_n_layers": 2, "local_attention": 80, "local_rope_theta": 7.0},
            "E121.*global_attn_every_n_layers",
        ),
        ({"mlp_bias": True}, "E121.*mlp_bias"),
        ({"attention_bias": True}, "E121.*attention_bias"),
        ({"hidden_activation": "relu"}, "E121.*hidden_activation.*gelu or silu"),
        ({"rope_scaling": {"rope_type": "linear"}}, "E121.*rope_scaling"),
    ],
)
def test_unsupported_modernbert(values, message, tmp_path):
    set_config(saved(make_reference("modernbert"), tmp_path), **values)
    with pytest.raises(ValueError, match=rf"E119.*config\.json.*{message}"):
        load_encoder(tmp_path)


def test_one_block_of_modernbert_is_global(tmp_path):
    raw = {"model_type": "modernbert", "num_hidden_layers": 1}
    (tmp_path / "config.json").write_text(json.dumps(raw))
    assert read_config(tmp_path).depth == 1


SHAPE = {"n_pieces": 20, "width": 16, "depth": 1, "n_heads": 2}
MODERN_SHAPE = {
    **SHAPE,
    "positions": "rope",
    "norm_position": "pre",
    "activation": "geglu",
    "first_norm": False,
    "norm_eps": 1e-5,
}


@pytest.mark.parametrize(
    "family, settings, named",
    [
        ("bert", {**SHAPE, "positions": "rope"}, "positions = 'rope'"),
        ("bert", {**SHAPE, "norm_position": "pre"}, "norm_position = 'pre'"),
        ("bert", {**SHAPE, "activation": "geglu"}, "activation = 'geglu'"),
        ("bert", {**SHAPE, "embedding_width": 8}, "embedding_width = 8"),
        ("bert", {**SHAPE, "qk_norm": True}, "qk_norm = True"),
        ("roberta", {**SHAPE, "position_offset": 0}, "position_offset = 0"),
        ("distilbert", {**SHAPE, "n_segments": 2}, "n_segments = 2"),
        ("distilbert", {**SHAPE, "norm_eps": 1e-5}, "norm_eps = 1e-05"),
        ("modernbert", {**MODERN_SHAPE, "first_norm": True}, "first_norm = True"),
        ("modernbert", {**MODERN_SHAPE, "n_segments": 2}, "n_segments = 2"),
        ("modernbert", {**MODERN_SHAPE, "activation": "gelu"}, "activation = 'gelu'"),
        ("modernbert", {**MODERN_SHAPE, "norm": "rms"}, "norm = 'rms'"),
    ],
)
def test_what_a_family_cannot_express(family, settings, named, tmp_path):
    encoder = TransformerEncoder(TransformerConfig(**settings))
    with pytest.raises(ValueError, match=f"E122.*{family}.*{named}"):
        save_encoder(tmp_path / "out", encoder, family=family)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="E120"):
        save_encoder(tmp_path / "out", encoder, family="gpt2")


def test_the_first_family_that_fits():
    assert family_for(TransformerConfig(**SHAPE)) == "bert"
    assert family_for(TransformerConfig(**SHAPE, embedding_width=8)) == "electra"
    assert family_for(TransformerConfig(**MODERN_SHAPE, bias=False, dropout=0.2)) == "modernbert"
    with pytest.raises(ValueError, match=r"E142.*bert: positions = 'alibi'.*; modernbert: "):
        family_for(TransformerConfig(**SHAPE, positions="alibi"))


def test_no_segments_are_written_as_one_row_of_zeros(tmp_path):
    config = TransformerConfig(**SHAPE, n_segments=0)
    save_encoder(tmp_path, TransformerEncoder(config), family="bert")
    checkpoint = load_encoder(tmp_path)
    assert checkpoint.config.n_segments == 1
    assert checkpoint.state["embeddings.segments.weight"].tolist() == [[0.0] * 16]


def test_ids_of_boundaries(tmp_path):
    encoder = TransformerEncoder(TransformerConfig(**MODERN_SHAPE))
    save_encoder(tmp_path, encoder, family="modernbert", boundaries=Boundaries(start=5, end=6))
    raw = json.loads((tmp_path / "config.json").read_text())
    keys = ("bos_token_id", "cls_token_id", "eos_token_id", "sep_token_id")
    assert [raw[key] for key in keys] == [5, 5, 6, 6]
    assert load_encoder(tmp_path).boundaries == Boundaries(start=5, end=6)
    save_encoder(tmp_path, encoder, family="modernbert")
    assert json.loads((tmp_path / "config.json").read_text())["bos_token_id"] is None
    assert load_encoder(tmp_path).boundaries == Boundaries()
