"""GPT-2 gives the same rows and predictions here and in the library it comes from."""

import json

import pytest
import torch

from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.nn.decoder import TransformerDecoder
from spacy_llm_tasks.nn.piece_head import PieceHead
from spacy_llm_tasks.weights.decoders import load_decoder, save_decoder
from spacy_llm_tasks.weights.family import Boundaries

from .references import (
    changed,
    difference,
    draw_sequences,
    packing_of,
    padded,
    padded_logits,
    rewrite,
    saved,
    set_config,
    shaken,
    without,
)

SMALL = {"vocab_size": 60, "n_positions": 40, "n_embd": 32, "n_layer": 2, "n_head": 4}
SPECIMENS = {
    "usual": {},
    "wide": {"n_inner": 72, "layer_norm_epsilon": 1e-6, "bos_token_id": 3, "eos_token_id": 4},
    "relu": {"activation_function": "relu"},
}
SHAPE = {
    "n_pieces": 20,
    "width": 16,
    "depth": 1,
    "n_heads": 2,
    "norm_position": "pre",
    "activation": "gelu_tanh",
    "embedding_norm": False,
    "norm_eps": 1e-5,
}


def make_gpt2(name="usual", head="LMHeadModel"):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.GPT2Config(**SMALL, **SPECIMENS[name])
    return shaken(getattr(transformers, f"GPT2{head}")(config))


def load(folder):
    checkpoint = load_decoder(folder)
    decoder = TransformerDecoder(checkpoint.config).eval()
    decoder.load_state_dict(checkpoint.state)
    return decoder


@torch.no_grad()
def packed_rows(decoder, sequences):
    return decoder(torch.cat(sequences), packing_of(sequences))


@torch.no_grad()
def packed_logits(decoder, sequences):
    head = PieceHead(decoder.config, transform=False, bias=False)
    return head(packed_rows(decoder, sequences), decoder.embeddings.pieces.weight)


@torch.no_grad()
def padded_rows(model, sequences):
    batch = padded(sequences, 0)
    return model.transformer(**batch).last_hidden_state[batch["attention_mask"].bool()]


@pytest.mark.parametrize("name", SPECIMENS)
def test_both_directions_give_the_same_predictions(name, tmp_path):
    transformers = pytest.importorskip("transformers")
    model = make_gpt2(name)
    decoder = load(saved(model, tmp_path / "theirs"))
    sequences = draw_sequences()
    assert difference(packed_rows(decoder, sequences), padded_rows(model, sequences)) < 1e-5
    assert difference(packed_logits(decoder, sequences), padded_logits(model, sequences)) < 1e-5

    changed(decoder)
    save_decoder(tmp_path / "ours", decoder)
    back, info = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    assert type(back) is type(model)
    assert not any(info.values()), info
    back.eval()
    assert difference(packed_rows(decoder, sequences), padded_rows(back, sequences)) < 1e-5
    assert difference(packed_logits(decoder, sequences), padded_logits(back, sequences)) < 1e-5
    again = load(tmp_path / "ours")
    assert again.config == decoder.config
    state = decoder.state_dict()
    assert all(torch.equal(tensor, state[key]) for key, tensor in again.state_dict().items())


def test_bare_models_and_masks_of_old_files(tmp_path):
    model = make_gpt2(head="Model")
    saved(model, tmp_path)
    mask = torch.ones(40, 40).tril()[None, None]
    old = {f"h.{i}.attn.{name}": mask for i in range(2) for name in ("bias", "masked_bias")}
    rewrite(tmp_path, lambda tensors: {**tensors, **{k: v.clone() for k, v in old.items()}})
    checkpoint = load_decoder(tmp_path)
    assert checkpoint.ignored == sorted(old)
    decoder = TransformerDecoder(checkpoint.config).eval()
    decoder.load_state_dict(checkpoint.state)
    sequences = draw_sequences()
    with torch.no_grad():
        batch = padded(sequences, 0)
        theirs = model(**batch).last_hidden_state[batch["attention_mask"].bool()]
    assert difference(packed_rows(decoder, sequences), theirs) < 1e-5


def test_the_config_translated(tmp_path):
    checkpoint = load_decoder(saved(make_gpt2("wide"), tmp_path))
    config = checkpoint.config
    assert (config.ffn_width, config.max_length, config.activation) == (72, 40, "gelu_tanh")
    assert (config.dropout, config.attention_dropout) == (0.1, 0.1)
    assert checkpoint.family == "gpt2"
    assert checkpoint.boundaries == Boundaries(start=3, end=4)


def test_ids_of_boundaries(tmp_path):
    decoder = TransformerDecoder(TransformerConfig(**SHAPE))
    save_decoder(tmp_path, decoder, boundaries=Boundaries(start=2, end=3))
    raw = json.loads((tmp_path / "config.json").read_text())
    assert (raw["bos_token_id"], raw["eos_token_id"]) == (2, 3)
    save_decoder(tmp_path, decoder)
    assert load_decoder(tmp_path).boundaries == Boundaries()


@pytest.mark.parametrize(
    "values, message",
    [
        ({"model_type": "bert"}, "E120.*decoder.*'bert'.*gpt2"),
        ({"tie_word_embeddings": False}, "E121.*tie_word_embeddings"),
        ({"scale_attn_by_inverse_layer_idx": True}, "E121.*scale_attn_by_inverse_layer_idx"),
        ({"scale_attn_weights": False}, "E121.*scale_attn_weights"),
        ({"add_cross_attention": True}, "E121.*add_cross_attention"),
        ({"activation_function": "quick_gelu"}, "E121.*activation_function.*quick_gelu"),
        ({"n_head": 5}, "E103"),
    ],
)
def test_unsupported_configs(values, message, tmp_path):
    set_config(saved(make_gpt2(), tmp_path), **values)
    with pytest.raises(ValueError, match=rf"E119.*config\.json.*{message}"):
        load_decoder(tmp_path)


def test_damaged_files(tmp_path):
    saved(make_gpt2(), tmp_path)
    set_config(tmp_path, n_layer=1)
    with pytest.raises(ValueError, match=r"E118.*transformer\.h\.1\."):
        load_decoder(tmp_path)
    set_config(tmp_path, n_layer=2)
    key = "transformer.h.0.attn.c_attn.weight"
    rewrite(tmp_path, lambda tensors: {**tensors, key: tensors[key].t().contiguous()})
    with pytest.raises(ValueError, match=rf"E116.*{key}.*\[96, 32\].*\[32, 96\]"):
        load_decoder(tmp_path)
    rewrite(tmp_path, without(key))
    with pytest.raises(ValueError, match=r"E115.*h\.0\.attn\.c_attn\.weight.*\[32, 96\]"):
        load_decoder(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match=r"E114.*model\.safetensors"):
        load_decoder(tmp_path)
    path.unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="E113"):
        load_decoder(tmp_path)


@pytest.mark.parametrize(
    "settings, named",
    [
        ({"positions": "rope"}, "positions = 'rope'"),
        ({"bias": False}, "bias = False"),
        ({"norm_position": "post", "final_norm": False}, "norm_position = 'post'"),
        ({"activation": "geglu"}, "activation = 'geglu'"),
        ({"embedding_scale": 4.0}, "embedding_scale = 4.0"),
    ],
)
def test_what_gpt2_cannot_express(settings, named, tmp_path):
    decoder = TransformerDecoder(TransformerConfig(**{**SHAPE, **settings}))
    with pytest.raises(ValueError, match=f"E122.*gpt2.*{named}"):
        save_decoder(tmp_path / "out", decoder)
    assert not (tmp_path / "out").exists()


def test_parts_that_gpt2_lacks(tmp_path):
    config = TransformerConfig(**SHAPE)
    with pytest.raises(ValueError, match=r"E122.*gpt2.*cross_attention"):
        save_decoder(tmp_path / "out", TransformerDecoder(config, cross=True))
    head = PieceHead(config, transform=False, bias=True)
    with pytest.raises(ValueError, match=r"E143.*gpt2.*bias is \(20,\) instead of absent"):
        save_decoder(tmp_path / "out", TransformerDecoder(config), head=head)
    with pytest.raises(ValueError, match="E120.*decoder.*'bert'"):
        save_decoder(tmp_path / "out", TransformerDecoder(config), family="bert")
    assert not (tmp_path / "out").exists()
