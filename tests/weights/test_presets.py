"""What is pretrained here from a preset can be given to others."""

import pytest

from spacy_llm_tasks.nn.presets import PRESETS, preset
from spacy_llm_tasks.weights.decoders import GPT2
from spacy_llm_tasks.weights.families import family_for
from spacy_llm_tasks.weights.seq2seq_families import BART

DROPOUT = [{}, {"dropout": 0.1}, {"dropout": 0.1, "attention_dropout": 0.2}]


@pytest.mark.parametrize("overrides", DROPOUT)
@pytest.mark.parametrize("size", PRESETS)
def test_every_preset_has_a_family(size, overrides):
    assert family_for(preset("encoder", size, n_pieces=99, **overrides)) == "modernbert"
    decoder = preset("decoder", size, n_pieces=99, **overrides)
    assert GPT2.read_config(GPT2.write_config(decoder)) == decoder
    seq2seq = preset("seq2seq", size, n_pieces=99, **overrides)
    raw = BART.write_config(seq2seq, seq2seq, share=True)
    assert BART.read_config(raw) == (seq2seq, seq2seq, True)
