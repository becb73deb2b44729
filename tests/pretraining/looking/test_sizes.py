import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from spacy_llm_tasks.nn import kernels
from spacy_llm_tasks.nn.cache import Cache
from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.nn.crossing import Crossing
from spacy_llm_tasks.nn.decoder import TransformerDecoder
from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.nn.linear import Linear, set_precision
from spacy_llm_tasks.nn.packing import Packing
from spacy_llm_tasks.nn.piece_head import PieceHead
from spacy_llm_tasks.nn.presets import preset
from spacy_llm_tasks.nn.seq2seq import EncoderDecoder
from spacy_llm_tasks.pretraining.looking.sizes import (
    TRAINING,
    count_bytes,
    count_cache_bytes,
    count_operations,
    count_parameters,
    count_training_bytes,
)

SMALL = {"n_pieces": 70, "width": 32, "depth": 3, "n_heads": 4, "max_length": 64}


def build(kind):
    if kind == "narrow":  # ELECTRA's: a layer between table and blocks, and one before the head
        config = TransformerConfig(**SMALL, embedding_width=16, dropout=0.0)
        return TransformerEncoder(config), PieceHead(config, transform=True, bias=True)
    config = preset(kind, "tiny", **SMALL)
    if kind == "encoder":
        return TransformerEncoder(config), PieceHead(config, transform=True, bias=True)
    if kind == "decoder":
        return TransformerDecoder(config), PieceHead(config, transform=False, bias=False)
    model = EncoderDecoder(config, preset(kind, "tiny", **{**SMALL, "depth": 2}))
    return model, PieceHead(config, transform=False, bias=True)


def run(model, length):
    """One sequence; its rows."""
    pieces, packing = torch.arange(length), Packing.from_lengths([length])
    if isinstance(model, EncoderDecoder):
        return model(pieces, packing, pieces, packing)
    rows = model(pieces, packing)
    return rows if isinstance(model, TransformerDecoder) else rows.last


@pytest.fixture(autouse=True)
def plain_kernel():
    """One that the counter knows."""
    kernels.use("plain")
    yield
    kernels.use(None)


def counted(work):
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


@pytest.mark.parametrize("length", [16, 64])
@pytest.mark.parametrize("kind", ["encoder", "narrow", "decoder", "seq2seq"])
def test_operations_are_those_that_are_done(kind, length):
    model, head = build(kind)
    found = count_operations(model.eval(), head, length=length)
    assert found.length == length
    with torch.no_grad():
        assert counted(lambda: run(model, length)) == length * sum(found.stacks.values())
        rows = torch.randn(16, 32)
        assert counted(lambda: head(rows, model.piece_table)) == 16 * found.head


@pytest.mark.parametrize("kind", ["encoder", "decoder", "seq2seq"])
def test_training_takes_three_times_as_many(kind):
    length = 16
    model, head = build(kind)
    found = count_operations(model, head, length=length)

    def step():
        head(run(model, length), model.piece_table).sum().backward()

    expected = TRAINING * length * (sum(found.stacks.values()) + found.head)
    assert counted(step) == pytest.approx(expected, rel=0.01)


def test_the_rule_of_six():
    """Without attention and head: 6 operations in training for each weight of a block."""
    model, _ = build("decoder")
    found = count_operations(model, None, length=10)
    n = sum(p.numel() for p in model.blocks.parameters() if p.dim() == 2)
    assert TRAINING * found.stacks["decoder"] == 6 * n + 12 * 3 * 32 * 10
    assert found.head == 0


@pytest.mark.parametrize("kind", ["encoder", "narrow", "decoder", "seq2seq"])
def test_every_parameter_is_counted_once(kind):
    model, head = build(kind)
    found = count_parameters(model, head)
    everything = dict.fromkeys([*model.parameters(), *head.parameters()])
    assert found.total == sum(parameter.numel() for parameter in everything)
    assert found.table == 70 * (16 if kind == "narrow" else 32)
    assert found.head == sum(parameter.numel() for parameter in head.parameters())
    assert count_parameters(model, None) == found._replace(head=0)
    names = [name for name, _ in model.named_parameters()]
    of_blocks = [n for n in names if "blocks." in n]
    assert found.blocks == sum(model.get_parameter(name).numel() for name in of_blocks)


def test_two_tables():
    config = preset("seq2seq", "tiny", **SMALL)
    both = EncoderDecoder(config, config, share_embeddings=False)
    assert count_parameters(both, None).table == 2 * 70 * 32
    head = PieceHead(config, transform=False, bias=True)
    assert count_operations(both, head, length=4).head == 2 * 70 * 32


@pytest.mark.parametrize("kind", ["encoder", "narrow", "decoder", "seq2seq"])
def test_bytes_are_those_of_the_weights_in_use(kind):
    model, head = build(kind)
    found = count_bytes(model, head)
    assert found["fp32"] == 4 * count_parameters(model, head).total
    layers = [m for part in (model, head) for m in part.modules() if isinstance(m, Linear)]
    exact = found["fp32"] - sum(
        4 * p.numel() for layer in layers for p in (layer.weight, layer.bias) if p is not None
    )
    for precision, bytes_of in (("bf16", _bf16_bytes), ("int8", _int8_bytes)):
        for part in (model, head):
            set_precision(part, precision)
        with torch.no_grad():
            head(run(model, 16), model.piece_table)
        assert found[precision] == exact + sum(bytes_of(layer._packed) for layer in layers)


def _bf16_bytes(packed):
    weight = packed.weight if packed.packed is None else packed.packed
    assert weight.dtype == torch.bfloat16
    return 2 * weight.numel() + (0 if packed.bias is None else packed.bias.nbytes)


def _int8_bytes(packed):
    if hasattr(packed, "scales"):
        assert packed.packed.dtype == torch.int8
        n_weights, scales, bias = packed.packed.numel(), packed.scales.nbytes, packed.bias
    else:  # a processor without VNNI
        weight, bias = torch.ops.quantized.linear_unpack(packed.packed)
        n_weights, scales = weight.numel(), 4 * len(weight)
    return n_weights + scales + (0 if bias is None else bias.nbytes)


def test_nothing_is_allocated():
    with torch.device("meta"):
        model, head = build("encoder")
    assert count_parameters(model, head).total == count_parameters(*build("encoder")).total
    assert count_bytes(model, head) == count_bytes(*build("encoder"))


@pytest.mark.parametrize("kind", ["encoder", "narrow", "decoder", "seq2seq"])
def test_training_bytes_are_those_that_a_step_leaves_behind(kind):
    model, head = build(kind)
    parameters = list(dict.fromkeys([*model.parameters(), *head.parameters()]))
    optimizer = torch.optim.AdamW(parameters)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    moments = [s[name] for s in optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")]
    tensors = [*parameters, *(parameter.grad for parameter in parameters), *moments]
    found = count_training_bytes(count_parameters(model, head))
    assert found == sum(tensor.nbytes for tensor in tensors)


@pytest.mark.parametrize("kind", ["decoder", "seq2seq"])
def test_cache_bytes_are_those_of_the_keys_and_values(kind):
    n, n_memory = 20, 12
    model, _ = build(kind)
    decoder = model.decoder if kind == "seq2seq" else model
    cache = Cache(decoder.config.depth)
    packing, reads = Packing.from_lengths([n]), {}
    if kind == "seq2seq":
        crossing = Crossing.from_packings(packing, Packing.from_lengths([n_memory]))
        reads = {"memory": torch.randn(n_memory, 32), "crossing": crossing}
    with torch.no_grad():
        decoder.eval()(torch.arange(n), packing, cache=cache, **reads)
    kept = [t[:, :, :n] for layer in cache.layers for t in (layer._keys, layer._values)]
    kept += [t for layer in cache.layers for t in layer.memory or ()]
    expected = sum(tensor.numel() * tensor.element_size() for tensor in kept)
    n_memory = n_memory if kind == "seq2seq" else 0
    assert count_cache_bytes(decoder.config, length=n, memory=n_memory) == expected
