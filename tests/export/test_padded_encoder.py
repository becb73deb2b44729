"""Padded sequences give what packed ones give. No other runtime is needed to know that."""

import pytest
import torch

from spacy_llm_tasks.export.padded_encoder import PaddedEncoder
from spacy_llm_tasks.layers.doc_encoder import DocEncoder
from spacy_llm_tasks.layers.onnx_encoder import State
from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.nn.packing import Packing

SIZES = {"n_pieces": 50, "width": 16, "depth": 2, "n_heads": 2, "max_length": 64}
# Every brick of the encoder is in one of these.
KINDS = {
    "bert": {"n_segments": 2},
    "modernbert": {
        "positions": "rope", "norm_position": "pre", "first_norm": False, "activation": "geglu",
        "bias": False,
    },
    "rms": {
        "positions": "rope", "norm": "rms", "norm_position": "pre", "activation": "swiglu",
        "qk_norm": True,
    },
    "alibi": {"positions": "alibi", "activation": "relu", "norm_position": "pre"},
    "marian": {
        "positions": "sinusoidal", "sinusoidal_order": "halves", "activation": "silu",
        "embedding_norm": False, "embedding_scale": 4.0,
    },
    "electra": {"embedding_width": 8, "activation": "gelu_tanh", "n_segments": 1},
    "roberta": {"position_offset": 2},
}  # fmt: skip
STATES = [State(), State(0), State(1), State(-1, "own"), State(1, "own")]


def make(kind):
    torch.manual_seed(0)
    config = TransformerConfig(**SIZES, **KINDS[kind])
    encoder = DocEncoder(config=config.to_dict())
    encoder.add_branch("own", 1)
    for block in encoder.branches["own"]:  # no copies, so that they can be told apart
        for parameter in block.parameters():
            parameter.data.add_(0.05 * torch.randn_like(parameter))
    return encoder.eval()


def batch(lengths, n_segments):
    length = max(lengths)
    mask = torch.arange(length) < torch.tensor(lengths)[:, None]
    ids = torch.randint(1, SIZES["n_pieces"], mask.shape)
    segments = torch.randint(0, n_segments, mask.shape) if n_segments > 1 else None
    return ids, mask, segments


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", [[1], [7, 3, 5], [4, 4], [64, 2, 30]])
@torch.no_grad()
def test_equals_the_packed_encoder(kind, lengths):
    encoder = make(kind)
    transformer = encoder.transformer
    ids, mask, segments = batch(lengths, transformer.config.n_segments)
    packing = Packing.from_lengths(lengths)
    flat = None if segments is None else segments[mask]
    output = transformer(ids[mask], packing, segments=flat, all_layers=True)
    own = encoder.branches["own"][0](output.layers[1], packing)
    expected = [output.last, *output.layers[:2], transformer.finish(own), output.layers[1]]
    padded = PaddedEncoder(encoder, STATES).eval()
    found = padded(ids, mask.long(), *([] if segments is None else [segments]))
    assert len(padded.inputs) == (2 if segments is None else 3)
    for state, rows in zip(found, expected, strict=True):
        torch.testing.assert_close(state[mask], rows, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_padding_is_not_read():
    padded = PaddedEncoder(make("rms"), [State()]).eval()
    ids, mask, _ = batch([3, 6], 0)
    before = padded(ids, mask.long())[0][mask]
    ids[~mask] += 1
    assert torch.equal(padded(ids, mask.long())[0][mask], before)


def test_names_of_states():
    names = [state.name for state in STATES]
    assert names == [
        "last_hidden_state", "layer_0", "layer_1", "last_hidden_state.own", "layer_1.own"
    ]  # fmt: skip
