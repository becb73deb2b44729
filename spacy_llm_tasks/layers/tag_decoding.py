"""BILUO tags: loss, constrained Viterbi and span confidences, looping over positions only.

Tags are numbered O = 0, then B, I, L, U of label k = 4k + 1 .. 4k + 4. Docs are scanned side by
side, longest first, so that docs that have ended fall off the end and nothing is padded.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .span_decoding import Spans, SpanTargets

O, B, I, L, U = 0, 1, 2, 3, 4  # noqa: E741
FORBIDDEN = -1e9


@dataclass(frozen=True)
class TagRules:
    """Which tags may begin, follow each other and end: 0 where allowed, `FORBIDDEN` elsewhere.

    start (ndarray): (K,); step (ndarray): (K, K) from, to; end (ndarray): (K,).
    """

    start: np.ndarray
    step: np.ndarray
    end: np.ndarray

    @classmethod
    def biluo(cls, n_labels: int) -> "TagRules":
        """RETURNS (TagRules): The rules of the BILUO scheme; K = 4 * n_labels + 1."""
        kind, label = _tags(n_labels)
        closes = (kind == O) | (kind == L) | (kind == U)
        opens = (kind == O) | (kind == B) | (kind == U)
        inside = (kind == B) | (kind == I)
        continues = (kind == I) | (kind == L)
        step = (closes[:, None] & opens[None, :]) | (
            inside[:, None] & continues[None, :] & (label[:, None] == label[None, :])
        )
        return cls(*(np.where(ok, 0.0, FORBIDDEN) for ok in (opens, step, closes)))


def _tags(n_labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Kind (O, B, I, L, U) and label of every tag, (K,) each."""
    numbers = np.arange(4 * n_labels + 1)
    kind = np.where(numbers == 0, O, (numbers - 1) % 4 + 1)
    return kind, np.where(numbers == 0, -1, (numbers - 1) // 4)


def tag_loss(logits: Tensor, targets: SpanTargets) -> Tensor:
    """Cross entropy of the gold tags, averaged over the annotated tokens.

    logits (Tensor): (N, K) tag scores.
    targets (SpanTargets): The gold spans, which must not overlap.
    """
    tags = np.zeros(len(logits), dtype=np.int64)
    spans = zip(targets.first, targets.offset, targets.label, strict=True)
    for first, offset, label in spans:
        base = 4 * label
        tags[first : first + offset + 1] = base + I
        tags[first], tags[first + offset] = base + B, base + L
        if offset == 0:
            tags[first] = base + U
    tags[~targets.annotated] = -100
    gold = torch.from_numpy(tags).to(logits.device)
    return torch.nn.functional.cross_entropy(logits, gold, reduction="sum") / max(
        1, int(targets.annotated.sum())
    )


def decode_tags(logits: Tensor, lengths: np.ndarray) -> Spans:
    """Best legal tag sequence of each doc, as spans with the log odds of their probability.

    logits (Tensor): (N, K) tag scores of packed tokens.
    lengths (ndarray): (B,) tokens of each doc.
    RETURNS (Spans): In text order.
    """
    n_labels = (logits.shape[1] - 1) // 4
    emissions = logits.log_softmax(dim=1).double().cpu().numpy()
    rules, scan = TagRules.biluo(n_labels), _Scan(lengths)
    tags = _viterbi(emissions, scan, rules)
    kind, label = _tags(n_labels)
    first = np.flatnonzero((kind[tags] == B) | (kind[tags] == U))
    last = np.flatnonzero((kind[tags] == L) | (kind[tags] == U))
    probability = _span_probabilities(emissions, scan, rules, tags, first, last)
    probability = np.clip(probability, 1e-6, 1 - 1e-6)
    return Spans(first, last, label[tags[first]], np.log(probability / (1 - probability)))


class _Scan:
    """Steps through docs side by side. `rows(t)` are the rows of position t of every doc that is
    longer than t, always in the same order, so that the docs of step t + 1 are a prefix of step
    t's."""

    def __init__(self, lengths: np.ndarray) -> None:
        starts = np.cumsum(lengths) - lengths
        order = np.argsort(-lengths, kind="stable")
        self.starts, self.lengths = starts[order], lengths[order]
        self.n_steps = int(lengths.max(initial=0))
        self._alive = np.searchsorted(-self.lengths, -np.arange(self.n_steps), side="left")

    def rows(self, step: int) -> np.ndarray:
        return self.starts[: self._alive[step]] + step


def _viterbi(emissions: np.ndarray, scan: _Scan, rules: TagRules) -> np.ndarray:
    """The best tag (N,) of every row."""
    score = np.zeros_like(emissions)
    back = np.zeros(emissions.shape, dtype=np.int64)
    for step in range(scan.n_steps):
        rows = scan.rows(step)
        if step == 0:
            score[rows] = rules.start + emissions[rows]
            continue
        paths = score[rows - 1][:, :, None] + rules.step  # (docs, from, to)
        back[rows] = paths.argmax(axis=1)
        score[rows] = paths.max(axis=1) + emissions[rows]
    tags = np.zeros(len(emissions), dtype=np.int64)
    ends = scan.starts + scan.lengths - 1
    ends = ends[scan.lengths > 0]
    tags[ends] = (score[ends] + rules.end).argmax(axis=1)
    for step in range(scan.n_steps - 1, 0, -1):
        rows = scan.rows(step)
        tags[rows - 1] = back[rows, tags[rows]]
    return tags


def _span_probabilities(
    emissions: np.ndarray,
    scan: _Scan,
    rules: TagRules,
    tags: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
) -> np.ndarray:
    """Probability of each decoded span among all legal sequences (forward-backward)."""
    forward, backward = np.zeros_like(emissions), np.zeros_like(emissions)
    for step in range(scan.n_steps):
        rows = scan.rows(step)
        before = rules.start if step == 0 else _lse(forward[rows - 1][:, :, None] + rules.step, 1)
        forward[rows] = before + emissions[rows]
    ends = (scan.starts + scan.lengths - 1)[scan.lengths > 0]
    backward[ends] = rules.end
    for step in range(scan.n_steps - 1, 0, -1):
        rows = scan.rows(step)
        after = (emissions[rows] + backward[rows])[:, None, :]
        backward[rows - 1] = _lse(rules.step + after, 2)
    # log of the sum over all sequences, at any row of a doc
    total = _lse(forward + backward, 1)
    chosen = emissions[np.arange(len(tags)), tags]
    path = np.concatenate([[0.0], np.cumsum(chosen)])
    inner = path[last + 1] - path[first + 1]
    return np.exp(forward[first, tags[first]] + inner + backward[last, tags[last]] - total[first])


def _lse(values: np.ndarray, axis: int) -> np.ndarray:
    top = values.max(axis=axis, keepdims=True)
    return np.squeeze(top, axis) + np.log(np.exp(values - top).sum(axis=axis))
