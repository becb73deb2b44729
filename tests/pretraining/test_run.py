"""Whole runs: what they leave behind, what they refuse, and what they read again."""

import json
import math
import shutil

import pytest
import spacy
import torch
from safetensors import safe_open
from spacy.tokens import Doc
from spacy.training import Example
from transformers import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    BartForConditionalGeneration,
    GPT2LMHeadModel,
)

from spacy_llm_tasks.nn.decoder import TransformerDecoder
from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.nn.packing import Packing
from spacy_llm_tasks.nn.piece_head import PieceHead
from spacy_llm_tasks.nn.seq2seq import EncoderDecoder
from spacy_llm_tasks.pretraining.optimisation.average import Average
from spacy_llm_tasks.pretraining.settings import Settings
from spacy_llm_tasks.pretraining.texts.corpus import is_held_out
from spacy_llm_tasks.tokenization import PieceTokenizer
from spacy_llm_tasks.weights.checkpoint import load_encoder, load_piece_head
from spacy_llm_tasks.weights.decoders import load_decoder
from spacy_llm_tasks.weights.seq2seq import load_seq2seq

from .runs import KINDS, after, log_of, run, steps_of, weights_of

TEXT = "the miller carried a copper bell before dawn. her brother forgot two letters."


pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def done(texts, tmp_path_factory):
    """A finished run of each kind: its folder and its result."""
    folder = tmp_path_factory.mktemp("done")
    return {kind: (folder / kind, run(texts, folder / kind, kind)) for kind in KINDS}


def load(kind, folder):
    """Our model and its head, from the folder that was handed over."""
    if kind == "encoder":
        found = load_encoder(folder)
        model = TransformerEncoder(found.config)
        head = PieceHead(found.config, transform=True, bias=True)
        head.load_state_dict(load_piece_head(folder))
    elif kind == "decoder":
        found = load_decoder(folder)
        model = TransformerDecoder(found.config)
        head = PieceHead(found.config, transform=False, bias=False)
    else:
        found = load_seq2seq(folder)
        model = EncoderDecoder(found.encoder_config, found.decoder_config)
        head = PieceHead(found.decoder_config, transform=False, bias=True)
        head.load_state_dict(found.head)
    model.load_state_dict(found.state)
    return model.eval(), head.eval()


@torch.no_grad()
def logits(kind, folder, pieces):
    model, head = load(kind, folder)
    packing = Packing.from_lengths([len(pieces)])
    if kind == "encoder":
        return head(model(pieces, packing).last, model.piece_table)
    if kind == "decoder":
        return head(model(pieces, packing), model.piece_table)
    return head(model(pieces, packing, pieces, packing), model.piece_table)


@pytest.mark.parametrize(
    "kind, theirs",
    [
        ("encoder", AutoModelForMaskedLM),
        ("decoder", GPT2LMHeadModel),
        ("seq2seq", BartForConditionalGeneration),
    ],
)
def test_others_load_what_was_handed_over(done, kind, theirs):
    output, result = done[kind]
    assert (result.step, result.is_over, result.model) == (9, True, output / "model")
    tokenizer = PieceTokenizer.from_folder(result.model)
    pieces = tokenizer.encode([TEXT]).ids
    auto = AutoTokenizer.from_pretrained(result.model)
    assert auto(TEXT, add_special_tokens=False)["input_ids"] == pieces.tolist()
    assert auto.model_max_length == 32
    assert [auto.cls_token_id, auto.sep_token_id, auto.pad_token_id, auto.mask_token_id] == [
        tokenizer.special.cls,
        tokenizer.special.sep,
        tokenizer.special.pad,
        tokenizer.special.mask,
    ]
    model = theirs.from_pretrained(result.model, attn_implementation="eager").eval()
    assert model.config.pad_token_id == tokenizer.special.pad
    pieces = torch.from_numpy(pieces)[:30]
    options = {"decoder_input_ids": pieces[None]} if kind == "seq2seq" else {}
    with torch.no_grad():
        expected = model(input_ids=pieces[None], **options).logits[0]
    found = logits(kind, result.model, pieces)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert found.std() > 0.01  # the head is not left at nothing


def test_an_encoder_component_starts_from_it(done):
    _, result = done["encoder"]
    nlp = spacy.blank("en")
    nlp.add_pipe("trf_encoder", name="transformer")
    nlp.config["initialize"]["components"]["transformer"] = {"weights": str(result.model)}
    doc = Doc(nlp.vocab, words=["the", "heron", "sold", "a", "lantern"])
    nlp.initialize(lambda: [Example.from_dict(doc, {})])
    tensor = nlp("the heron sold a lantern").tensor
    assert tensor.shape == (5, 16) and math.isfinite(float(tensor.sum()))


def test_the_folder_holds_what_the_head_of_run_says(done):
    output, _ = done["encoder"]
    assert {path.name for path in output.iterdir()} == {
        "settings.json",
        "materials.json",
        "corpus",
        "tokenizer",
        "pieces",
        "checkpoints",
        "log.jsonl",
        "curves.html",
        "model",
    }
    assert steps_of(output) == [8, 9]
    lines = log_of(output)
    assert [line["step"] for line in lines if "train" in line] == [2, 4, 6, 8, 9]
    assert [line["step"] for line in lines if "held-out" in line] == [4, 8, 9]
    assert lines[0]["train"]["masked"]["loss"] > lines[-1]["held-out"]["masked"]["loss"]
    assert lines[-1]["held-out"]["masked"].keys() == {"loss", "accuracy", "perplexity"}


def test_a_model_without_text_held_out_is_that_of_the_last_step(texts, tmp_path):
    said = []
    changes = {"corpus__held_out": 0.0, "training__max_steps": 3}
    result = run(texts, tmp_path / "out", changes=changes, say=said.append)
    assert result.is_over and result.best is None
    assert any("No text is held out" in line for line in said)
    assert said[-1].endswith("the weights after step 3")


def test_held_out_text_of_scraps_judges_nothing(texts, tmp_path):
    # every document is a scrap, but for one that is long enough and trained on
    long = " ".join(texts.read_text().split("\n")).strip()
    seed = next(n for n in range(20) if not is_held_out(long, share=0.2, seed=n))
    scraps = "".join(f"a copper bell {i}\n" for i in range(40))
    (tmp_path / "scraps.txt").write_text(scraps + long)
    changes = {"corpus__seed": seed, "data__min_pieces": 20, "training__max_steps": 2}
    said = []
    result = run(tmp_path / "scraps.txt", tmp_path / "out", changes=changes, say=said.append)
    assert result.is_over and result.best is None
    assert any("No text is held out" in line for line in said)
    assert not any("held_out: 0 documents" in line for line in said)


def test_one_giant_document_and_fewer_chunks_than_a_batch(texts, tmp_path):
    whole = " ".join(texts.read_text().split("\n"))
    (tmp_path / "one.txt").write_text(whole)
    changes = {"corpus__txt_documents": "file", "corpus__held_out": 0.0}
    changes |= {"training__max_steps": 3, "training__log_steps": 1}
    run(tmp_path / "one.txt", tmp_path / "giant", changes=changes)
    (tmp_path / "few.txt").write_text(whole[:200])
    few = {**changes, "tokenizer__size": 60, "data__batch_pieces": 10_000}
    run(tmp_path / "few.txt", tmp_path / "few", changes=few)
    # all there is is one micro-batch, read again in every step
    assert [line["epochs"] for line in log_of(tmp_path / "few")] == [1, 2, 3]
    assert log_of(tmp_path / "giant")[-1]["epochs"] < 1


def fails(texts, output, code, *words, kind="encoder", **changes):
    with pytest.raises(ValueError, match=code) as error:
        run(texts, output, kind, changes=changes)
    for word in words:
        assert word in str(error.value)


def test_text_that_does_not_do(texts, tmp_path):
    (tmp_path / "empty.txt").write_text("\n\n")
    fails(tmp_path / "empty.txt", tmp_path / "out", "E700", "empty.txt")
    fails(texts, tmp_path / "out", "E225", "5000", tokenizer__size=5000)
    sizes = {"min_pieces": 200, "length": 200, "batch_pieces": 300}
    shape = {"width": 16, "depth": 1, "max_length": 256}
    fails(texts, tmp_path / "out", "E726", data=sizes, model__overrides=shape)
    assert run(texts, tmp_path / "out", changes={"training__max_steps": 1}).is_over


@pytest.mark.parametrize(
    "changes, code, words",
    [
        ({"data__length": 31}, "E775", ["33", "32", "data.length", "30", "model.overrides"]),
        ({"data__batch_pieces": 21}, "E727", ["21", "22"]),
        ({"objectives": {"causal": {}}}, "E734", ["causal", "decoder", "encoder"]),
        ({"model__overrides": {"norm": "rms"}}, "E122", ["modernbert", "norm"]),
        ({"model__overrides": {"n_pieces": 7}}, "E760", ["n_pieces", "tokenizer"]),
        ({"model__overrides": {"widht": 7}}, "E101", ["widht"]),
        ({"model__size": "huge"}, "E127", ["huge", "tiny"]),
        ({"model__kind": "encdoer"}, "E767", ["encdoer"]),
        ({"optimizer__name": "sgd"}, "E740", ["sgd", "muon"]),
        ({"schedule": {"name": "lineal"}}, "E740", ["lineal", "linear"]),
        ({"training__mixture": "add"}, "E736", ["add"]),
        ({"training__precision": "fp16"}, "E748", ["fp16"]),
        ({"training__average": 1.0}, "E741", ["average"]),
        ({"objectives": {"masked": {"rat": 0.1}}}, "E733", ["rat", "rate"]),
        (
            {"objectives": {"contrastive": {"dropout": 0.1}}, "training__recompute": True},
            "E776",
            ["contrastive", "recompute"],
        ),
    ],
)
def test_settings_that_do_not_do_are_refused_before_text_is_read(tmp_path, changes, code, words):
    with pytest.raises(ValueError, match=code) as error:
        run(tmp_path / "no-such-text.txt", tmp_path / "out", changes=changes)
    assert all(word in str(error.value) for word in words)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_a_run_is_not_begun_anew(done, texts, tmp_path):
    output = tmp_path / "out"
    shutil.copytree(done["encoder"][0], output)
    fails(texts, output, "E771", "--resume")
    shutil.rmtree(output / "checkpoints")
    before = weights_of(output)
    fails(texts, output, "E771")  # nor is the model replaced
    assert weights_of(output).keys() == before.keys()


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"data__length": 12}, ["data.length", "20", "12"]),
        ({"training__seed": 5, "optimizer__name": "adamw"}, ["training.seed", "optimizer.name"]),
        ({"model__overrides": {"width": 16, "depth": 3, "n_heads": 2}}, ["overrides.depth"]),
        ({"objectives": {"masked": {"rate": 0.2}}}, ["objectives.masked.rate", "0.3", "0.2"]),
        ({"objectives": {"masked": {"rate": 0.3}, "next_sentence": {"weight": 2}}}, ["weight"]),
        ({"corpus__held_out": 0.1}, ["corpus.held_out"]),
    ],
)
def test_other_settings_are_refused_by_name(done, texts, changes, words):
    output, _ = done["encoder"]
    before = (output / "settings.json").read_bytes()
    with pytest.raises(ValueError, match="E772") as error:
        run(texts, output, resume=True, changes=changes)
    assert all(word in str(error.value) for word in words)
    assert (output / "settings.json").read_bytes() == before


def test_a_run_may_be_made_longer_and_more_careful(done, texts, tmp_path):
    output = tmp_path / "out"
    shutil.copytree(done["encoder"][0], output)
    said = []
    changes = {"training__max_steps": 12, "optimizer__learn_rate": 0.001}
    result = run(texts, output, resume=True, changes=changes, say=said.append)
    assert (result.step, result.is_over) == (12, True)
    assert "Changed: optimizer.learn_rate (was 0.01, is 0.001)" in said
    assert "Going on after step 9" in said
    kept = json.loads((output / "settings.json").read_text())
    assert Settings.from_dict(kept).training.max_steps == 12
    assert [line["step"] for line in log_of(output) if "held-out" in line] == [4, 8, 9, 12]
    # and once it is over, there is nothing left to do
    again = run(texts, output, resume=True, changes=changes)
    assert again == result


def test_what_is_handed_over_is_the_average_of_the_best_step(texts, tmp_path, monkeypatch):
    judged = iter([3.0, 2.0, 2.5])
    evaluate = "spacy_llm_tasks.pretraining.evaluation.Evaluation.total"
    monkeypatch.setattr(evaluate, lambda self, scores: next(judged))
    averages = {}
    original = Average.update

    def update(self):
        original(self)
        averages[int(self.n_updates)] = self.weights["trunk.final_norm.weight"].clone()

    monkeypatch.setattr(Average, "update", update)
    changes = {"training__average": 0.5}
    result = run(texts, tmp_path / "out", changes=changes)
    assert result.best == 2.0
    with safe_open(tmp_path / "out" / "model" / "model.safetensors", framework="pt") as file:
        found = file.get_tensor("model.final_norm.weight")
    torch.testing.assert_close(found, averages[8], rtol=0, atol=0)
    assert not torch.equal(averages[8], averages[9])


def test_patience_ends_a_run(texts, tmp_path, monkeypatch):
    judged = iter([3.0, 3.5, math.nan])
    evaluate = "spacy_llm_tasks.pretraining.evaluation.Evaluation.total"
    monkeypatch.setattr(evaluate, lambda self, scores: next(judged))
    changes = {"training__patience": 2, "training__eval_steps": 1}
    result = run(texts, tmp_path / "out", changes=changes)
    assert (result.step, result.is_over, result.best) == (3, True, 3.0)


def test_recomputing_is_the_same_run(texts, tmp_path, done):
    output, _ = done["encoder"]
    run(texts, tmp_path / "out", changes={"training__recompute": True})
    assert log_of(tmp_path / "out") == log_of(output)
    for name, tensor in weights_of(output).items():
        assert torch.equal(weights_of(tmp_path / "out")[name], tensor), name


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
@pytest.mark.parametrize("recompute", [False, True])
def test_compiled_blocks_learn_the_same(texts, tmp_path, done, recompute):
    output, _ = done["encoder"]
    changes = {"training__compiled": True, "training__recompute": recompute}
    run(texts, tmp_path / "out", changes=changes)
    weights = weights_of(tmp_path / "out")
    for name, tensor in weights_of(output).items():
        torch.testing.assert_close(weights[name], tensor, atol=1e-2, rtol=1e-2, msg=name)


def test_stopping_is_not_ending(texts, tmp_path):
    result = run(texts, tmp_path / "out", stop=after(3))
    assert (result.step, result.is_over) == (3, False)
    assert steps_of(tmp_path / "out") == [3] and not result.model.exists()
