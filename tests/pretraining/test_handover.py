"""Every number of a checkpoint arrives in the folder that is handed over."""

import json

import pytest
import torch

from spacy_llm_tasks.nn.piece_head import PieceHead
from spacy_llm_tasks.nn.seq2seq import EncoderDecoder
from spacy_llm_tasks.pretraining.checkpoints import Checkpoints
from spacy_llm_tasks.pretraining.handover import hand_over
from spacy_llm_tasks.pretraining.model import PretrainingModel
from spacy_llm_tasks.pretraining.objectives import (
    CausalLM,
    Contrastive,
    Denoising,
    MaskedLM,
    ReplacedPieces,
)
from spacy_llm_tasks.pretraining.optimisation.average import Average
from spacy_llm_tasks.pretraining.optimisation.recompute import recompute_blocks
from spacy_llm_tasks.pretraining.settings import ModelSettings
from spacy_llm_tasks.pretraining.team.names import named_tensors
from spacy_llm_tasks.pretraining.trunk import Trunk, build_trunk
from spacy_llm_tasks.tokenization import PieceTokenizer
from spacy_llm_tasks.weights.checkpoint import load_encoder, load_piece_head
from spacy_llm_tasks.weights.decoders import load_decoder
from spacy_llm_tasks.weights.seq2seq import load_seq2seq, save_seq2seq

from .cutters import LINES, wordpiece
from .objectives.examples import shaken

SHAPE = {"width": 16, "depth": 2, "n_heads": 2, "max_length": 32}
TOKENIZER = wordpiece()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("spacy_llm_tasks.files.sync", lambda path: None)


def make(kind, objectives, **options):
    settings = ModelSettings(kind=kind, size="tiny", overrides=SHAPE, **options)
    trunk = build_trunk(settings, n_pieces=TOKENIZER.n_pieces)
    return trunk, shaken(PretrainingModel(trunk.model, objectives))


def saved(folder, model, average=None):
    tensors = {"model": named_tensors(model), "average": {}}
    if average is not None:
        tensors["average"] = average.state_dict()
    Checkpoints(folder).save(1, tensors=tensors, state={})
    return Checkpoints(folder).load_latest()


def hand(tmp_path, trunk, model, objectives, average=None):
    checkpoint = saved(tmp_path / "checkpoints", model, average)
    by_name = {objective.name: objective for objective in objectives}
    hand_over(tmp_path / "model", checkpoint, trunk, by_name, TOKENIZER)
    return tmp_path / "model"


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


LOAD = {"encoder": load_encoder, "decoder": load_decoder, "seq2seq": load_seq2seq}


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize(
    "kind, objective", [("encoder", MaskedLM()), ("decoder", CausalLM()), ("seq2seq", Denoising())]
)
def test_all_weights_arrive(tmp_path, kind, objective, recompute):
    trunk, model = make(kind, [objective])
    if recompute:
        recompute_blocks(model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    folder = hand(tmp_path, trunk, model, [objective])
    found = LOAD[kind](folder)
    assert_equal(found.state, trunk.model.state_dict())
    head = model.heads[objective.name].state_dict()
    if kind == "encoder":
        assert_equal(load_piece_head(folder), head)
    elif kind == "seq2seq":
        assert_equal(found.head, head)
    assert_equal(model.state_dict(), before)
    tokenizer = PieceTokenizer.from_folder(folder)
    assert tokenizer.special == TOKENIZER.special
    assert tokenizer.encode(LINES).ids.tolist() == TOKENIZER.encode(LINES).ids.tolist()


def test_the_average_stands_for_the_weights(tmp_path):
    objective = MaskedLM()
    trunk, model = make("encoder", [objective])
    average = Average(model, decay=0.5)
    shaken(model, seed=5)
    folder = hand(tmp_path, trunk, model, [objective], average)
    found = {f"trunk.{name}": tensor for name, tensor in load_encoder(folder).state.items()}
    found |= {f"heads.masked.{n}": t for n, t in load_piece_head(folder).items()}
    assert_equal(found, average.weights)


def test_heads_of_the_trade_stay_behind(tmp_path):
    objectives = [ReplacedPieces(generator_size=0.5), Contrastive(dropout=0.1)]
    trunk, model = make("encoder", objectives)
    folder = hand(tmp_path, trunk, model, objectives)
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["ModernBertModel"]
    found = load_encoder(folder)
    assert_equal(found.state, trunk.model.state_dict())
    assert found.ignored == []


def test_special_pieces_are_told(tmp_path):
    objectives = [Denoising()]
    trunk, model = make("seq2seq", objectives)
    config = json.loads((hand(tmp_path, trunk, model, objectives) / "config.json").read_text())
    special = TOKENIZER.special
    assert config["bos_token_id"] == special.cls and config["eos_token_id"] == special.sep
    assert config["decoder_start_token_id"] == special.sep


def test_tables_that_are_not_shared_stay_apart(tmp_path):
    """Marian's encoder and decoder may have a table each."""
    shape = {"positions": "sinusoidal", "sinusoidal_order": "halves", "embedding_norm": False}
    settings = ModelSettings(
        kind="seq2seq", size="tiny", overrides={**SHAPE, **shape, "position_offset": 0}
    )
    configs = build_trunk(settings, n_pieces=TOKENIZER.n_pieces).configs
    given = shaken(EncoderDecoder(*configs, share_embeddings=False))
    head = shaken(PieceHead(configs[1], transform=False, bias=True), seed=1)
    save_seq2seq(tmp_path / "given", given, family="marian", head=head)
    read = ModelSettings(kind="seq2seq", init=str(tmp_path / "given"))
    trunk = build_trunk(read, n_pieces=TOKENIZER.n_pieces)
    assert isinstance(trunk, Trunk) and trunk.family == "marian"
    model = shaken(PretrainingModel(trunk.model, [Denoising()]), seed=2)
    folder = hand(tmp_path, trunk, model, [Denoising()])
    found = load_seq2seq(folder)
    assert not found.share_embeddings
    assert_equal(found.state, trunk.model.state_dict())


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    trunk, model = make("encoder", [MaskedLM()])
    checkpoint = saved(tmp_path / "checkpoints", model)
    with pytest.raises(ValueError, match="E753.*heads"):
        hand_over(tmp_path / "model", checkpoint, trunk, {"contrastive": Contrastive(dropout=0.1)},
                  TOKENIZER)  # fmt: skip
