"""Losses of relation scores: many labels with a learned threshold, or one label for each pair."""

import torch
from torch import Tensor
from torch.nn import functional


def threshold_loss(scores: Tensor, gold: Tensor) -> Tensor:
    """Push the right labels of each pair above the threshold class, and the others below it.

        -sum over right r of log(e^s_r / sum over right r' and T of e^s)
        -log(e^s_T / sum over wrong r' and T of e^s)

    (adaptive thresholding: Zhou et al. 2021, https://arxiv.org/abs/2010.11304, section 4.1)

    scores (Tensor): (P, 1 + L), the threshold class T in column 0.
    gold (Tensor): (P, L) bool.
    RETURNS (Tensor): A scalar, the mean over pairs.
    """
    shut = torch.finfo(scores.dtype).min / 2
    right = functional.pad(gold, (1, 0), value=True)
    wrong = functional.pad(~gold, (1, 0), value=True)
    above = scores.masked_fill(~right, shut).log_softmax(dim=1)[:, 1:]
    below = scores.masked_fill(~wrong, shut).log_softmax(dim=1)[:, 0]
    return -(above.masked_fill(~gold, 0.0).sum(dim=1) + below).mean()


def one_of_both(scores: Tensor, twins: Tensor) -> Tensor:
    """Log-probabilities of all that a pair of spans may stand in, where that is one thing at most.

    scores (Tensor): (P, 1 + L) of ordered pairs, "no relation" in column 0.
    twins (Tensor): (P,) the reverse of each pair.
    RETURNS (Tensor): (P, 1 + 2 L): none, the labels from head to tail, the labels from tail to
        head. "None" is scored by both directions together.
    """
    other = scores[twins]
    none = (scores[:, :1] + other[:, :1]) / 2
    return torch.cat([none, scores[:, 1:], other[:, 1:]], dim=1).log_softmax(dim=1)


def exclusive_loss(scores: Tensor, gold: Tensor, twins: Tensor) -> Tensor:
    """Cross-entropy where two spans stand in one relation at most, in one direction.

    Where several are right, it is enough to find one: a label without a direction is right both
    ways, and hand-made data may hold more than one against the rule.

    scores (Tensor): (P, 1 + L).
    gold (Tensor): (P, L) bool.
    twins (Tensor): (P,) the reverse of each pair.
    RETURNS (Tensor): A scalar, the mean over pairs.
    """
    both = torch.cat([gold, gold[twins]], dim=1)
    right = torch.cat([~both.any(dim=1, keepdim=True), both], dim=1)
    likely = one_of_both(scores, twins).masked_fill(~right, -torch.inf)
    return -likely.logsumexp(dim=1).mean()
