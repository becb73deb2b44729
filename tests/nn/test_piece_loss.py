import pytest
import torch
from torch.nn import functional as F

from spacy_llm_tasks.nn import kernels, piece_loss


@pytest.fixture(params=["plain", "onednn"])
def kernel(request):
    if request.param == "onednn" and not kernels.available():
        pytest.skip("this torch has no oneDNN")
    kernels.use(request.param)
    yield request.param
    kernels.use(None)


@pytest.fixture
def small_chunks(monkeypatch):
    """Rows and pieces in many chunks, the last ones not full."""
    monkeypatch.setattr(piece_loss, "CELLS_ON_CPU", 64 * 50)
    monkeypatch.setattr(piece_loss, "ROW_STEP", 16)
    monkeypatch.setattr(piece_loss, "PIECES_ON_CPU", 20)


def make(n=83, n_pieces=50, width=12, dtype=torch.float32):
    torch.manual_seed(n)
    rows = torch.randn(n, width, dtype=dtype, requires_grad=True)
    table = torch.randn(n_pieces, width, dtype=dtype, requires_grad=True)
    bias = torch.randn(n_pieces, dtype=dtype, requires_grad=True)
    return rows, table, bias, torch.randint(0, n_pieces, (n,))


def expected_of(rows, table, bias, targets):
    logits = rows @ table.T if bias is None else rows @ table.T + bias
    return F.cross_entropy(logits, targets, reduction="sum"), logits.argmax(1) == targets


def compare(rows, table, bias, targets, **tolerance):
    ours, hits = piece_loss.piece_loss(rows, table, bias, targets)
    naive, right = expected_of(rows, table, bias, targets)
    torch.testing.assert_close(ours, naive, **tolerance)
    assert hits.item() == right.sum().item() and hits.dtype == torch.int64
    leaves = [t for t in (rows, table, bias) if t is not None and t.requires_grad]
    # a mean over something else: the gradient from above must reach every part
    pairs = zip(
        torch.autograd.grad(ours / 7, leaves), torch.autograd.grad(naive / 7, leaves), strict=True
    )
    for found, wanted in pairs:
        torch.testing.assert_close(found, wanted, **tolerance)


@pytest.mark.parametrize("n", [1, 16, 83, 200])
def test_equals_cross_entropy(n, kernel):
    compare(*make(n))


@pytest.mark.parametrize("n", [1, 64, 83, 200])
def test_equals_cross_entropy_in_chunks(n, kernel, small_chunks):
    compare(*make(n))


def test_without_bias_and_with_frozen_parts(kernel, small_chunks):
    rows, table, bias, targets = make()
    compare(rows, table, None, targets)
    compare(rows.detach(), table, bias, targets)
    compare(rows, table.detach(), bias.detach(), targets)


def test_rows_that_are_not_contiguous(kernel, small_chunks):
    rows, table, bias, targets = make()
    wide = torch.randn(83, 24)
    compare(wide[:, ::2].requires_grad_(), table, bias, targets)
    compare(rows, table.T.contiguous().T.detach().requires_grad_(), bias, targets)


def test_gradients_match_finite_differences(small_chunks):
    rows, table, bias, targets = make(n=20, n_pieces=21, width=3, dtype=torch.float64)
    torch.autograd.gradcheck(
        lambda *parts: piece_loss.piece_loss(*parts, targets)[0], (rows, table, bias)
    )


def test_extreme_logits():
    """A certain and a hopeless prediction: no overflow, no logarithm of zero."""
    rows = torch.tensor([[300.0], [300.0]], requires_grad=True)
    table = torch.tensor([[1.0], [-1.0], [0.0]], requires_grad=True)
    compare(rows, table, None, torch.tensor([0, 1]))
    loss, hits = piece_loss.piece_loss(rows, table, None, torch.tensor([0, 1]))
    assert loss.item() == 600 and hits.item() == 1


def test_no_gradients_are_computed_where_none_are_needed(monkeypatch):
    rows, table, bias, targets = make()
    naive, _ = expected_of(rows, table, bias, targets)

    def fail(*args):
        raise RuntimeError

    monkeypatch.setattr(piece_loss._PieceLoss, "forward", fail)
    with torch.no_grad():
        loss, _ = piece_loss.piece_loss(rows, table, bias, targets)
    torch.testing.assert_close(loss, naive.detach())
    assert not loss.requires_grad


def test_no_rows():
    rows, table, bias, targets = make(n=4)
    loss, hits = piece_loss.piece_loss(rows[:0], table, bias, targets[:0])
    loss.backward()
    assert loss.item() == 0 and hits.item() == 0
    assert not table.grad.any() and not bias.grad.any()


@pytest.mark.parametrize("kind", ["autocast", "weights"])
def test_bfloat16(kind, small_chunks):
    """Products in bfloat16, the loss in float32: as near as rounding the inputs once."""
    rows, table, bias, targets = make(n=300)
    exact = torch.autograd.grad(expected_of(rows, table, bias, targets)[0], (rows, table, bias))
    wanted = expected_of(rows, table, bias, targets)[0]
    if kind == "weights":
        rows, table, bias = (t.detach().bfloat16().requires_grad_() for t in (rows, table, bias))
    with torch.autocast("cpu", torch.bfloat16, enabled=kind == "autocast"):
        loss, _ = piece_loss.piece_loss(rows, table, bias, targets)
    assert loss.dtype == torch.float32
    assert abs(loss.item() / wanted.item() - 1) < 5e-3
    for leaf, found, naive in zip(
        (rows, table, bias), torch.autograd.grad(loss, (rows, table, bias)), exact, strict=True
    ):
        assert found.dtype == leaf.dtype
        assert (found - naive).norm() < 2e-2 * naive.norm()
