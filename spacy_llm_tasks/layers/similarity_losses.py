"""Losses that teach vectors to be near or far: one function each.

All take unit vectors or their cosines; `scale` is one over the temperature.
"""

import torch
from torch import Tensor
from torch.nn import functional


def cosent(similarity: Tensor, gold: Tensor, *, scale: float) -> Tensor:
    """Order: of two pairs, the one graded higher shall be more similar.

        log(1 + sum over i, j with gold_i > gold_j of exp(scale (similarity_j - similarity_i)))

    Only the order of the grades counts, as in the rank correlation that is reported. (CoSENT, Su
    2022, https://kexue.fm/archives/8847; the pairwise form of Sun et al. 2020, circle loss,
    https://arxiv.org/abs/2002.10857)

    similarity (Tensor): (K,) of each pair.
    gold (Tensor): (K,) grades.
    scale (float): How sharply.
    RETURNS (Tensor): A scalar; 0 if all grades are equal.
    """
    apart = scale * (similarity[None, :] - similarity[:, None])  # at [i, j]: j above i
    wrong = apart[gold[:, None] > gold[None, :]]
    return torch.logsumexp(torch.cat([wrong.new_zeros(1), wrong]), dim=0)


def angle_similarity(a: Tensor, b: Tensor) -> Tensor:
    """How near two vectors are as complex vectors, whose halves are real and imaginary parts.

    The inner product of the unit vectors is a complex number; its real part is the cosine, which is
    flat where vectors are nearly equal or opposite, its imaginary part is steep just there. The
    similarity is the absolute value of their sum. (AnglE, Li & Li 2023,
    https://arxiv.org/abs/2309.12871, section 3.4)

    a, b (Tensor): (K, D) unit vectors with even D.
    RETURNS (Tensor): (K,) for `cosent` in the cosine's place.
    """
    (a_re, a_im), (b_re, b_im) = a.chunk(2, dim=1), b.chunk(2, dim=1)
    real = (a_re * b_re + a_im * b_im).sum(dim=1)
    imaginary = (a_im * b_re - a_re * b_im).sum(dim=1)
    return (real + imaginary).abs()


def cosine_error(similarity: Tensor, gold: Tensor) -> Tensor:
    """Mean squared error of the cosine against the grade.

    similarity (Tensor): (K,) cosines.
    gold (Tensor): (K,) grades, 0 to 1.
    RETURNS (Tensor): A scalar.
    """
    return functional.mse_loss(similarity, gold)


def ranking(
    anchors: Tensor, positives: Tensor, negatives: Tensor, *, related: Tensor, scale: float
) -> Tensor:
    """Each anchor shall find its own positive among those of the whole batch, and the negatives.

    Softmax over similarities, the right one being the anchor's own; in both directions, so that
    each positive finds its anchor too. (Multiple negatives ranking: Henderson et al. 2017,
    https://arxiv.org/abs/1705.00652, section 4.4; with dropout as the only difference between
    anchor and positive it is SimCSE, Gao et al. 2021, https://arxiv.org/abs/2104.08821)

    anchors, positives (Tensor): (K, D) unit vectors.
    negatives (Tensor): (M, D) unit vectors of texts that belong to no anchor, or to few; M may be
        0.
    related (Tensor): (K, K + M) bool, at [i, j] whether anchor i is known to be near text j of the
        positives and negatives: such a pair is never pushed apart.
    scale (float): How sharply.
    RETURNS (Tensor): A scalar.
    """
    right = torch.arange(len(anchors), device=anchors.device)
    others = related.clone()
    others[right, right] = False
    scores = scale * anchors @ torch.cat([positives, negatives]).T
    scores = scores.masked_fill(others, -torch.inf)
    forward = functional.cross_entropy(scores, right)
    backward = functional.cross_entropy(scores[:, : len(anchors)].T, right)
    return (forward + backward) / 2
