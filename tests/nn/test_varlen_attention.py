"""Kernels for packed rows on a GPU; on a CPU, that nobody asks for them."""

import pytest
import torch
from torch.nn import functional as F

from spacy_llm_tasks.nn.packing import Packing
from spacy_llm_tasks.nn.varlen_attention import KERNELS, _kernel, attend_packed, suits

LENGTHS = [5, 1, 64, 33, 33, 2, 130]
MEMORY = [7, 9, 1, 40, 3, 64, 12]


def draw(n, n_heads=3, width=16, dtype=torch.float32):
    generator = torch.Generator().manual_seed(n)
    heads = torch.randn(n, n_heads, width, generator=generator)
    return heads.cuda().to(dtype).requires_grad_()


def plain(q, k, v, lengths, memory, causal):
    """One sequence at a time."""
    parts = [
        F.scaled_dot_product_attention(*(x.transpose(0, 1) for x in qkv), is_causal=causal)
        for qkv in zip(q.split(lengths), k.split(memory), v.split(memory), strict=True)
    ]
    return torch.cat(parts, dim=1).transpose(0, 1).flatten(1)


def test_a_cpu_has_groups():
    assert not suits(torch.zeros(4, 2, 8))


@pytest.mark.gpu
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_equals_one_sequence_at_a_time(dtype, causal):
    packing = Packing.from_lengths(LENGTHS, device="cuda")
    q, k, v = (draw(packing.n_rows + i, dtype=dtype)[i:] for i in range(3))
    assert suits(q)
    found = attend_packed(q, k, v, packing, causal=causal)
    expected = plain(q, k, v, LENGTHS, LENGTHS, causal)
    exact = dtype == torch.float32
    rounding = {"atol": 2e-5 if exact else 0.03, "rtol": 1e-4 if exact else 0.05}
    torch.testing.assert_close(found, expected, **rounding)
    ours, naive = (
        torch.autograd.grad(out.float().sin().sum(), [q, k, v]) for out in (found, expected)
    )
    for one, other in zip(ours, naive, strict=True):
        torch.testing.assert_close(one, other, **rounding)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_queries_and_memory_of_different_lengths(dtype):
    packing, memory = (Packing.from_lengths(x, device="cuda") for x in (LENGTHS, MEMORY))
    q = draw(packing.n_rows, dtype=dtype)
    k, v = draw(memory.n_rows, dtype=dtype), draw(memory.n_rows + 1, dtype=dtype)[1:]
    found = attend_packed(q, k, v, packing, memory)
    atol = 2e-5 if dtype == torch.float32 else 0.03
    torch.testing.assert_close(found, plain(q, k, v, LENGTHS, MEMORY, False), atol=atol, rtol=0.05)


@pytest.mark.gpu
def test_dropout_keeps_the_mean_and_has_its_gradient():
    packing = Packing.from_lengths([256, 100, 31, 256], device="cuda")
    q, k, _ = (draw(packing.n_rows + i, dtype=torch.bfloat16)[i:].detach() for i in range(3))
    assert suits(q, dropout=0.3) and not suits(q.float(), dropout=0.3)
    ones = torch.ones_like(q).requires_grad_()
    dropped = attend_packed(q, k, ones, packing, dropout=0.3)
    assert dropped.float().std() > 0.01 and abs(float(dropped.float().mean()) - 1) < 0.02
    # Each value's gradient is the sum of its weights, and all weights of a query's row together
    # are what it mixed.
    (gradient,) = torch.autograd.grad(dropped.float().sum(), ones)
    mixed = [part.float().sum() for part in dropped.split(packing.sizes.tolist())]
    weights = [part.float().sum() for part in gradient.split(packing.sizes.tolist())]
    torch.testing.assert_close(torch.stack(weights), torch.stack(mixed), rtol=0.01, atol=1.0)


@pytest.mark.gpu
def test_which_kernel():
    device = torch.device("cuda", 0)
    assert _kernel(device, torch.float32, 32) == "efficient"
    assert _kernel(device, torch.bfloat16, 32) in KERNELS
    assert _kernel(device, torch.float64, 32) == ""


@pytest.mark.gpu
def test_autocast_rounds_what_it_is_given():
    packing = Packing.from_lengths(LENGTHS, device="cuda")
    q, k, v = (draw(packing.n_rows + i)[i:].detach() for i in range(3))
    with torch.autocast("cuda", dtype=torch.bfloat16):
        found = attend_packed(q, k.bfloat16(), v, packing)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), attend_packed(q, k, v, packing), atol=0.03, rtol=0.05)
