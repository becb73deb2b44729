import pytest

from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.nn.presets import KINDS, PRESETS, preset


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", PRESETS)
def test_heads_are_64_wide(kind, size):
    config = preset(kind, size, n_pieces=100)
    assert config.head_width == 64 and config.n_pieces == 100
    assert (config.depth, config.width) == (PRESETS[size]["depth"], PRESETS[size]["width"])


def test_gated_widths():
    widths = {size: preset("encoder", size, n_pieces=9).ffn_width for size in PRESETS}
    assert widths == {"tiny": 344, "mini": 704, "small": 1024, "base": 2048}
    assert preset("decoder", "tiny", n_pieces=9).ffn_width == 512


def test_arrangements():
    encoder = preset("encoder", "small", n_pieces=9)
    assert (encoder.positions, encoder.activation, encoder.bias) == ("rope", "geglu", False)
    assert not encoder.first_norm and encoder.final_norm and encoder.embedding_norm
    decoder = preset("decoder", "small", n_pieces=9)
    assert (decoder.positions, decoder.activation) == ("learned", "gelu_tanh")
    assert decoder.final_norm and not decoder.embedding_norm
    seq2seq = preset("seq2seq", "small", n_pieces=9)
    assert (seq2seq.norm_position, seq2seq.position_offset) == ("post", 2)
    assert not seq2seq.final_norm and seq2seq.embedding_norm
    for config in (encoder, decoder, seq2seq):
        assert config.norm_eps == 1e-5 and config.dropout == config.attention_dropout == 0.0


def test_overrides():
    config = preset("encoder", "tiny", n_pieces=9, width=192, dropout=0.1, activation="gelu")
    assert (config.n_heads, config.ffn_width, config.dropout) == (3, 768, 0.1)
    assert preset("encoder", "tiny", n_pieces=9, n_heads=4).head_width == 32
    assert preset("encoder", "tiny", n_pieces=9, width=320).ffn_width == 896


def test_a_preset_without_biases_has_none():
    encoder = TransformerEncoder(preset("encoder", "tiny", n_pieces=20))
    names = [name for name, _ in encoder.named_parameters()]
    assert not [name for name in names if name.endswith("bias")]
    assert "blocks.0.attention_norm.weight" not in names
    assert "blocks.1.attention_norm.weight" in names


def test_refusals():
    with pytest.raises(ValueError, match="E127.*'huge'.*tiny"):
        preset("encoder", "huge", n_pieces=9)
    with pytest.raises(ValueError, match="E127.*'bert'.*seq2seq"):
        preset("bert", "tiny", n_pieces=9)
    with pytest.raises(ValueError, match="E101.*hidden_size"):
        preset("encoder", "tiny", n_pieces=9, hidden_size=3)
    with pytest.raises(ValueError, match="E102.*'width'"):
        preset("encoder", "tiny", n_pieces=9, width="64")
