import cmath

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from spacy_llm_tasks.nn import rotation
from spacy_llm_tasks.nn.packing import Packing
from spacy_llm_tasks.nn.positions import Rotary
from spacy_llm_tasks.nn.rotation import rotate, rotate_pairs


def draw(*shape, **options):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), **options)


def waves(n_rows, half, dtype=torch.float32):
    angles = draw(n_rows, half, dtype=torch.float64)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def plain(qkv, cos, sin):
    turned = rotate_pairs(qkv[:, :2], cos[:, None, None], sin[:, None, None])
    return torch.cat([turned, qkv[:, 2:]], dim=1)


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(rotation, "CELLS_ON_CPU", 60)


@pytest.mark.parametrize("requires_grad", [True, False])
def test_turns_complex_numbers(requires_grad):
    qkv = draw(4, 3, 2, 6)
    angles = draw(4, 3)
    found = rotate(qkv.clone().requires_grad_(requires_grad), angles.cos(), angles.sin())
    for row in range(4):
        for part in range(3):
            for head in range(2):
                before, after = qkv[row, part, head], found[row, part, head].detach()
                for i in range(3):
                    number = complex(before[i], before[i + 3])
                    if part < 2:
                        number *= cmath.exp(1j * angles[row, i].item())
                    assert complex(after[i], after[i + 3]) == pytest.approx(number, abs=1e-6)


@pytest.mark.parametrize(
    "n_rows, n_heads, width", [(70, 4, 16), (1, 1, 2), (129, 3, 34), (0, 2, 4)]
)
def test_equals_plain_autograd(n_rows, n_heads, width, small_parts):
    qkv = draw(n_rows, 3, n_heads, width).requires_grad_()
    cos, sin = waves(n_rows, width // 2)
    g = draw(n_rows, 3, n_heads, width)
    results = []
    for function in (rotate, plain):
        y = function(qkv, cos, sin)
        results.append((y, *torch.autograd.grad(y, qkv, g)))
    for ours, naive in zip(*results, strict=True):
        torch.testing.assert_close(ours, naive, rtol=1e-6, atol=5e-7)
        assert torch.equal(ours[:, 2], naive[:, 2])  # values


def test_gradients_match_finite_differences(small_parts):
    cos, sin = waves(11, 3, torch.float64)
    qkv = draw(11, 3, 2, 6, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: rotate(x, cos, sin), qkv)
    assert torch.autograd.gradgradcheck(lambda x: rotate(x, cos, sin), qkv)


def test_inputs_and_gradients_of_any_layout(small_parts):
    cos, sin = waves(9, 4)
    leaf = draw(8, 2, 3, 9).permute(3, 2, 1, 0).requires_grad_()
    above = draw(1, 3, 2, 8).expand(9, 3, 2, 8)
    ours, naive = (
        torch.autograd.grad(function(leaf, cos, sin), leaf, above)[0]
        for function in (rotate, plain)
    )
    torch.testing.assert_close(ours, naive)


def test_in_bfloat16_it_rounds_no_more_than_the_plain_way():
    cos, sin = waves(200, 32)
    exact = draw(200, 3, 4, 64).bfloat16().requires_grad_()
    waves_16 = cos.bfloat16(), sin.bfloat16()
    wanted = plain(exact.double(), *(wave.double() for wave in waves_16))
    ours, naive = (function(exact, *waves_16) for function in (rotate, plain))
    assert ours.dtype == torch.bfloat16
    assert (ours - wanted).norm() <= (naive - wanted).norm() < 5e-3 * wanted.norm()


def test_recomputed(small_parts):
    cos, sin = waves(9, 4)
    qkv = draw(9, 3, 2, 8).requires_grad_()
    kept = rotate(qkv, cos, sin)
    again = checkpoint(rotate, qkv, cos, sin, use_reentrant=False)
    assert torch.equal(kept, again)
    assert torch.equal(
        *(torch.autograd.grad(y.sin().sum(), qkv, retain_graph=True)[0] for y in (kept, again))
    )


def test_the_plain_way_without_gradients(monkeypatch):
    monkeypatch.setattr(rotation, "_Rotation", None)
    cos, sin = waves(9, 4)
    qkv = draw(9, 3, 2, 8)
    assert torch.equal(rotate(qkv, cos, sin), plain(qkv, cos, sin))
    with torch.inference_mode():
        assert torch.equal(rotate(qkv.requires_grad_(), cos, sin), plain(qkv, cos, sin))


def test_compiled_as_one_graph():
    """A compiler is given the plain way, in which it finds all there is to join."""
    cos, sin = waves(9, 4)
    qkv = draw(9, 3, 2, 8).requires_grad_()
    compiled = torch.compile(rotate, backend="eager", fullgraph=True)
    ours, naive = (
        torch.autograd.grad(function(qkv, cos, sin).sin().sum(), qkv)[0]
        for function in (compiled, plain)
    )
    assert torch.equal(ours, naive)


@pytest.mark.gpu
def test_on_a_gpu():
    cos, sin = (wave.cuda() for wave in waves(70, 8))
    qkv = draw(70, 3, 4, 16).cuda().requires_grad_()
    ours, naive = (
        torch.autograd.grad(function(qkv, cos, sin).sin().sum(), qkv)[0]
        for function in (rotate, plain)
    )
    torch.testing.assert_close(ours, naive)


@pytest.mark.parametrize("lengths", [[7, 1, 30, 12], [30], [1], []])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_positions_that_sequences_share_have_the_same_angles_to_the_bit(lengths, dtype):
    rotary = Rotary(10)
    for packing in (Packing.from_lengths(lengths), Packing.from_lengths(lengths[:1]).after(100)):
        angles = packing.positions[:, None] * rotary.frequencies
        found = rotary._waves(packing, dtype)
        for wave, wanted in zip(found, (angles.cos(), angles.sin()), strict=True):
            assert wave.dtype == dtype and torch.equal(wave, wanted.to(dtype))


def test_rotary_turns_all_three_as_it_turns_each():
    rotary, packing = Rotary(8), Packing.from_lengths([5, 3])
    qkv = draw(8, 3, 2, 8)
    turned = rotary.turn(qkv, packing)
    assert torch.equal(turned[:, 0], rotary(qkv[:, 0], packing))
    assert torch.equal(turned[:, 1], rotary(qkv[:, 1], packing))
    assert torch.equal(turned[:, 2], qkv[:, 2])
