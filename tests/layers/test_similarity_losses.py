"""The losses of vectors against loops that spell their formulas out."""

import math

import pytest
import torch
from torch.nn import functional

from spacy_llm_tasks.layers.similarity_losses import (
    angle_similarity,
    cosent,
    cosine_error,
    ranking,
)


def vectors(n, width=6, *, seed=0):
    torch.manual_seed(seed)
    return functional.normalize(torch.randn(n, width, dtype=torch.float64))


@pytest.mark.parametrize("gold", [[0.1, 0.9, 0.5, 0.5], [0.3], [0.2, 0.2, 0.2]])
def test_cosent(gold):
    similarity = torch.rand(len(gold), dtype=torch.float64)
    wrong = [
        math.exp(20 * float(similarity[j] - similarity[i]))
        for i in range(len(gold))
        for j in range(len(gold))
        if gold[i] > gold[j]
    ]
    found = cosent(similarity, torch.tensor(gold, dtype=torch.float64), scale=20)
    assert float(found) == pytest.approx(math.log(1 + sum(wrong)))


def test_cosent_stays_finite_and_has_a_gradient_without_order():
    similarity = torch.tensor([-1.0, 1.0], requires_grad=True)
    assert cosent(similarity, torch.tensor([1.0, 0.0]), scale=1e4).item() == pytest.approx(2e4)
    nothing = cosent(similarity, torch.tensor([0.5, 0.5]), scale=20)
    nothing.backward()
    assert nothing.item() == 0.0 and similarity.grad.tolist() == [0.0, 0.0]


def test_angle_similarity_is_the_product_of_complex_numbers():
    a, b = vectors(5), vectors(5, seed=1)
    found = angle_similarity(a, b)
    for k in range(5):
        left = torch.complex(a[k, :3], a[k, 3:])
        right = torch.complex(b[k, :3], b[k, 3:])
        product = (left * right.conj()).sum()
        assert float(found[k]) == pytest.approx(abs(float(product.real + product.imag)))
    torch.testing.assert_close(angle_similarity(a, a), torch.ones(5, dtype=torch.float64))


def test_cosine_error():
    found = cosine_error(torch.tensor([0.5, -0.2]), torch.tensor([1.0, 0.3]))
    assert float(found) == pytest.approx((0.25 + 0.25) / 2)


@pytest.mark.parametrize("n_negatives", [0, 3])
@pytest.mark.parametrize("known", [[], [(0, 2), (2, 0), (1, 3)]])
def test_ranking(n_negatives, known):
    a, b, c = vectors(4), vectors(4, seed=1), vectors(n_negatives, seed=2)
    related = torch.eye(4, 4 + n_negatives, dtype=torch.bool)
    for i, j in known:
        related[i, j] = True
    if n_negatives:
        related[3, 5] = True
    texts, total = torch.cat([b, c]), 0.0
    for i in range(4):
        row = [
            float(20 * a[i] @ texts[j]) for j in range(len(texts)) if j == i or not related[i, j]
        ]
        column = [float(20 * a[j] @ b[i]) for j in range(4) if j == i or not related[j, i]]
        own = float(20 * a[i] @ b[i])
        total += sum(math.log(sum(map(math.exp, side))) - own for side in (row, column))
    found = ranking(a, b, c, related=related, scale=20)
    assert float(found) == pytest.approx(total / 8)


def test_ranking_with_its_own_pairs_marked_or_not_is_the_same():
    a, b, none = vectors(3), vectors(3, seed=1), vectors(0)
    marked = ranking(a, b, none, related=torch.eye(3, dtype=torch.bool), scale=5)
    plain = ranking(a, b, none, related=torch.zeros(3, 3, dtype=torch.bool), scale=5)
    assert float(marked) == float(plain)


def test_ranking_of_duplicates_alone_teaches_nothing():
    a, b = vectors(3).requires_grad_(True), vectors(3, seed=1)
    loss = ranking(a, b, vectors(0), related=torch.ones(3, 3, dtype=torch.bool), scale=20)
    loss.backward()
    assert loss.item() == 0.0 and a.grad.abs().sum() == 0
