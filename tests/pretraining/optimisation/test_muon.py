import numpy as np
import pytest
import torch
from torch import nn

from spacy_llm_tasks.pretraining.optimisation import muon
from spacy_llm_tasks.pretraining.optimisation.muon import Muon, orthogonalize

SHAPES = [(16, 16), (24, 8), (8, 24), (1, 5), (5, 1)]


def naive_newton_schulz(matrix):
    """Straight from the paper, in float64, one matrix at a time."""
    x = np.asarray(matrix, dtype=np.float64)
    x = x / np.sqrt((x**2).sum())
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if tall else x


def naive_muon(weights, gradients, *, rate, momentum, decay, parts):
    """The weights after one step for each gradient, in float64."""
    w, b = weights.astype(np.float64), np.zeros_like(weights, dtype=np.float64)
    for g in gradients:
        b = momentum * b + g
        u = g + momentum * b
        made = []
        for part in np.split(u, parts):
            scale = np.sqrt(max(1, part.shape[0] / part.shape[1]))
            made.append(scale * naive_newton_schulz(part))
        w = (1 - rate * decay) * w - rate * np.concatenate(made)
    return w


def stepped(optimizer, parameters, gradients):
    for step in gradients:
        for parameter, gradient in zip(parameters, step, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()


@pytest.mark.parametrize("shape", SHAPES)
def test_newton_schulz_equals_a_naive_reference(shape):
    torch.manual_seed(0)
    matrices = torch.randn(3, *shape)
    made = orthogonalize(matrices)
    expected = np.stack([naive_newton_schulz(m) for m in matrices.numpy()])
    assert made.shape == matrices.shape and made.is_contiguous()
    np.testing.assert_allclose(made.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("dtype, room", [(torch.float32, 0.0), (torch.bfloat16, 0.03)])
@pytest.mark.parametrize("shape", [(32, 32), (96, 32), (32, 96)])
def test_singular_values_come_near_to_one_and_vectors_stay(shape, dtype, room):
    torch.manual_seed(0)
    values = torch.logspace(0, -1.5, 32)
    left, _ = torch.linalg.qr(torch.randn(shape[0], 32))
    right, _ = torch.linalg.qr(torch.randn(shape[1], 32))
    made = orthogonalize(((left * values) @ right.T)[None], dtype=dtype)[0]
    singular = torch.linalg.svdvals(made)
    # the band in which five steps of these coefficients leave them
    assert singular.min() > 0.67 - room and singular.max() < 1.21 + room
    inner = left.T @ made @ right  # diagonal, if the singular vectors are those it had
    assert (inner - inner.diag().diag()).abs().max() < (1e-4 if not room else 0.05)


def test_it_does_not_matter_how_large_a_matrix_is():
    matrix = torch.randn(1, 6, 4)
    torch.testing.assert_close(orthogonalize(matrix * 1e-6), orthogonalize(matrix * 1e6))
    assert not orthogonalize(torch.zeros(1, 6, 4)).any()


@pytest.mark.parametrize("shape, parts", [((12, 12), 1), ((36, 12), 3), ((40, 6), 2), ((6, 20), 1)])
def test_steps_equal_a_naive_reference(shape, parts):
    torch.manual_seed(1)
    start, gradients = torch.randn(shape), torch.randn(4, *shape)
    parameter = nn.Parameter(start.clone())
    settings = {"momentum": 0.9, "weight_decay": 0.1, "parts": parts}
    optimizer = Muon([parameter], lr=0.05, dtype=torch.float32, **settings)
    stepped(optimizer, [parameter], gradients[:, None])
    expected = naive_muon(
        start.numpy(), gradients.numpy(), rate=0.05, momentum=0.9, decay=0.1, parts=parts
    )
    np.testing.assert_allclose(parameter.detach().numpy(), expected, atol=1e-5)


def test_stacked_matrices_are_stepped_like_separate_ones():
    torch.manual_seed(2)
    start, gradients = torch.randn(3, 8, 8), torch.randn(2, 3, 8, 8)
    stacked = nn.Parameter(start.flatten(0, 1).clone())
    apart = [nn.Parameter(part.clone()) for part in start]
    stepped(Muon([stacked], lr=0.1, parts=3), [stacked], gradients.flatten(1, 2)[:, None])
    stepped(Muon(apart, lr=0.1), apart, gradients)
    torch.testing.assert_close(stacked.detach(), torch.cat(apart).detach())
    whole = nn.Parameter(start.flatten(0, 1).clone())
    stepped(Muon([whole], lr=0.1), [whole], gradients.flatten(1, 2)[:, None])
    assert not torch.allclose(stacked, whole, atol=0.01)


def test_stacks_of_any_size_give_the_same(monkeypatch):
    torch.manual_seed(3)
    start, gradients = torch.randn(5, 6, 4), torch.randn(2, 5, 6, 4)
    results = []
    for most in (1 << 25, 50, 1):
        monkeypatch.setattr(muon, "MOST_NUMBERS", most)
        parameters = [nn.Parameter(part.clone()) for part in start]
        stepped(Muon(parameters, lr=0.1, dtype=torch.float32), parameters, gradients)
        results.append(torch.stack([p.detach() for p in parameters]))
    torch.testing.assert_close(results[0], results[1])
    torch.testing.assert_close(results[0], results[2])


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
@pytest.mark.parametrize("shape", [(16, 16), (48, 16), (16, 48)])
def test_it_agrees_with_the_optimizer_of_torch(shape):
    torch.manual_seed(4)
    start, gradients = torch.randn(shape), torch.randn(3, *shape)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    optimizer = Muon([ours], lr=0.02, weight_decay=0.1, dtype=torch.bfloat16)
    stepped(optimizer, [ours], gradients[:, None])
    reference = torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, momentum=0.95)
    stepped(reference, [theirs], gradients[:, None])
    # theirs divides by the norm in bfloat16
    assert (ours - theirs).abs().max() < 0.03 * (ours - start).abs().max()


def test_parameters_without_gradients_stay():
    parameter, other = nn.Parameter(torch.ones(4, 4)), nn.Parameter(torch.ones(4, 4))
    optimizer = Muon([parameter, other], lr=0.1, weight_decay=0.5)
    parameter.grad = torch.zeros(4, 4)
    optimizer.step()
    torch.testing.assert_close(parameter.detach(), torch.full((4, 4), 0.95))
    assert torch.equal(other.detach(), torch.ones(4, 4))
    assert other not in optimizer.state


@pytest.mark.parametrize("shape, parts", [((4,), 1), ((2, 3, 4), 1), ((7, 4), 3)])
def test_what_is_no_matrix_is_refused(shape, parts):
    with pytest.raises(ValueError, match="E743"):
        Muon([nn.Parameter(torch.ones(shape))], lr=0.1, parts=parts)


def test_a_closure_is_run_with_gradients():
    parameter = nn.Parameter(torch.eye(3))

    def closure():
        loss = parameter.square().sum()
        loss.backward()
        return loss.item()

    assert Muon([parameter], lr=0.1).step(closure) == 3.0
    assert not torch.equal(parameter.detach(), torch.eye(3))
