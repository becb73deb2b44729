"""From relation scores to the relations that are predicted, each with its log-odds."""

import numpy as np
import torch
from torch import Tensor

from .relation_losses import one_of_both

# Log-probabilities nearer to 0 than this have no odds that a float could hold.
SUREST = -1e-6


def labels_above_threshold(
    scores: Tensor, allowed: np.ndarray, twins: np.ndarray, *, undirected: np.ndarray
) -> np.ndarray:
    """Any number of labels for each ordered pair: those that score above the threshold class.

    scores (Tensor): (P, 1 + L) on the CPU, the threshold class in column 0.
    allowed (ndarray): (P, L) bool, which labels may hold at all.
    twins (ndarray): (P,) the reverse of each pair.
    undirected (ndarray): (L,) bool, labels whose two directions are scored together.
    RETURNS (ndarray): (P, L) how far the label is above the threshold, which is the log-odds of the
        one against the other; -inf for what is not predicted.
    """
    margins = (scores[:, 1:] - scores[:, :1]).numpy()
    if undirected.any():
        margins[:, undirected] = (margins + margins[twins])[:, undirected] / 2
    return np.where(allowed & (margins > 0), margins, -np.inf)


def one_label(
    scores: Tensor, allowed: np.ndarray, twins: np.ndarray, *, undirected: np.ndarray
) -> np.ndarray:
    """At most one label for each pair of spans, in one direction: the likeliest of what is allowed,
    if it is likelier than none.

    scores (Tensor): (P, 1 + L) on the CPU, "no relation" in column 0.
    allowed (ndarray): (P, L) bool, which labels may hold at all. The others take no part.
    twins (ndarray): (P,) the reverse of each pair.
    undirected (ndarray): (L,) bool, labels whose two directions are one thing.
    RETURNS (ndarray): (P, L) the log-odds of the label against all else that may hold, which may be
        negative; -inf for what is not predicted. One without a direction stands in both.
    """
    n_labels = allowed.shape[1]
    chosen = np.full(allowed.shape, -np.inf, dtype=np.float32)
    if not len(allowed):
        return chosen
    shut = torch.from_numpy(np.pad(~allowed, ((0, 0), (1, 0))))
    both = one_of_both(scores.masked_fill(shut, -torch.inf), torch.from_numpy(twins))
    there, back = both[:, 1 : 1 + n_labels], both[:, 1 + n_labels :]
    columns = torch.from_numpy(np.flatnonzero(undirected))
    there[:, columns] = torch.logaddexp(there[:, columns], back[:, columns])
    back[:, columns] = -torch.inf
    likely = both.numpy()
    # Each pair of spans is decided once, in the direction in which it is numbered first.
    ahead = np.flatnonzero(np.arange(len(twins)) < twins)
    best = likely[ahead].argmax(axis=1)
    sure = np.minimum(likely[ahead, best], SUREST)
    odds = sure - np.log1p(-np.exp(sure))
    pair = np.where(best > n_labels, twins[ahead], ahead)
    label = (best - 1) % n_labels
    found = best > 0
    chosen[pair[found], label[found]] = odds[found]
    both = found & undirected[label]
    chosen[twins[pair[both]], label[both]] = odds[both]
    return chosen
