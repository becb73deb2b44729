"""BART and Marian give the same rows and predictions here and in the library they come from."""

import json

import pytest
import torch

from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.nn.piece_head import PieceHead
from spacy_llm_tasks.nn.seq2seq import EncoderDecoder
from spacy_llm_tasks.weights.family import Boundaries
from spacy_llm_tasks.weights.seq2seq import load_seq2seq, save_seq2seq

from .references import (
    changed,
    difference,
    draw_sequences,
    packing_of,
    padded,
    rewrite,
    saved,
    set_config,
    shaken,
    without,
)

SMALL = {
    "vocab_size": 60,
    "max_position_embeddings": 40,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 40,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 2,
    "pad_token_id": 1,
    "eos_token_id": 2,
    "forced_eos_token_id": 2,
    "decoder_start_token_id": 3,
}
OWN_TABLES = {"share_encoder_decoder_embeddings": False}
SPECIMENS = {
    "bart": ("Bart", "ForConditionalGeneration", {"bos_token_id": 0}),
    "bart-scaled": (
        "Bart",
        "ForConditionalGeneration",
        {"scale_embedding": True, "activation_function": "gelu_new"},
    ),
    "marian": ("Marian", "MTModel", {"activation_function": "swish", "scale_embedding": True}),
    "marian-plain": ("Marian", "MTModel", {}),
    "marian-own": ("Marian", "MTModel", OWN_TABLES),
}


def make_reference(name, head=""):
    transformers = pytest.importorskip("transformers")
    family, usual, settings = SPECIMENS[name]
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**{**SMALL, **settings})
    model = shaken(getattr(transformers, f"{family}{head or usual}")(config))
    positions = [m for n, m in model.named_modules() if n.endswith("embed_positions")]
    if family == "Marian":  # no parameters, though the library keeps them as such
        for module in positions:
            module._init_weight()
    if not head:
        model.final_logits_bias.copy_(torch.randn_like(model.final_logits_bias))
    return model


def load(folder):
    checkpoint = load_seq2seq(folder)
    model = EncoderDecoder(
        checkpoint.encoder_config,
        checkpoint.decoder_config,
        share_embeddings=checkpoint.share_embeddings,
    ).eval()
    model.load_state_dict(checkpoint.state)
    head = PieceHead(checkpoint.decoder_config, transform=False, bias=True).eval()
    head.load_state_dict(checkpoint.head)
    return model, head


def draw_pairs():
    """Sources, and targets of other lengths."""
    return draw_sequences(), draw_sequences([3, 9, 1, 25, 14, 2], seed=1)


@torch.no_grad()
def packed(model, head, sources, targets):
    rows = model(torch.cat(sources), packing_of(sources), torch.cat(targets), packing_of(targets))
    return rows, head(rows, model.decoder.embeddings.pieces.weight)


@torch.no_grad()
def padded_rows_and_logits(model, sources, targets):
    target = padded(targets, 1)
    mask = target["attention_mask"].bool()
    output = model(
        **padded(sources, 1),
        decoder_input_ids=target["input_ids"],
        decoder_attention_mask=target["attention_mask"],
        output_hidden_states=True,
    )
    return output.decoder_hidden_states[-1][mask], output.logits[mask]


def assert_equal(ours, theirs):
    for mine, other in zip(ours, theirs, strict=True):
        assert difference(mine, other) < 1e-5


@pytest.mark.parametrize("name", SPECIMENS)
def test_both_directions_give_the_same_predictions(name, tmp_path):
    transformers = pytest.importorskip("transformers")
    reference = make_reference(name)
    model, head = load(saved(reference, tmp_path / "theirs"))
    pairs = draw_pairs()
    assert_equal(packed(model, head, *pairs), padded_rows_and_logits(reference, *pairs))

    changed(model, head)
    save_seq2seq(tmp_path / "ours", model, family=name.split("-")[0], head=head)
    back, info = transformers.AutoModelForSeq2SeqLM.from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    assert type(back) is type(reference)
    assert not any("embed_positions" not in key for key in info["missing_keys"])
    assert not info["unexpected_keys"] and not info["mismatched_keys"]
    assert_equal(packed(model, head, *pairs), padded_rows_and_logits(back.eval(), *pairs))
    again, head_again = load(tmp_path / "ours")
    assert (again.encoder.config, again.decoder.config) == (
        model.encoder.config,
        model.decoder.config,
    )
    for module, other in ((model, again), (head, head_again)):
        state = module.state_dict()
        assert all(torch.equal(tensor, state[key]) for key, tensor in other.state_dict().items())


@pytest.mark.parametrize("name", ["bart", "marian"])
def test_bare_models_have_a_head_of_zeros(name, tmp_path):
    saved(make_reference(name, "Model"), tmp_path)
    checkpoint = load_seq2seq(tmp_path)
    assert checkpoint.head["bias"].tolist() == [0.0] * 60
    assert [key for key in checkpoint.ignored if "embed_positions" not in key] == []


def test_the_config_translated(tmp_path):
    bart = load_seq2seq(saved(make_reference("bart-scaled"), tmp_path / "bart"))
    encoder, decoder = bart.encoder_config, bart.decoder_config
    assert (encoder.depth, encoder.n_heads, encoder.ffn_width) == (2, 4, 48)
    assert (decoder.depth, decoder.n_heads, decoder.ffn_width) == (3, 2, 40)
    assert (encoder.max_length, encoder.position_offset) == (40, 2)
    assert encoder.embedding_scale == 32**0.5
    assert bart.share_embeddings
    assert bart.boundaries == Boundaries(start=0, end=2, decoder_start=3)
    marian = load_seq2seq(saved(make_reference("marian-own"), tmp_path / "marian"))
    assert not marian.share_embeddings
    tables = [marian.state[f"{side}.embeddings.pieces.weight"] for side in ("encoder", "decoder")]
    assert not torch.equal(*tables)
    assert marian.boundaries == Boundaries(end=2, decoder_start=3)


def test_generating_needs_the_ids_of_boundaries(tmp_path):
    transformers = pytest.importorskip("transformers")
    model, head = load(saved(make_reference("bart"), tmp_path / "theirs"))
    boundaries = Boundaries(start=7, end=8, decoder_start=9)
    save_seq2seq(tmp_path / "ours", model, family="bart", head=head, boundaries=boundaries)
    assert load_seq2seq(tmp_path / "ours").boundaries == boundaries
    back = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "ours").eval()
    pieces = back.generate(draw_sequences([6])[0][None], max_new_tokens=4, do_sample=False)
    assert pieces[0, 0] == 9
    save_seq2seq(tmp_path / "ours", model, family="bart", head=head)
    assert json.loads((tmp_path / "ours" / "config.json").read_text())["eos_token_id"] is None


@pytest.mark.parametrize(
    "name, values, message",
    [
        ("bart", {"model_type": "t5"}, "E120.*encoder-decoder.*'t5'.*bart, marian"),
        ("bart", {"normalize_before": True}, "E121.*normalize_before"),
        ("bart", {"normalize_embedding": False}, "E121.*normalize_embedding"),
        ("bart", {"tie_word_embeddings": False}, "E121.*tie_word_embeddings"),
        ("marian", {"normalize_before": True}, "E121.*normalize_before"),
        ("marian", {"static_position_embeddings": False}, "E121.*static_position_embeddings"),
        ("marian", {"tie_encoder_decoder": True}, "E121.*tie_encoder_decoder"),
        ("marian", {"activation_function": "tanh"}, "E121.*activation_function"),
        ("marian", {**OWN_TABLES, "decoder_vocab_size": 45}, "E121.*decoder_vocab_size"),
    ],
)
def test_unsupported_configs(name, values, message, tmp_path):
    set_config(saved(make_reference(name), tmp_path), **values)
    with pytest.raises(ValueError, match=rf"E119.*config\.json.*{message}"):
        load_seq2seq(tmp_path)


def test_damaged_files(tmp_path):
    saved(make_reference("bart"), tmp_path)
    set_config(tmp_path, decoder_layers=2)
    with pytest.raises(ValueError, match=r"E118.*decoder\.layers\.2\."):
        load_seq2seq(tmp_path)
    set_config(tmp_path, decoder_layers=3)
    key = "model.decoder.layers.0.encoder_attn.v_proj.weight"
    rewrite(tmp_path, lambda tensors: {**tensors, key: tensors[key][:-1]})
    with pytest.raises(ValueError, match=rf"E116.*{key}.*\[31, 32\].*\[32, 32\]"):
        load_seq2seq(tmp_path)
    rewrite(tmp_path, without(key))
    with pytest.raises(ValueError, match=r"E115.*decoder\.layers\.0\.encoder_attn\.v_proj"):
        load_seq2seq(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"E114.*model\.safetensors"):
        load_seq2seq(tmp_path)


SHAPE = {"n_pieces": 20, "width": 16, "depth": 1, "n_heads": 2, "norm_eps": 1e-5}
BART = {**SHAPE, "position_offset": 2}
MARIAN = {
    **SHAPE,
    "positions": "sinusoidal",
    "sinusoidal_order": "halves",
    "embedding_norm": False,
}


@pytest.mark.parametrize(
    "family, encoder, decoder, share, named",
    [
        ("bart", SHAPE, BART, True, "encoder's position_offset = 0"),
        ("bart", {**BART, "dropout": 0.2}, BART, True, "encoder's dropout = 0.2"),
        ("bart", BART, {**BART, "norm_eps": 1e-6}, True, "decoder's norm_eps = 1e-06"),
        ("bart", BART, {**BART, "activation": "relu"}, True, "encoder's activation = 'gelu'"),
        ("bart", BART, BART, False, "share_embeddings = False"),
        ("bart", {**BART, "embedding_scale": 3.0}, BART, True, "encoder's embedding_scale = 3.0"),
        ("marian", BART, MARIAN, True, "encoder's positions = 'learned'"),
        ("marian", MARIAN, {**MARIAN, "sinusoidal_order": "interleaved"}, True, "decoder's sinus"),
    ],
)
def test_what_a_family_cannot_express(family, encoder, decoder, share, named, tmp_path):
    configs = TransformerConfig(**encoder), TransformerConfig(**decoder)
    model = EncoderDecoder(*configs, share_embeddings=share)
    with pytest.raises(ValueError, match=f"E122.*{family}.*{named}"):
        save_seq2seq(tmp_path / "out", model, family=family)
    assert not (tmp_path / "out").exists()


def test_heads_that_a_family_cannot_hold(tmp_path):
    config = TransformerConfig(**BART)
    model = EncoderDecoder(config, config)
    head = PieceHead(config, transform=True, bias=True)
    with pytest.raises(ValueError, match=r"E143.*bart.*dense\.weight is .* instead of absent"):
        save_seq2seq(tmp_path, model, head=head)
    with pytest.raises(ValueError, match="E120.*'gpt2'"):
        save_seq2seq(tmp_path, model, family="gpt2")
    assert list(tmp_path.iterdir()) == []
