"""Compiled blocks compute what the others do, for batches of any shape, in few graphs."""

import shutil
from copy import deepcopy

import pytest
import torch

from spacy_llm_tasks.nn.compiled import compile_blocks
from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.nn.decoder import TransformerDecoder
from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.nn.linear import set_precision
from spacy_llm_tasks.nn.packing import Packing
from spacy_llm_tasks.nn.seq2seq import EncoderDecoder

pytestmark = [
    pytest.mark.slow,  # the compiler takes some ten seconds a model
    pytest.mark.skipif(
        shutil.which("g++") is None and shutil.which("clang++") is None,
        reason="there is no C++ compiler",
    ),
]
# A single row is a shape of its own to the compiler.
LENGTHS = [[9, 9, 3], [1], [5, 1, 17, 17, 2, 40], [7, 7], [64, 33], [30], [1]]
BERT = {"positions": "learned", "norm_position": "post", "activation": "gelu"}
MODERN = {
    "positions": "rope",
    "norm_position": "pre",
    "activation": "geglu",
    "norm": "rms",
    "bias": False,
    "qk_norm": True,
    "final_norm": True,
}


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def config_of(**changes):
    sizes = {"width": 32, "depth": 2, "n_heads": 2, "n_pieces": 50, "max_length": 64}
    return TransformerConfig(**{**sizes, "dropout": 0.0, "attention_dropout": 0.0, **changes})


def pieces_of(lengths):
    packing = Packing.from_lengths(lengths)
    generator = torch.Generator().manual_seed(sum(lengths))
    return torch.randint(0, 50, (packing.n_rows,), generator=generator), packing


def graphs():
    from torch._dynamo.utils import counters

    return counters["stats"]["unique_graphs"]


def rows_and_gradients(model, pieces, packing):
    model.zero_grad()
    rows = model(pieces, packing).last
    (rows * torch.linspace(-1, 1, rows.numel()).view(rows.shape)).sum().backward()
    return rows.detach(), {name: p.grad for name, p in model.named_parameters()}


@pytest.mark.parametrize("kind", [BERT, MODERN, {"positions": "alibi"}])
def test_an_encoder_trains_and_predicts_alike(kind):
    torch.manual_seed(0)
    model = TransformerEncoder(config_of(**kind))
    compiled = deepcopy(model)
    compile_blocks(compiled.modules())
    assert list(compiled.state_dict()) == list(model.state_dict())
    for i, lengths in enumerate(LENGTHS):
        pieces, packing = pieces_of(lengths)
        expected, gradients = rows_and_gradients(model, pieces, packing)
        found, found_gradients = rows_and_gradients(compiled, pieces, packing)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        for name, gradient in gradients.items():
            if gradient is not None:
                atol = 1e-5 * max(1.0, float(gradient.abs().max()))
                torch.testing.assert_close(found_gradients[name], gradient, atol=atol, rtol=1e-4)
        with torch.no_grad():
            found = compiled.eval()(pieces, packing).last
        compiled.train()
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        if i == 2:
            known = graphs()
    assert 0 < known == graphs()  # the other arrangements of groups needed no more


def test_a_decoder_and_both_together():
    torch.manual_seed(0)
    config = config_of(**MODERN)
    decoder, both = TransformerDecoder(config), EncoderDecoder(config, config)
    for model in (decoder, both):
        compiled = deepcopy(model)
        compile_blocks(compiled.modules())
        for lengths in LENGTHS[:3]:
            pieces, packing = pieces_of(lengths)
            inputs = (pieces, packing) if model is decoder else (pieces, packing) * 2
            found, expected = compiled(*inputs), model(*inputs)
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_rounded_predictions():
    torch.manual_seed(0)
    model = TransformerEncoder(config_of(**BERT)).eval()
    set_precision(model, "bf16")
    compiled = deepcopy(model)
    compile_blocks(compiled.modules())
    pieces, packing = pieces_of(LENGTHS[2])
    with torch.no_grad():
        found, expected = compiled(pieces, packing).last, model(pieces, packing).last
    torch.testing.assert_close(found, expected, atol=0.03, rtol=0.03)
    with torch.no_grad():  # rounded from the weights as they are now
        for part in (model, compiled):
            part.blocks[0].feedforward.down.weight.mul_(20)
        again, expected = compiled(pieces, packing).last, model(pieces, packing).last
    torch.testing.assert_close(again, expected, atol=0.03, rtol=0.03)
    assert (again - found).abs().max() > 0.1


def test_copies_are_not_compiled():
    model = TransformerEncoder(config_of())
    compile_blocks(model.modules())
    copied = deepcopy(model)
    assert all(block._compiled_call_impl is not None for block in model.blocks)
    assert all(block._compiled_call_impl is None for block in copied.blocks)
