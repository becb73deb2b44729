import pytest
import torch

from spacy_llm_tasks.nn.cache import Cache
from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.nn.crossing import Crossing
from spacy_llm_tasks.nn.decoder import TransformerDecoder
from spacy_llm_tasks.nn.packing import Packing

from .reference import decode

LENGTHS = [7, 1, 30, 12, 7, 9, 10, 32]
MEMORY = [3, 40, 1, 12, 20, 9, 11, 2]
VARIANTS = {
    "gpt2": {"norm_position": "pre", "embedding_norm": False, "activation": "gelu_tanh"},
    "bart": {"position_offset": 2, "norm_eps": 1e-5},
    "marian": {
        "positions": "sinusoidal",
        "sinusoidal_order": "halves",
        "activation": "silu",
        "embedding_scale": 4.0,
        "embedding_norm": False,
    },
    "modern": {
        "positions": "rope",
        "norm": "rms",
        "norm_position": "pre",
        "activation": "swiglu",
        "bias": False,
        "qk_norm": True,
        "first_norm": False,
    },
    "alibi": {"positions": "alibi", "norm_position": "pre", "embedding_width": 8},
}


def make(*, cross=False, **settings):
    torch.manual_seed(0)
    defaults = {"n_pieces": 40, "width": 16, "depth": 2, "n_heads": 4, "max_length": 32}
    decoder = TransformerDecoder(TransformerConfig(**{**defaults, **settings}), cross=cross)
    with torch.no_grad():  # unit norms, zero biases and tiny weights would hide mistakes
        for parameter in decoder.parameters():
            parameter.normal_(std=0.3)
    return decoder.eval()


def batch(cross=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    sequences = [torch.randint(0, 40, (n,), generator=generator) for n in LENGTHS]
    packing = Packing.from_lengths(LENGTHS)
    if not cross:
        return sequences, packing, None, {}
    memories = [torch.randn(n, 16, generator=generator) for n in MEMORY]
    crossing = Crossing.from_packings(packing, Packing.from_lengths(MEMORY))
    return sequences, packing, memories, {"memory": torch.cat(memories), "crossing": crossing}


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("cross", [False, True])
def test_equals_the_naive_reference_with_gradients(name, cross):
    decoder = make(cross=cross, **VARIANTS[name])
    sequences, packing, memories, given = batch(cross)
    target = torch.randn(sum(LENGTHS), 16)
    leaves = list(decoder.parameters())
    if cross:
        memories = [memory.requires_grad_() for memory in memories]
        given["memory"] = torch.cat(memories)
        leaves = [*leaves, *memories]
    ours = decoder(torch.cat(sequences), packing, **given)
    naive = decode(decoder, sequences, memories)
    assert (ours - naive).abs().max() < 2e-5
    pairs = zip(
        torch.autograd.grad((ours * target).sum(), leaves),
        torch.autograd.grad((naive * target).sum(), leaves),
        strict=True,
    )
    for found, expected in pairs:
        assert (found - expected).abs().max() < 2e-5 * max(1.0, expected.abs().max().item())


@pytest.mark.parametrize("name", VARIANTS)
def test_a_later_piece_changes_no_earlier_row(name):
    decoder = make(**VARIANTS[name])
    sequences, packing, _, _ = batch()
    pieces = torch.cat(sequences)
    with torch.no_grad():
        before = decoder(pieces, packing)
        for k in (0, 3, 11, 30):
            later = packing.positions > k
            after = decoder(torch.where(later, (pieces + 7) % 40, pieces), packing)
            assert (after - before)[~later].abs().max() < 1e-5
            assert (after - before)[later].abs().amax(1).min() > 1e-4


def test_only_its_own_memory_is_read():
    decoder = make(cross=True)
    sequences, packing, memories, given = batch(cross=True)
    pieces = torch.cat(sequences)
    with torch.no_grad():
        before = decoder(pieces, packing, **given).split(LENGTHS)
        for i in range(len(LENGTHS)):
            others = [m if j == i else m + 1 for j, m in enumerate(memories)]
            after = decoder(pieces, packing, **{**given, "memory": torch.cat(others)})
            assert torch.allclose(after.split(LENGTHS)[i], before[i], atol=1e-6)
            assert not torch.allclose(after.split(LENGTHS)[i - 1], before[i - 1], atol=1e-3)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("cross", [False, True])
@pytest.mark.parametrize("steps", [[1] * 9, [6, 1, 1, 1], [2, 4, 3]])
def test_part_by_part_with_a_cache(name, cross, steps):
    decoder = make(cross=cross, **VARIANTS[name])
    pieces, memory = torch.arange(9) * 3, torch.randn(5, 16)

    def given(n):
        if not cross:
            return {}
        pair = Packing.from_lengths([n]), Packing.from_lengths([5])
        return {"memory": memory, "crossing": Crossing.from_packings(*pair)}

    with torch.no_grad():
        whole = decoder(pieces, Packing.from_lengths([9]), **given(9))
        cache = Cache(2)
        parts = [
            decoder(part, Packing.from_lengths([len(part)]), cache=cache, **given(len(part)))
            for part in pieces.split(steps)
        ]
    assert cache.length == 9
    assert (torch.cat(parts) - whole).abs().max() < 1e-5


@pytest.mark.parametrize("name", ["gpt2", "bart", "modern"])
def test_bfloat16_autocast(name):
    """Near the float32 result, with gradients for everything, in float32."""
    decoder = make(cross=True, dropout=0.0, attention_dropout=0.0, **VARIANTS[name]).train()
    sequences, packing, _, given = batch(cross=True)
    pieces, weight = torch.cat(sequences), torch.randn(sum(LENGTHS), 16)
    exact = decoder(pieces, packing, **given)
    wanted = torch.autograd.grad((exact * weight).sum(), list(decoder.parameters()))
    with torch.autocast("cpu", torch.bfloat16):
        rows = decoder(pieces, packing, **given)
    assert (rows - exact).norm() < 3e-2 * exact.norm()
    found = torch.autograd.grad((rows.float() * weight).sum(), list(decoder.parameters()))
    for ours, expected in zip(found, wanted, strict=True):
        assert ours.dtype == torch.float32
        assert torch.nn.functional.cosine_similarity(ours.ravel(), expected.ravel(), 0) > 0.98


def test_parameter_names():
    names = {name for name, _ in make(cross=True, depth=1).named_parameters()}
    plain = {name for name, _ in make(depth=1).named_parameters()}
    kinds = ("weight", "bias")
    modules = ("query", "kv", "output")
    new = {f"blocks.0.cross_attention.{m}.{kind}" for m in modules for kind in kinds}
    assert names - plain == new | {f"blocks.0.cross_attention_norm.{kind}" for kind in kinds}
    assert plain <= names
    shape = make(cross=True, depth=1).blocks[0].cross_attention.kv.weight.shape
    assert shape == (32, 16)


def test_layer_of_and_dropout():
    decoder = make(cross=True, dropout=0.2, attention_dropout=0.3, norm_position="pre")
    assert decoder.layer_of("embeddings.positions.weight") == 0
    assert decoder.layer_of("blocks.1.cross_attention.kv.weight") == 2
    assert decoder.layer_of("final_norm.weight") == 2
    decoder.set_dropout(0.0)
    assert {m.p for m in decoder.modules() if isinstance(m, torch.nn.Dropout)} == {0.0}
    decoder.set_dropout(None)
    assert decoder.blocks[0].cross_attention.dropout.p == 0.3
    assert decoder.blocks[0].dropout.p == 0.2


def test_initial_weights():
    """What writes to the residual starts smaller, by all the times that it is written to."""
    torch.manual_seed(0)
    config = TransformerConfig(n_pieces=50, width=64, depth=3, n_heads=4, norm_position="pre")
    block = TransformerDecoder(config, cross=True).blocks[1]
    for layer in (block.cross_attention.output, block.attention.output, block.feedforward.down):
        assert layer.weight.std().item() == pytest.approx(0.02 / 3, rel=0.05)
    assert block.cross_attention.kv.weight.std().item() == pytest.approx(0.02, rel=0.05)
    block = TransformerDecoder(config).blocks[1]
    assert block.attention.output.weight.std().item() == pytest.approx(0.02 / 6**0.5, rel=0.05)


def test_empty_batch():
    decoder = make(cross=True)
    none = Packing.from_lengths([])
    given = {"memory": torch.zeros(0, 16), "crossing": Crossing.from_packings(none, none)}
    assert decoder(torch.zeros(0, dtype=torch.long), none, **given).shape == (0, 16)


def test_refusals():
    sequences, packing, _, given = batch(cross=True)
    pieces = torch.cat(sequences)
    with pytest.raises(ValueError, match="E129.*reads a memory"):
        make(cross=True)(pieces, packing)
    with pytest.raises(ValueError, match="E129.*reads no memory"):
        make()(pieces, packing, **given)
    with pytest.raises(ValueError, match="E130"):
        make(cross=True)(pieces, packing, **{**given, "memory": given["memory"][1:]})
    with pytest.raises(ValueError, match="E130"):
        make(cross=True)(pieces[:5], Packing.from_lengths([5]), **given)
    with pytest.raises(ValueError, match="E132.*8"):
        make()(pieces, packing, cache=Cache(2))
    with pytest.raises(ValueError, match="E107"):
        make()(torch.arange(33), Packing.from_lengths([33]))
    with pytest.raises(ValueError, match="E106"):
        make()(torch.arange(3), Packing.from_lengths([2]))
    cache = Cache(2)
    with torch.no_grad():
        make()(torch.arange(30), Packing.from_lengths([30]), cache=cache)
        with pytest.raises(ValueError, match="E107.*33"):
            make()(torch.arange(3), Packing.from_lengths([3]), cache=cache)
