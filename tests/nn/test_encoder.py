import numpy as np
import pytest
import torch

from spacy_llm_tasks.nn import kernels
from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.nn.packing import Packing

from .reference import encode

LENGTHS = [7, 1, 30, 12, 7, 9, 10, 32]
VARIANTS = {
    "bert": {"n_segments": 2},
    "roberta": {"position_offset": 2, "n_segments": 1},
    "electra": {"embedding_width": 8},
    "relu": {"activation": "relu", "embedding_norm": False},
    "sinusoidal": {"positions": "sinusoidal"},
    "modern": {"positions": "rope", "norm_position": "pre", "activation": "geglu", "bias": False},
    "rms": {"positions": "rope", "norm": "rms", "norm_position": "pre", "activation": "swiglu"},
    "alibi": {"positions": "alibi", "norm_position": "pre", "norm_eps": 1e-5},
    "modernbert": {"positions": "rope", "norm_position": "pre", "first_norm": False},
    "marian": {
        "positions": "sinusoidal",
        "sinusoidal_order": "halves",
        "activation": "silu",
        "embedding_scale": 4.0,
        "embedding_norm": False,
    },
    "unit": {"positions": "rope", "qk_norm": True, "activation": "gelu_tanh"},
}


@pytest.fixture(params=["plain", "onednn"])
def kernel(request):
    if request.param == "onednn" and not kernels.available():
        pytest.skip("this torch has no oneDNN")
    kernels.use(request.param)
    yield request.param
    kernels.use(None)


def make(seed=0, **settings):
    torch.manual_seed(seed)
    defaults = {"n_pieces": 40, "width": 16, "depth": 2, "n_heads": 4, "max_length": 32}
    encoder = TransformerEncoder(TransformerConfig(**{**defaults, **settings}))
    with torch.no_grad():  # unit norms, zero biases and tiny weights would hide mistakes
        for parameter in encoder.parameters():
            parameter.normal_(std=0.3)
    return encoder.eval()


def sequences_of(lengths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(0, 40, (n,), generator=generator) for n in lengths]


@pytest.mark.parametrize("name", VARIANTS)
def test_equals_the_naive_reference(name, kernel):
    encoder = make(**VARIANTS[name])
    sequences = sequences_of(LENGTHS)
    with torch.no_grad():
        output = encoder(torch.cat(sequences), Packing.from_lengths(LENGTHS))
        expected = encode(encoder, sequences)
    assert (output.last - expected).abs().max() < 1e-5


@pytest.mark.parametrize("name", ["bert", "modern", "alibi", "modernbert", "marian", "unit"])
def test_gradients_equal_the_naive_reference(name, kernel):
    encoder = make(**VARIANTS[name])
    sequences = sequences_of(LENGTHS)
    target = torch.randn(sum(LENGTHS), 16)
    outputs = [
        encoder(torch.cat(sequences), Packing.from_lengths(LENGTHS)).last,
        encode(encoder, sequences),
    ]
    gradients = []
    for output in outputs:
        parameters = list(encoder.parameters())
        gradients.append(torch.autograd.grad((output * target).sum(), parameters))
    for (parameter, _), ours, naive in zip(encoder.named_parameters(), *gradients, strict=True):
        scale = max(1.0, naive.abs().max().item())
        assert (ours - naive).abs().max() / scale < 1e-5, parameter


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("seed", range(3))
def test_a_sequence_does_not_see_its_batch(name, seed, kernel):
    rng = np.random.default_rng(seed)
    lengths = [1, 32, 31, *rng.integers(1, 33, 12).tolist()]
    if seed == 1:
        lengths.sort(reverse=True)
    encoder = make(seed, **VARIANTS[name])
    sequences = sequences_of(lengths, seed)
    with torch.no_grad():
        together = encoder(torch.cat(sequences), Packing.from_lengths(lengths)).last
        for alone, rows in zip(sequences, together.split(lengths), strict=True):
            single = encoder(alone, Packing.from_lengths([len(alone)])).last
            assert (single - rows).abs().max() < 1e-5


def test_segments_are_read():
    encoder = make(n_segments=2)
    sequences = sequences_of([5, 9])
    segments = [torch.tensor([0, 0, 0, 1, 1]), torch.arange(9) % 2]
    packing = Packing.from_lengths([5, 9])
    with torch.no_grad():
        output = encoder(torch.cat(sequences), packing, segments=torch.cat(segments))
        expected = encode(encoder, sequences, segments)
        zeros = encoder(torch.cat(sequences), packing, segments=torch.zeros(14, dtype=torch.long))
        none = encoder(torch.cat(sequences), packing)
    assert (output.last - expected).abs().max() < 1e-5
    assert torch.equal(zeros.last, none.last)


def test_all_layers():
    encoder = make(norm_position="pre", depth=3)
    pieces, packing = torch.arange(8), Packing.from_lengths([5, 3])
    output = encoder(pieces, packing, all_layers=True)
    assert [layer.shape for layer in output.layers] == [(8, 16)] * 4
    assert torch.equal(encoder.final_norm(output.layers[-1]), output.last)
    assert encoder(pieces, packing).layers == ()


def test_empty_batch():
    output = make()(torch.zeros(0, dtype=torch.long), Packing.from_lengths([]))
    assert output.last.shape == (0, 16)


def test_refusals():
    encoder = make(max_length=8)
    with pytest.raises(ValueError, match="E106"):
        encoder(torch.arange(3), Packing.from_lengths([4]))
    with pytest.raises(ValueError, match="E107.*9"):
        encoder(torch.arange(9), Packing.from_lengths([9]))
    with pytest.raises(ValueError, match="E109"):
        encoder(torch.arange(4), Packing.from_lengths([4]), segments=torch.zeros(4).long())


@pytest.mark.parametrize("positions", ["rope", "alibi", "sinusoidal"])
def test_other_positions_have_no_end(positions):
    encoder = make(positions=positions, max_length=8)
    assert encoder(torch.arange(20), Packing.from_lengths([20])).last.shape == (20, 16)


def test_layer_of():
    encoder = make(depth=3, norm_position="pre")
    layers = {name: encoder.layer_of(name) for name, _ in encoder.named_parameters()}
    assert layers["embeddings.pieces.weight"] == 0
    assert layers["blocks.0.attention.qkv.weight"] == 1
    assert layers["blocks.2.feedforward_norm.bias"] == 3
    assert layers["final_norm.weight"] == 3


def test_dropout_is_set_at_run_time():
    encoder = make(dropout=0.2, attention_dropout=0.3).train()
    pieces, packing = torch.arange(30), Packing.from_lengths([30])

    def differs():
        torch.manual_seed(1)
        first = encoder(pieces, packing).last
        return not torch.equal(first, encoder(pieces, packing).last)

    assert differs()
    encoder.set_dropout(0.0)
    assert not differs()
    encoder.blocks[0].attention.dropout.p = 0.5  # attention's own rate reaches the fused kernel
    assert differs()
    encoder.set_dropout(None)
    assert encoder.blocks[1].attention.dropout.p == 0.3
    assert encoder.blocks[1].dropout.p == encoder.embeddings.dropout.p == 0.2
    encoder.eval()
    assert not differs()


def test_initial_weights():
    torch.manual_seed(0)
    config = TransformerConfig(n_pieces=500, width=64, depth=8, n_heads=4, norm_position="pre")
    encoder = TransformerEncoder(config)
    block = encoder.blocks[0]
    assert block.attention.qkv.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert block.feedforward.down.weight.std().item() == pytest.approx(0.005, rel=0.05)
    assert not block.attention.qkv.bias.any()


def test_learns():
    """The loss of a toy task (does piece 3 occur?), read off the first row, falls in training."""
    encoder = make(positions="rope", norm_position="pre", dropout=0.0).train()
    encoder.reset_parameters()
    optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-2)
    sequences = sequences_of([12] * 32)
    pieces, packing = torch.cat(sequences) % 16, Packing.from_lengths([12] * 32)
    wanted = (pieces.view(32, 12) == 3).any(1).float()
    losses = []
    for _ in range(60):
        logits = encoder(pieces, packing).last[packing.starts, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_spare_rows_do_not_show(monkeypatch):
    """Rows that fill a batch up change neither states nor gradients, and few shapes are left."""
    shapes = set()
    for name in ("linear", "linear_gelu"):
        function = getattr(kernels, name)

        def note(x, weight, bias=None, function=function):
            shapes.add(len(x))
            return function(x, weight, bias)

        monkeypatch.setattr(kernels, name, note)
    torch.manual_seed(0)
    config = TransformerConfig(n_pieces=20, width=16, depth=2, n_heads=2, norm_position="pre")
    encoder = TransformerEncoder(config).eval()

    def run(lengths):
        encoder.zero_grad()
        packing = Packing.from_lengths(lengths)
        output = encoder(torch.arange(sum(lengths)) % 20, packing, all_layers=True)
        assert {len(rows) for rows in (output.last, *output.layers)} == {sum(lengths)}
        output.last.sin().sum().backward()
        return [*output.layers, output.last, *(p.grad.clone() for p in encoder.parameters())]

    found = {n: run([n, 3, n + 1]) for n in range(1, 60)}
    assert len(shapes) <= 17
    monkeypatch.setattr(kernels, "n_rows_for", lambda n, device: n)
    for n, tensors in found.items():
        for ours, expected in zip(tensors, run([n, 3, n + 1]), strict=True):
            torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)
