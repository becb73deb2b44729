import json

import pytest
from safetensors import safe_open

from spacy_llm_tasks.pretraining.looking.description import describe

from .folders import (
    THEIRS,
    our_decoder,
    our_encoder,
    our_seq2seq,
    their_model,
    tokenizer_of,
)
from .test_writing import BART, GPT2


@pytest.mark.parametrize(
    "name, tokenizer, settings, n_positions",
    [
        ("BertForMaskedLM", "wordpiece", THEIRS, 40),
        ("ElectraForMaskedLM", "unigram", {**THEIRS, "embedding_size": 16}, 40),
        ("GPT2LMHeadModel", "bpe", GPT2, 40),
        ("BartForConditionalGeneration", "bpe", BART, 40),
    ],
)
def test_models_of_the_other_library(tmp_path, name, tokenizer, settings, n_positions):
    model = their_model(tmp_path, name, tokenizer=tokenizer, **settings)
    found = describe(tmp_path)
    # BART's bias over the pieces is no parameter there
    n_buffers = tokenizer_of(tokenizer).n_pieces if name.startswith("Bart") else 0
    assert found.parameters.total == model.num_parameters() + n_buffers
    assert found.has_head
    assert (found.longest, found.is_hard_limit) == (n_positions, True)
    assert found.family == model.config.model_type
    assert found.tokenizer.kind == tokenizer
    with safe_open(tmp_path / "model.safetensors", "numpy") as file:
        assert found.stored.n_tensors == len(list(file.keys()))
    assert found.stored.n_bytes == (tmp_path / "model.safetensors").stat().st_size
    assert list(found.stored.n_values) == ["F32"]


def test_kinds_and_shapes(tmp_path):
    for make, kind, sides in (
        (our_encoder, "encoder", ["encoder"]),
        (our_decoder, "decoder", ["decoder"]),
        (our_seq2seq, "seq2seq", ["encoder", "decoder"]),
    ):
        found = describe(make(tmp_path / kind))
        assert found.kind == kind and found.has_head
        assert list(found.shapes) == list(found.operations.stacks) == sides
        assert {config.width for config in found.shapes.values()} == {32}


def test_an_encoder_without_a_head(tmp_path):
    found = describe(our_encoder(tmp_path / "bare", head=False))
    assert not found.has_head
    assert found.parameters.head == found.operations.head == 0
    whole = describe(our_encoder(tmp_path / "whole"))
    assert whole.parameters._replace(head=0) == found.parameters
    assert whole.parameters.head > 0
    assert not found.is_hard_limit


def test_length_of_the_sequences(tmp_path):
    our_decoder(tmp_path)
    assert describe(tmp_path).operations.length == 40
    short, shorter = (describe(tmp_path, length=n).operations for n in (20, 10))
    assert short.stacks["decoder"] - shorter.stacks["decoder"] == 4 * 2 * 32 * 10
    for length in (0, 41):
        with pytest.raises(ValueError, match="E706.*from 1 to 40"):
            describe(tmp_path, length=length)
    our_encoder(tmp_path / "rope")
    assert describe(tmp_path / "rope", length=1000).operations.length == 1000


def test_plain_values(tmp_path):
    found = describe(our_seq2seq(tmp_path))
    values = json.loads(json.dumps(found.to_dict()))
    assert values["parameters"]["total"] == sum(found.parameters)
    assert values["weight_bytes"]["fp32"] == 4 * found.parameters.total
    forward, training = (values["flops"][f"{k}_per_piece"] for k in ("forward", "training"))
    assert training == {side: 3 * n for side, n in forward.items()}
    assert values["shapes"]["decoder"]["n_heads"] == 4
    assert values["training_bytes"] == 4 * values["weight_bytes"]["fp32"]
    depth = values["shapes"]["decoder"]["depth"]
    # keys and values, of the sequence and of what it was made from
    assert values["cache_bytes"] == 2 * depth * 32 * 4 * 2 * found.longest
    special = tokenizer_of("bpe").special
    assert values["tokenizer"]["special"]["mask"] == {"id": special.mask, "name": "<mask>"}


def test_only_what_writes_keeps_keys_and_values(tmp_path):
    decoder, encoder = our_decoder(tmp_path / "decoder"), our_encoder(tmp_path / "encoder")
    found = describe(decoder)
    expected = 2 * found.shapes["decoder"].depth * 32 * 4 * found.longest
    assert found.to_dict()["cache_bytes"] == expected
    assert describe(decoder, length=10).to_dict()["cache_bytes"] == expected
    assert describe(encoder).to_dict()["cache_bytes"] is None


def test_the_tokenizer_may_be_missing_or_broken(tmp_path):
    our_encoder(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text("{")
    broken = describe(tmp_path)
    assert broken.tokenizer is None and "E202" in broken.tokenizer_problem
    path.unlink()
    assert "E201" in describe(tmp_path).tokenizer_problem


def test_folders_that_hold_no_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match="E780"):
        describe(tmp_path)
    our_decoder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="E114"):
        describe(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="E111.*model.safetensors"):
        describe(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="E112"):
        describe(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "abacus"}')
    with pytest.raises(ValueError, match="abacus"):
        describe(tmp_path)
