"""Loss and decoding of a band of span scores, vectorised over the batch."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from .span_head import NO_SPAN, shifted


@dataclass(frozen=True)
class SpanTargets:
    """Gold spans of a batch, in rows of its packed tokens.

    lengths (ndarray): (B,) tokens of each doc.
    first, offset, label (ndarray): (G,) first token, last minus first token and label of each span.
    annotated (ndarray): (N,) bool, which tokens have gold annotation at all.
    """

    lengths: np.ndarray
    first: np.ndarray
    offset: np.ndarray
    label: np.ndarray
    annotated: np.ndarray


@dataclass(frozen=True)
class Spans:
    """Scored spans in rows of the packed tokens of a batch: (K,) each; `last` is included."""

    first: np.ndarray
    last: np.ndarray
    label: np.ndarray
    score: np.ndarray

    def take(self, chosen: np.ndarray) -> "Spans":
        """RETURNS (Spans): Some of them, by number or mask."""
        return Spans(self.first[chosen], self.last[chosen], self.label[chosen], self.score[chosen])


def span_loss(logits: Tensor, targets: SpanTargets) -> Tensor:
    """Softplus of the best wrong span plus softplus of the worst right one, per doc and label.

    With soft maxima: log(1 + sum of exp over wrong spans) + log(1 + sum of exp(-s) over right
    ones), which pulls right spans above 0 and pushes wrong ones below it without weights for the
    many wrong ones (Su et al. 2022, arXiv 2208.02955).

    logits (Tensor): (N, S, L) scores.
    targets (SpanTargets): The gold spans; those longer than S tokens are left out.
    RETURNS (Tensor): The mean over labels and annotated docs, so that neither a task with many
        labels drowns the others that train the same encoder, nor docs that were annotated for
        other tasks thin it out.
    """
    n_rows, size, n_labels = logits.shape
    kept = targets.offset < size
    index = [torch.from_numpy(a[kept]).to(logits.device) for a in _cells(targets)]
    first, offset, label = index
    n_docs = len(targets.lengths)
    owner = np.repeat(np.arange(n_docs), targets.lengths)
    docs = torch.from_numpy(owner).to(logits.device)

    # Spans that touch a token without annotation teach nothing.
    known = torch.from_numpy(targets.annotated).to(logits)
    covered = shifted(known.unsqueeze(1), size).squeeze(2).cumprod(dim=1) > 0  # (N, S)
    wrong = logits.masked_fill(~covered.unsqueeze(2), NO_SPAN)
    wrong = wrong.index_put((first, offset, label), wrong.new_full((), NO_SPAN))
    per_row = wrong.logsumexp(dim=1)  # (N, L)
    loss = softplus(_segment_logsumexp(per_row, docs, n_docs)).sum()

    right = logits[first, offset, label]
    group = docs[first] * n_labels + label
    per_group = _segment_logsumexp(-right.unsqueeze(1), group, n_docs * n_labels)
    # Empty docs count as before: there is nothing in them that could lack annotation.
    told = targets.lengths == 0
    told[owner[targets.annotated]] = True
    return (loss + softplus(per_group).sum()) / (max(1, int(told.sum())) * n_labels)


def _cells(targets: SpanTargets) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return targets.first, targets.offset, targets.label


def _segment_logsumexp(values: Tensor, segments: Tensor, n_segments: int) -> Tensor:
    """(N, C) values in segments (N,) -> (n_segments, C); `NO_SPAN` for an empty segment."""
    index = segments.unsqueeze(1).expand_as(values)
    top = values.new_full((n_segments, values.shape[1]), NO_SPAN)
    top = top.scatter_reduce(0, index, values.detach(), "amax")
    summed = torch.zeros_like(top).index_add(0, segments, (values - top[segments]).exp())
    return top + summed.clamp(min=torch.finfo(top.dtype).tiny).log()


def candidate_spans(logits: Tensor, *, threshold: float, one_label: bool) -> Spans:
    """All spans that score above a threshold, best first.

    logits (Tensor): (N, S, L) scores.
    threshold (float): The score to exceed.
    one_label (bool): Keep only the best label of a span.
    """
    if one_label:
        best, label = logits.max(dim=2)
        first, offset = torch.nonzero(best > threshold, as_tuple=True)
        label, score = label[first, offset], best[first, offset]
    else:
        first, offset, label = torch.nonzero(logits > threshold, as_tuple=True)
        score = logits[first, offset, label]
    order = torch.argsort(score, descending=True, stable=True)
    arrays = [t[order].cpu().numpy() for t in (first, first + offset, label, score)]
    return Spans(*arrays)


def without_overlaps(spans: Spans, n_rows: int) -> Spans:
    """Keep the best spans that share no token with a better one, in text order.

    spans (Spans): Candidates, best first. Only those that overlap with others are looped over.
    n_rows (int): N, the tokens of the batch.
    """
    kept = ~_overlapping(spans, n_rows)
    disputed = np.flatnonzero(~kept)
    taken = np.zeros(n_rows, dtype=bool)
    borders = zip(spans.first[disputed].tolist(), spans.last[disputed].tolist(), strict=True)
    for index, (first, last) in zip(disputed.tolist(), borders, strict=True):
        if not taken[first : last + 1].any():
            taken[first : last + 1] = True
            kept[index] = True
    chosen = np.flatnonzero(kept)
    return spans.take(chosen[np.argsort(spans.first[chosen], kind="stable")])


def _overlapping(spans: Spans, n_rows: int) -> np.ndarray:
    """RETURNS (ndarray): (K,) bool, which spans share a token with another one."""
    opened = np.bincount(spans.first, minlength=n_rows)
    closed = np.bincount(spans.last + 1, minlength=n_rows + 1)[:n_rows]
    covers = np.concatenate([[0], np.cumsum(np.cumsum(opened - closed))])  # (N + 1,)
    return covers[spans.last + 1] - covers[spans.first] > spans.last + 1 - spans.first
