"""Weights in fewer bits: the same products, to the bit, as rounding float32 ones."""

import pytest
import torch
from torch import nn

from spacy_llm_tasks.layers.hollow import hollow
from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.nn.linear import Linear
from spacy_llm_tasks.nn.packing import Packing
from spacy_llm_tasks.nn.reduced import ReducedLinear, reduce


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("precision", ["bf16", "int8"])
@torch.no_grad()
def test_linear(precision, bias):
    generator = torch.Generator().manual_seed(0)
    for size in (1e-30, 1e-3, 1.0, 1e4):
        layer = Linear(48, 1000, bias=bias)
        layer.weight.copy_(size * torch.randn(1000, 48, generator=generator))
        layer.weight[3] = 0.0
        layer.weight[4] = layer.weight[4, 0]  # all of a row at the end of its range
        layer.set_precision(precision)
        x = torch.randn(7, 48, generator=generator)
        reduced = ReducedLinear(layer, precision)
        assert torch.equal(reduced(x), layer(x))
        assert torch.equal(reduced.gelu(x, narrow=True), layer.gelu(x, narrow=True))


@pytest.mark.parametrize("positions", ["learned", "rope", "alibi", "sinusoidal"])
@pytest.mark.parametrize("precision", ["bf16", "int8"])
@torch.no_grad()
def test_encoder_through_its_state(positions, precision):
    config = TransformerConfig(
        n_pieces=90, width=32, depth=2, n_heads=2, ffn_width=48, embedding_width=24,
        max_length=20, positions=positions, n_segments=2,
    )  # fmt: skip
    torch.manual_seed(1)
    encoder = TransformerEncoder(config).eval()
    for layer in encoder.modules():
        if isinstance(layer, Linear):
            layer.set_precision(precision)
    pieces, packing = torch.arange(17), Packing.from_lengths([9, 8])
    expected = encoder(pieces, packing).last
    state = torch.random.get_rng_state()
    with hollow():
        other = TransformerEncoder(config).eval()
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(p.is_meta for p in other.parameters())
    assert not any(b.is_meta for b in other.buffers())
    reduce(encoder, linear=precision, embeddings="fp32")
    reduce(other, linear=precision, embeddings="fp32")
    other.load_state_dict(encoder.state_dict(), assign=True)
    assert torch.equal(encoder(pieces, packing).last, expected)
    assert torch.equal(other(pieces, packing).last, expected)
    assert not any(p.requires_grad for n, p in other.named_parameters() if p.dtype == torch.int8)


def test_other_layers_stay():
    module = nn.ModuleList([nn.Linear(2, 3), nn.LayerNorm(3), nn.Embedding(4, 3)])
    reduce(module, linear="int8", embeddings="int8")
    assert [type(layer) for layer in module] == [nn.Linear, nn.LayerNorm, nn.Embedding]
