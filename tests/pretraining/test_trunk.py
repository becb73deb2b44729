"""Where the model comes from: a preset, or what others have published."""

import json

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertModel, GPT2Config, GPT2LMHeadModel

from spacy_llm_tasks.nn.piece_head import PieceHead
from spacy_llm_tasks.pretraining.settings import ModelSettings
from spacy_llm_tasks.pretraining.trunk import build_trunk, check_layout, kind_of, piece_head
from spacy_llm_tasks.tokenization import PieceTokenizer
from spacy_llm_tasks.tokenization.train import train_tokenizer
from spacy_llm_tasks.weights.checkpoint import load_encoder, load_piece_head

from .runs import run, values, weights_of

N_PIECES = 120
BERT = {
    "vocab_size": N_PIECES,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 32,
    "initializer_range": 0.2,
}


pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def published(texts, tmp_path_factory):
    """Checkpoints as others write them, with a tokenizer."""
    tokenizer = train_tokenizer(texts.read_text().splitlines(), kind="wordpiece", size=N_PIECES)
    torch.manual_seed(0)
    folders = {}
    shape = GPT2Config(vocab_size=N_PIECES, n_embd=16, n_layer=2, n_head=2, n_positions=32)
    models = {
        "bare": BertModel(BertConfig(**BERT)),
        "with head": BertForMaskedLM(BertConfig(**BERT)),
        "gpt2": GPT2LMHeadModel(shape),
    }
    for name, model in models.items():
        folders[name] = tmp_path_factory.mktemp("published") / name
        model.save_pretrained(folders[name])
        tokenizer.to_folder(folders[name])
    return folders


def continued(folder, kind="encoder", **changes):
    model = {"kind": kind, "init": str(folder)}
    return {"model": model, "corpus__held_out": 0.0, "training__max_steps": 2, **changes}


STILL = {"optimizer__learn_rate": 0.0, "optimizer__matrix_learn_rate": 0.0}


def test_a_bare_encoder_gets_a_new_head(texts, published, tmp_path):
    said = []
    changes = continued(published["bare"], **STILL)
    result = run(texts, tmp_path, changes=changes, say=said.append)
    assert any("without a head" in line and "anew" in line for line in said)
    given, found = load_encoder(published["bare"]), load_encoder(result.model)
    assert found.family == "bert" and found.config == given.config
    for name, tensor in given.state.items():
        assert torch.equal(found.state[name], tensor), name
    with torch.no_grad():
        logits = BertForMaskedLM.from_pretrained(result.model)(torch.arange(9)[None]).logits
    assert logits.shape == (1, 9, N_PIECES)


def test_a_head_is_trained_further(texts, published, tmp_path):
    said = []
    still = continued(published["with head"], **STILL)
    result = run(texts, tmp_path / "still", changes=still, say=said.append)
    assert any("trained further" in line for line in said)
    given = load_piece_head(published["with head"])
    for name, tensor in load_piece_head(result.model).items():
        assert torch.equal(tensor, given[name]), name
    theirs = BertForMaskedLM.from_pretrained(published["with head"]).eval()
    ours = BertForMaskedLM.from_pretrained(result.model).eval()
    with torch.no_grad():
        pieces = torch.arange(9)[None]
        torch.testing.assert_close(ours(pieces).logits, theirs(pieces).logits)
    result = run(texts, tmp_path / "moved", changes=continued(published["with head"]))
    moved = load_piece_head(result.model)
    assert all(not torch.equal(moved[name], given[name]) for name in given)


def test_a_decoder_goes_on(texts, published, tmp_path):
    said = []
    causal = {"objectives": {"causal": {}}}
    changes = continued(published["gpt2"], "decoder", **STILL, **causal)
    result = run(texts, tmp_path, changes=changes, say=said.append)
    assert not any("head" in line for line in said)  # it has none of its own
    theirs = GPT2LMHeadModel.from_pretrained(published["gpt2"]).eval()
    ours = GPT2LMHeadModel.from_pretrained(result.model).eval()
    with torch.no_grad():
        pieces = torch.arange(9)[None]
        torch.testing.assert_close(ours(pieces).logits, theirs(pieces).logits)


def test_resuming_needs_the_shape_and_not_the_weights_again(texts, published, tmp_path):
    changes = continued(published["with head"], training__max_steps=4)
    run(texts, tmp_path / "once", changes=changes)
    stopped = run(texts, tmp_path / "twice", changes=changes, stop=lambda: True)
    assert stopped.step == 1
    run(texts, tmp_path / "twice", resume=True, changes=changes)
    for name, tensor in weights_of(tmp_path / "once").items():
        assert torch.equal(weights_of(tmp_path / "twice")[name], tensor), name


@pytest.mark.parametrize(
    "name, changes, code, words",
    [
        ("gpt2", {}, "E769", ["decoder", "'encoder'"]),
        ("bare", {"model__overrides": {"depth": 1}}, "E770", ["depth", "dropout"]),
        ("bare", {"data__length": 31}, "E775", ["33", "32", "30."]),
    ],
)
def test_what_does_not_fit_a_checkpoint(texts, published, tmp_path, name, changes, code, words):
    settings = values(texts, **continued(published[name]))
    section, _, key = next(iter(changes), "").partition("__")
    if section:
        settings[section] = {**settings[section], key: changes[f"{section}__{key}"]}
    with pytest.raises(ValueError, match=code) as error:
        run(texts, tmp_path / "out", changes=settings)
    assert all(word in str(error.value) for word in words)
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_with_more_pieces_than_the_checkpoint(texts, published, tmp_path):
    lines = texts.read_text().splitlines()
    train_tokenizer(lines, kind="wordpiece", size=N_PIECES + 1).to_folder(tmp_path / "larger")
    changes = continued(published["bare"], tokenizer={"path": str(tmp_path / "larger")})
    with pytest.raises(ValueError, match="E777.*121.*120.*tokenizer.path"):
        run(texts, tmp_path / "out", changes=changes)
    # one with fewer leaves rows of the table alone
    train_tokenizer(lines, kind="wordpiece", size=90).to_folder(tmp_path / "smaller")
    changes = continued(published["bare"], tokenizer={"path": str(tmp_path / "smaller")})
    result = run(texts, tmp_path / "out", changes=changes)
    assert PieceTokenizer.from_folder(result.model).n_pieces == 90
    assert load_encoder(result.model).config.n_pieces == N_PIECES


def test_the_kind_is_read_from_the_config(published, tmp_path):
    assert (kind_of(published["bare"]), kind_of(published["gpt2"])) == ("encoder", "decoder")
    with pytest.raises(FileNotFoundError, match="E111"):
        kind_of(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "t5"}))
    with pytest.raises(ValueError, match="E768.*'t5'.*bert.*gpt2.*bart"):
        kind_of(tmp_path)


def test_overrides_of_dropout_go_to_both_sides(published):
    still = ModelSettings(init=str(published["bare"]), overrides={"dropout": 0.0})
    trunk = build_trunk(still, n_pieces=N_PIECES)
    (config,) = trunk.configs
    assert (config.dropout, config.attention_dropout) == (0.0, 0.1)
    pair = build_trunk(ModelSettings(kind="seq2seq", size="tiny"), n_pieces=50, pad_piece=3)
    assert [config.pad_piece for config in pair.configs] == [3, 3]
    assert pair.model.encoder.piece_table is pair.model.decoder.piece_table


def test_a_blank_has_the_shape_and_nothing_else(published):
    trunk = build_trunk(ModelSettings(init=str(published["with head"])), n_pieces=N_PIECES)
    blank = trunk.blank()
    shapes = {name: tensor.shape for name, tensor in trunk.model.state_dict().items()}
    assert {n: t.shape for n, t in blank.model.state_dict().items()} == shapes
    assert (blank.kind, blank.family, blank.head) == ("encoder", "bert", None)
    assert not torch.equal(blank.model.piece_table, trunk.model.piece_table)


@pytest.mark.parametrize(
    "kind, overrides, words",
    [
        ("encoder", {"positions": "alibi"}, ["modernbert", "positions"]),
        ("encoder", {"qk_norm": True}, ["modernbert", "qk_norm"]),
        ("decoder", {"activation": "geglu"}, ["gpt2", "activation"]),
        ("seq2seq", {"norm_position": "pre"}, ["bart", "norm_position"]),
    ],
)
def test_shapes_that_could_not_be_written_are_found_out_before(kind, overrides, words):
    settings = ModelSettings(kind=kind, size="tiny", overrides=overrides)
    with torch.device("meta"):
        trunk = build_trunk(settings, n_pieces=50)
    with pytest.raises(ValueError, match="E12[12]") as error:
        check_layout(trunk, None)
    assert all(word in str(error.value) for word in words)


def test_heads_that_could_not_be_written(published):
    trunk = build_trunk(ModelSettings(kind="decoder", size="tiny"), n_pieces=50)
    (config,) = trunk.configs
    check_layout(trunk, PieceHead(config, transform=False, bias=False))
    with pytest.raises(ValueError, match="E143.*gpt2"):
        check_layout(trunk, PieceHead(config, transform=True, bias=True))
    assert piece_head([torch.nn.Linear(2, 2)]) is None
