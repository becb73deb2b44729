import pytest
import torch
from torch.nn import functional as F

from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.nn.packing import Packing
from spacy_llm_tasks.nn.piece_head import PieceHead

from .reference import bend


def make(*, transform=True, bias=True, **settings):
    torch.manual_seed(1)
    config = TransformerConfig(
        **{"n_pieces": 30, "width": 16, "n_heads": 2, "depth": 1, "dropout": 0.0, **settings}
    )
    head = PieceHead(config, transform=transform, bias=bias)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_(std=0.5)
    return head, torch.randn(11, 16, requires_grad=True), torch.randn(30, config.embedding_width)


def names_of(head):
    return sorted(name for name, _ in head.named_parameters())


@pytest.mark.parametrize(
    "activation, bent",
    [("gelu", "gelu"), ("gelu_tanh", "gelu_tanh"), ("relu", "relu"), ("geglu", "gelu")],
)
@pytest.mark.parametrize("embedding_width", [16, 8])
def test_transform(activation, bent, embedding_width):
    head, rows, table = make(activation=activation, embedding_width=embedding_width)
    y = bend(F.linear(rows, head.dense.weight, head.dense.bias), bent)
    y = F.layer_norm(y, (embedding_width,), head.norm.weight, head.norm.bias, eps=1e-12)
    torch.testing.assert_close(head(rows, table), y @ table.T + head.bias, atol=1e-5, rtol=1e-5)
    assert head.dense.weight.shape == (embedding_width, 16)


def test_without_transform():
    head, rows, table = make(transform=False, bias=False)
    torch.testing.assert_close(head(rows, table), rows @ table.T)
    assert names_of(head) == []
    head, rows, table = make(transform=False, bias=False, embedding_width=8)
    torch.testing.assert_close(head(rows, table), rows @ head.project.weight.T @ table.T)
    assert names_of(head) == ["project.weight"]


def test_parameter_names():
    head, _, _ = make()
    names = ["bias", "dense.bias", "dense.weight", "norm.bias", "norm.weight"]
    assert names_of(head) == names
    head, _, _ = make(**{"bias": True, "activation": "geglu", "norm": "rms"})
    assert names_of(head) == names[:3] + names[4:]


def test_initial_weights():
    head = PieceHead(TransformerConfig(n_pieces=9, width=384), transform=True, bias=True)
    assert head.dense.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert not head.bias.any() and not head.dense.bias.any() and (head.norm.weight == 1).all()


@pytest.mark.parametrize("transform", [True, False])
def test_the_loss_is_that_of_the_logits(transform):
    head, rows, table = make(transform=transform, embedding_width=8)
    table.requires_grad_()
    targets = torch.randint(0, 30, (11,))
    logits = head(rows, table)
    leaves = [rows, table, *head.parameters()]
    naive = F.cross_entropy(logits, targets, reduction="sum")
    loss = head.loss_sum(rows, table, targets)
    torch.testing.assert_close(loss, naive)
    total, hits = head.score(rows, table, targets)
    assert torch.equal(total, loss) and hits == (logits.argmax(1) == targets).sum()
    pairs = zip(torch.autograd.grad(loss, leaves), torch.autograd.grad(naive, leaves), strict=True)
    for found, wanted in pairs:
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_a_tied_table_gets_both_gradients():
    """From the embeddings and from the head, as plain autograd gives them."""
    head, _, _ = make()
    encoder = TransformerEncoder(head.config).eval()
    pieces, packing = torch.arange(14), Packing.from_lengths([9, 5])
    targets = (pieces * 7) % 30

    def gradient(loss_of):
        encoder.zero_grad()
        loss_of(encoder(pieces, packing).last, encoder.piece_table).backward()
        return encoder.piece_table.grad.clone()

    ours = gradient(lambda rows, table: head.loss_sum(rows, table, targets))
    naive = gradient(
        lambda rows, table: F.cross_entropy(head(rows, table), targets, reduction="sum")
    )
    torch.testing.assert_close(ours, naive, atol=1e-5, rtol=1e-4)


def test_autocast():
    head, rows, table = make()
    targets = torch.randint(0, 30, (11,))
    exact = head.loss_sum(rows, table, targets)
    with torch.autocast("cpu", torch.bfloat16):
        assert head(rows, table).dtype == torch.bfloat16
        loss = head.loss_sum(rows, table, targets)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), rel=2e-2)
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())


def test_a_table_of_another_model():
    head, rows, table = make()
    with pytest.raises(ValueError, match=r"E128.*\(29, 16\).*\(30, 16\)"):
        head(rows, table[1:])
