"""Encoders with the head that predicts masked pieces, in both directions."""

import json

import pytest
import torch

from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.nn.piece_head import PieceHead
from spacy_llm_tasks.weights.checkpoint import load_encoder, load_piece_head, save_encoder

from .references import (
    ENCODERS,
    changed,
    difference,
    draw_sequences,
    load,
    make_reference,
    packed_rows,
    padded_logits,
    rewrite,
    saved,
    set_config,
    without,
)

SPECIMENS = [name for name in ENCODERS if name not in ("bert-tanh", "distilbert-waves")]


def load_head(folder, config):
    head = PieceHead(config, transform=True, bias=True).eval()
    head.load_state_dict(load_piece_head(folder))
    return head


@torch.no_grad()
def packed_logits(encoder, head, sequences):
    return head(packed_rows(encoder, sequences), encoder.embeddings.pieces.weight)


@pytest.mark.parametrize("name", SPECIMENS)
def test_both_directions_give_the_same_predictions(name, tmp_path):
    transformers = pytest.importorskip("transformers")
    model = make_reference(name, "ForMaskedLM")
    encoder = load(saved(model, tmp_path / "theirs"))
    head = load_head(tmp_path / "theirs", encoder.config)
    sequences = draw_sequences()
    ours = packed_logits(encoder, head, sequences)
    assert difference(ours, padded_logits(model, sequences)) < 1e-5

    changed(encoder, head)
    save_encoder(tmp_path / "ours", encoder, family=name.split("-")[0], head=head)
    back, info = transformers.AutoModelForMaskedLM.from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    assert type(back) is type(model)
    assert not any(info.values()), info
    assert json.loads((tmp_path / "ours" / "config.json").read_text())["architectures"] == [
        type(model).__name__
    ]
    ours = packed_logits(encoder, head, sequences)
    assert difference(ours, padded_logits(back.eval(), sequences)) < 1e-5
    again = load_head(tmp_path / "ours", load(tmp_path / "ours").config).state_dict()
    assert all(torch.equal(again[key], tensor) for key, tensor in head.state_dict().items())


def test_an_encoder_saved_with_its_head_loads_alone(tmp_path):
    transformers = pytest.importorskip("transformers")
    for name in ("electra", "modernbert"):
        encoder = load(saved(make_reference(name), tmp_path / name))
        head = PieceHead(encoder.config, transform=True, bias=True)
        save_encoder(tmp_path / "ours", encoder, family=name, head=head)
        back = transformers.AutoModel.from_pretrained(tmp_path / "ours").eval()
        rows = packed_rows(encoder, draw_sequences([7]))
        theirs = back(draw_sequences([7])[0][None]).last_hidden_state[0]
        assert difference(rows, theirs) < 1e-5
        assert "head" in " ".join(load_encoder(tmp_path / "ours").ignored) or name == "electra"


def test_a_head_without_bias_has_a_bias_of_zeros(tmp_path):
    encoder = TransformerEncoder(TransformerConfig(n_pieces=20, width=16, depth=1, n_heads=2))
    head = PieceHead(encoder.config, transform=True, bias=False)
    save_encoder(tmp_path, encoder, family="bert", head=head)
    assert load_piece_head(tmp_path)["bias"].tolist() == [0.0] * 20


def test_heads_that_a_family_cannot_hold(tmp_path):
    config = TransformerConfig(n_pieces=20, width=16, depth=1, n_heads=2, n_segments=2)
    encoder = TransformerEncoder(config)
    plain = PieceHead(config, transform=False, bias=True)
    with pytest.raises(ValueError, match=r"E143.*bert.*dense\.weight is missing instead of"):
        save_encoder(tmp_path / "out", encoder, family="bert", head=plain)
    other = TransformerConfig(n_pieces=21, width=16, depth=1, n_heads=2)
    with pytest.raises(ValueError, match=r"E143.*bias is \(21,\) instead of \(20,\)"):
        head = PieceHead(other, transform=True, bias=True)
        save_encoder(tmp_path / "out", encoder, family="bert", head=head)
    relu = TransformerConfig(
        **{**config.to_dict(), "activation": "relu", "position_offset": 1, "max_length": 9}
    )
    with pytest.raises(ValueError, match=r"E143.*roberta.*hidden_act = 'gelu', not 'relu'"):
        head = PieceHead(relu, transform=True, bias=True)
        save_encoder(tmp_path / "out", TransformerEncoder(relu), family="roberta", head=head)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["bert", "roberta", "electra", "distilbert", "modernbert"])
def test_checkpoints_without_the_head(name, tmp_path):
    saved(make_reference(name), tmp_path)
    with pytest.raises(ValueError, match=rf"E140.*model\.safetensors.*{name} checkpoint"):
        load_piece_head(tmp_path)


@pytest.mark.parametrize(
    "name, values, message",
    [
        ("bert", {"tie_word_embeddings": False}, "E121.*tie_word_embeddings"),
        ("electra", {"hidden_act": "relu"}, "E121.*hidden_act.*'relu'; supported: gelu"),
        ("modernbert", {"classifier_activation": "silu"}, "E121.*classifier_activation"),
        ("modernbert", {"classifier_bias": True}, "E121.*classifier_bias"),
        ("modernbert", {"decoder_bias": False}, "E121.*decoder_bias"),
    ],
)
def test_heads_of_another_kind(name, values, message, tmp_path):
    set_config(saved(make_reference(name, "ForMaskedLM"), tmp_path), **values)
    assert load_encoder(tmp_path).family == name  # the encoder is none the worse for it
    with pytest.raises(ValueError, match=rf"E119.*config\.json.*{message}"):
        load_piece_head(tmp_path)


def test_a_damaged_head(tmp_path):
    saved(make_reference("bert", "ForMaskedLM"), tmp_path)
    key = "cls.predictions.bias"
    rewrite(tmp_path, lambda tensors: {**tensors, key: tensors[key][:-1]})
    with pytest.raises(ValueError, match=rf"E116.*{key}.*\[59\].*\[60\]"):
        load_piece_head(tmp_path)
    rewrite(tmp_path, without(key))
    with pytest.raises(ValueError, match=rf"E140.*{key}"):
        load_piece_head(tmp_path)
