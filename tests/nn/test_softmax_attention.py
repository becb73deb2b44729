import pytest
import torch

from spacy_llm_tasks.nn import softmax_attention
from spacy_llm_tasks.nn.softmax_attention import ahead, attend


def naive(q, k, v, seen=None):
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    if seen is not None:
        scores = scores.masked_fill(~seen, float("-inf"))
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


def make(n_queries=9, n_keys=9, dtype=torch.float32):
    torch.manual_seed(0)
    sizes = (n_queries, n_keys, n_keys)
    return [torch.randn(3, 2, size, 8).to(dtype).requires_grad_() for size in sizes]


CASES = {
    "plain": {},
    "causal": {"causal": True},
    "mask": {"bias": (torch.arange(9) < torch.tensor([[9], [4], [1]]))[:, None, None]},
    "block": {"bias": ~ahead(9, 9, device=torch.device("cpu"))},
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_equals_the_formula(name, dtype):
    heads = make(dtype=dtype)
    seen = torch.ones(9, 9).tril().bool() if "causal" in CASES[name] else CASES[name].get("bias")
    weight = torch.randn(3, 9, 16)
    ours = attend(*heads, **CASES[name])
    exact = [part.detach().float().requires_grad_() for part in heads]
    wanted = naive(*exact, seen)
    assert ours.dtype == dtype and ours.shape == (3, 9, 16)
    rate = 1e-5 if dtype == torch.float32 else 2e-2
    assert (ours - wanted).norm() < rate * wanted.norm()
    pairs = zip(
        torch.autograd.grad((ours.float() * weight).sum(), heads),
        torch.autograd.grad((wanted * weight).sum(), exact),
        strict=True,
    )
    for found, expected in pairs:
        assert (found.float() - expected).norm() < rate * expected.norm()


def test_more_keys_than_queries():
    for dtype, rate in ((torch.float32, 1e-5), (torch.bfloat16, 2e-2)):
        q, k, v = make(3, 7, dtype)
        wanted = naive(*(part.float() for part in (q, k, v)))
        assert (attend(q, k, v) - wanted).norm() < rate * wanted.norm()


@pytest.mark.parametrize("name", CASES)
def test_dropout_falls_on_the_weights(name, monkeypatch):
    kept = 2.0 * (torch.arange(9) % 2)  # every second key, twice as much
    monkeypatch.setattr(softmax_attention, "apply_dropout", lambda x, rate: x * kept)
    heads = make()
    seen = torch.ones(9, 9).tril().bool() if "causal" in CASES[name] else CASES[name].get("bias")
    ours = attend(*heads, **CASES[name], dropout=0.5)
    q, k, v = heads
    wanted = naive(q, k, v * kept[:, None], seen)
    torch.testing.assert_close(ours, wanted, atol=1e-5, rtol=1e-5)
    weight = torch.randn(3, 9, 16)
    found = torch.autograd.grad((ours * weight).sum(), heads)
    expected = torch.autograd.grad((wanted * weight).sum(), heads)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_only_short_ones_in_bfloat16_or_with_dropout_store_their_weights(monkeypatch):
    stored = []
    own = softmax_attention._stored
    monkeypatch.setattr(
        softmax_attention, "_stored", lambda *args: stored.append(len(args)) or own(*args)
    )
    monkeypatch.setattr(softmax_attention, "LONGEST_STORED", 8)
    attend(*make(dtype=torch.float32))
    attend(*make(dtype=torch.bfloat16))
    attend(*make(), dropout=0.5)
    attend(*make(8, 8, torch.bfloat16), bias=torch.zeros(8, 8, dtype=torch.bfloat16))
    assert not stored
    attend(*make(8, 8, torch.bfloat16))
    attend(*make(8, 8), dropout=0.5)
    assert len(stored) == 2


def test_ahead():
    cpu = torch.device("cpu")
    assert ahead(2, 4, device=cpu).tolist() == [[False, False, False, True], [False] * 4]
    assert not ahead(1, 3, device=cpu).any()
