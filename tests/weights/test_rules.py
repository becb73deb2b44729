"""What a config.json may say: what decides predictions is refused, what does not is told."""

import json
import warnings

import pytest
import torch

from spacy_llm_tasks.weights.checkpoint import load_encoder, save_encoder
from spacy_llm_tasks.weights.decoders import load_decoder
from spacy_llm_tasks.weights.rules import Rules
from spacy_llm_tasks.weights.seq2seq import load_seq2seq

from .references import load, make_reference, saved, set_config

RULES = Rules(fixed={"tied": True, "drop_path": 0.0}, twins={"pdrop": "resid_pdrop", "a": "b"})


def test_rules_that_decide_predictions_come_apart_from_those_of_dropout():
    assert RULES.broken({}) is None and RULES.inert({"resid_pdrop": 0.1}) == []
    values = {"drop_path": 0.2, "pdrop": 0.3, "resid_pdrop": 0.1, "a": 1, "b": 1}
    assert RULES.broken(values) is None
    assert RULES.inert(values) == [("drop_path", 0.2, 0.0), ("pdrop", 0.3, 0.1)]
    assert RULES.broken({**values, "a": 2}) == ("a", 2, 1)
    assert RULES.broken({**values, "tied": False}).message().startswith("[E121]")


def small_bart():
    from transformers import BartConfig, BartForConditionalGeneration

    torch.manual_seed(2)
    sizes = {f"{side}_layers": 2 for side in ("encoder", "decoder")}
    sizes |= {f"{side}_attention_heads": 2 for side in ("encoder", "decoder")}
    sizes |= {f"{side}_ffn_dim": 48 for side in ("encoder", "decoder")}
    config = BartConfig(d_model=32, vocab_size=60, max_position_embeddings=40, **sizes)
    return BartForConditionalGeneration(config).eval()


def test_a_config_like_that_of_published_bart_is_read(tmp_path):
    """The rates that bart-base was trained with, and its switches of other programs."""
    saved(small_bart(), tmp_path)
    before = load_seq2seq(tmp_path)
    set_config(
        tmp_path,
        activation_dropout=0.1,
        attention_dropout=0.1,
        classif_dropout=0.1,
        encoder_layerdrop=0.0,
        decoder_layerdrop=0.2,
        add_bias_logits=False,
        add_final_layer_norm=False,
        normalize_before=False,
        normalize_embedding=True,
        early_stopping=True,
        num_beams=4,
    )
    with pytest.warns(UserWarning, match=r"W141.*activation_dropout = 0\.1.*is 0\.0 here") as told:
        found = load_seq2seq(tmp_path)
    texts = {str(warning.message) for warning in told}
    assert len(texts) == 2 and any("decoder_layerdrop = 0.2" in text for text in texts)
    assert all("predictions, so they are the same" in text for text in texts)
    assert found.decoder_config.attention_dropout == 0.1  # this one we have
    assert all(torch.equal(found.state[name], before.state[name]) for name in before.state)


@pytest.mark.parametrize(
    "kind, values",
    [("modernbert", {"mlp_dropout": 0.1}), ("gpt2", {"embd_pdrop": 0.2})],
)
def test_other_families_are_told_of_too(kind, values, tmp_path):
    if kind == "gpt2":
        from transformers import GPT2Config, GPT2LMHeadModel

        saved(GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=1, n_head=2, vocab_size=60)), tmp_path)
        read = load_decoder
    else:
        saved(make_reference(kind), tmp_path)
        read = load_encoder
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = read(tmp_path).state
    set_config(tmp_path, **values)
    with pytest.warns(UserWarning, match=f"W141.*{next(iter(values))}"):
        found = read(tmp_path).state
    assert all(torch.equal(found[name], before[name]) for name in before)


def test_what_we_write_needs_no_warning(tmp_path):
    encoder = load(saved(make_reference("modernbert"), tmp_path / "theirs"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_encoder(tmp_path / "ours", encoder, family="modernbert")
        load_encoder(tmp_path / "ours")
    raw = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert raw.get("mlp_dropout", 0.0) == raw["embedding_dropout"]
