"""Published weights beside a tokenizer that may be another model's."""

import warnings

import pytest

from spacy_llm_tasks.layers.encoder import build_transformer_v1
from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.pipeline.encoder_files import fill
from spacy_llm_tasks.weights.checkpoint import save_encoder

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]"]
WORDS = ["pell", "lorne", "bay", "vask"]
N_PIECES = len(SPECIAL) + len(WORDS)


@pytest.fixture
def filled(tmp_path):
    """Fill a layer from weights with a vocabulary beside them; the messages of its warnings."""

    def run(vocabulary, *, n_pieces=N_PIECES, pad_piece=0, family="bert"):
        n_segments = 2 if family == "bert" else 1
        offset = pad_piece + 1 if family == "roberta" else 0
        config = TransformerConfig(
            n_pieces=n_pieces,
            width=8,
            depth=1,
            n_heads=2,
            ffn_width=8,
            max_length=16,
            n_segments=n_segments,
            pad_piece=pad_piece,
            position_offset=offset,
        )
        save_encoder(tmp_path, TransformerEncoder(config), family=family)
        (tmp_path / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fill(build_transformer_v1(), tmp_path)
        return [str(warning.message) for warning in caught]

    return run


@pytest.mark.parametrize("n_spare", [0, 127])
def test_a_tokenizer_of_the_same_model(filled, n_spare):
    assert filled(SPECIAL + WORDS, n_pieces=N_PIECES + n_spare) == []


@pytest.mark.parametrize("pad_piece", [0, 1])
def test_padding_elsewhere_than_in_config_json(filled, pad_piece):
    """RoBERTa's is 1."""
    vocabulary = ["[CLS]", "[PAD]", *SPECIAL[3:], "[UNK]", *WORDS]
    found = filled(vocabulary, pad_piece=pad_piece, family="roberta")
    assert len(found) == (pad_piece == 0)
    for message in found:
        assert "W460" in message and "its padding has the id 1, in config.json it is 0" in message


def test_unused_padding_is_no_text(filled):
    (message,) = filled(SPECIAL + WORDS, pad_piece=5)
    assert "W460" in message and "its padding has the id 0" in message


def test_the_same_pieces_in_another_order_are_refused(filled):
    with pytest.raises(ValueError, match="E460.*at id 0, where .* piece 'pell' .*at 4"):
        filled(WORDS + SPECIAL)


def test_a_vocabulary_that_is_too_small(filled):
    (message,) = filled(SPECIAL + WORDS, n_pieces=N_PIECES + 128)
    assert "W460" in message and "it knows 10 pieces, the weights have rows for 138" in message
