"""Scores for relations between two spans of a doc, in both directions.

    e     = [first row; maximum over the span's rows; type]          of each span
    c_ij  = sum over the doc's rows of a_ij h,   a_ij = softmax((A e_i + B e_j) · K h / sqrt(d))
    z_i   = GELU(U [e_i; c_ij]),  z_j = GELU(V [e_j; c_ij])
    score = S GELU(M [z_i; z_j; z_i * z_j; distance])

The context c_ij is what the pair itself looks for in the doc, of a long doc in the part around it,
as the localized context of ATLOP (Zhou et al. 2021, https://arxiv.org/abs/2010.11304, section 4.2),
with attention of the head's own in the place of the encoder's, which its fused kernels never store.
Types enter early, which matters (Zhong & Chen 2021, https://arxiv.org/abs/2010.12812).

Column 0 of the scores is the threshold class: a label counts where it scores above it.

In `shared` mode the rows are those of the pipeline's one pass. In `markers` mode the encoder reads
each text once more, with a marker around each entity, and a span's rows are those of its marked
region: more accurate, one more pass for each document, never one for each pair.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import torch
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d
from torch import Tensor, nn
from torch.nn import functional

from ..errors import Errors
from ..nn.dropout import Dropout
from ..tokenization.pieces import bounds_of, ranges
from .candidates import Candidates
from .checks import at_least, rate
from .segments import index_on, segment_max
from .task_head import HeadBatch, task_model

Mode = Literal["shared", "markers"]
# Types of entities that are told apart; the task numbers those of its training data from 1.
N_KINDS = 64
# Distances are told apart by the power of two, to both sides.
N_DISTANCES = 2 * 12 + 1
# Numbers that are held at once for pairs: their attention to rows, and the vectors of their layers.
MAX_CELLS = 2**22
# Rows of a block, see `_windows`.
BLOCK = 512


class RelationHead(nn.Module):
    """Score pairs of spans.

    width (int): W, the width of the rows.
    n_labels (int): L.
    mode (str): "shared" or "markers".
    hidden_width (int): Width of the layers of the head.
    type_width (int): Width of the embeddings of types and distances.
    dropout (float): Rate, unless the pipeline sets another.
    """

    def __init__(
        self,
        *,
        width: int,
        n_labels: int,
        mode: Mode,
        hidden_width: int,
        type_width: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.mode = mode
        self.kinds = nn.Embedding(N_KINDS, type_width)
        self.distances = nn.Embedding(N_DISTANCES, type_width)
        span_width = 2 * width + type_width
        self.attention_width = 64
        self.ask_head = nn.Linear(span_width, self.attention_width)
        self.ask_tail = nn.Linear(span_width, self.attention_width, bias=False)
        self.keys = nn.Linear(width, self.attention_width, bias=False)
        self.as_head = nn.Linear(span_width + width, hidden_width)
        self.as_tail = nn.Linear(span_width + width, hidden_width)
        self.mix = nn.Linear(3 * hidden_width + type_width, hidden_width)
        self.scores = nn.Linear(hidden_width, n_labels + 1)
        self.dropout = Dropout(dropout)
        self.default_dropout = dropout

    def set_dropout(self, rate: float | None) -> None:
        self.dropout.p = self.default_dropout if rate is None else rate

    def forward(self, batch: HeadBatch) -> Tensor:
        """RETURNS (Tensor): (P, 1 + L) scores of the pairs of the batch's `Candidates`."""
        pairs: Candidates = batch.plan
        if not len(pairs):
            return batch.rows.new_zeros((0, self.scores.out_features))
        read = self._read(batch, pairs)
        windows = _windows(read, pairs)
        # Pairs with the same window beside each other, as they mostly are.
        order = np.lexsort((windows[1], windows[0], pairs.owner))
        width = len(self.as_head.weight) * 8 + read.rows[0].shape[1]
        cells = windows[1] - windows[0] + width
        parts = [
            self._score(read, pairs.take(part), windows[:, part])
            for part in np.split(order, _cuts(cells[order]))
        ]
        return torch.cat(parts)[index_on(np.argsort(order), parts[0])]

    def _read(self, batch: HeadBatch, pairs: Candidates) -> "_Read":
        if self.mode == "shared":
            rows, lengths = batch.rows, batch.lengths
            first, last = pairs.first, pairs.last
        else:
            rows, lengths, first, last = _marked_rows(batch, pairs)
        sizes = last - first
        numbers = ranges(bounds_of(lengths)[pairs.doc] + first, sizes)
        spans = self.dropout(self._spans(rows, numbers, sizes, pairs))
        n, keys = spans.shape[1], self.keys(rows) / math.sqrt(self.attention_width)
        return _Read(
            rows=rows.split(lengths.tolist()),
            keys=keys.split(lengths.tolist()),
            lengths=lengths,
            first=first,
            last=last,
            asked=(self.ask_head(spans), self.ask_tail(spans)),
            # What a span alone gives to a layer over [span; context], once for all its pairs.
            known=(
                functional.linear(spans, self.as_head.weight[:, :n], self.as_head.bias),
                functional.linear(spans, self.as_tail.weight[:, :n], self.as_tail.bias),
            ),
        )

    def _spans(
        self, rows: Tensor, span_rows: np.ndarray, sizes: np.ndarray, pairs: Candidates
    ) -> Tensor:
        """(E, 2 W + type) what is known of each span."""
        own = np.repeat(np.arange(len(sizes)), sizes)
        found = rows[index_on(span_rows, rows)]
        highest = segment_max(found, index_on(own, rows), len(sizes))
        # A marked region without a piece, which takes an odd tokenizer, is all zeros.
        first = rows.new_zeros(highest.shape)
        filled = np.flatnonzero(sizes)
        opening = (np.cumsum(sizes) - sizes)[filled]
        first = first.index_copy(0, index_on(filled, rows), found[index_on(opening, rows)])
        kinds = self.kinds(index_on(np.minimum(pairs.kind, N_KINDS - 1), rows))
        return torch.cat([first, highest, kinds], dim=1)

    def _score(self, read: "_Read", pairs: Candidates, windows: np.ndarray) -> Tensor:
        head, tail = index_on(pairs.head, read.known[0]), index_on(pairs.tail, read.known[0])
        asked = read.asked[0][head] + read.asked[1][tail]
        context = _context(read, asked, pairs.owner, windows)
        n = self.as_head.in_features - context.shape[1]
        z_head = read.known[0][head] + functional.linear(context, self.as_head.weight[:, n:])
        z_tail = read.known[1][tail] + functional.linear(context, self.as_tail.weight[:, n:])
        z_head, z_tail = functional.gelu(z_head), functional.gelu(z_tail)
        distance = self.distances(index_on(_distance_class(pairs.gap), context))
        mixed = torch.cat([z_head, z_tail, z_head * z_tail, distance], dim=1)
        return self.scores(self.dropout(functional.gelu(self.mix(self.dropout(mixed)))))


class _Read(NamedTuple):
    """What is worked out once for a batch, before pairs are looked at.

    rows, keys (Sequence[Tensor]): (n, W) and (n, A) of each doc. `lengths` (B,) are their n.
    first, last: (E,) the rows of each span, counted in its doc, end exclusive.
    asked, known: (E, A) and (E, hidden) of spans as heads and as tails.
    """

    rows: Sequence[Tensor]
    keys: Sequence[Tensor]
    lengths: np.ndarray
    first: np.ndarray
    last: np.ndarray
    asked: tuple[Tensor, Tensor]
    known: tuple[Tensor, Tensor]


def _marked_rows(
    batch: HeadBatch, pairs: Candidates
) -> tuple[Tensor, np.ndarray, np.ndarray, np.ndarray]:
    """The rows of the marked texts, one for each piece, in the order of docs and characters; how
    many each doc has, and which of its doc's rows each span's marked region has."""
    sequences, place = batch.sequences, pairs.place
    if sequences is None or batch.text_rows is None or place is None:
        raise ValueError(Errors.E429)
    chosen = np.flatnonzero(sequences.chosen)
    owner = np.repeat(sequences.item, sequences.lengths)[chosen]
    starts, ends = sequences.starts[chosen], sequences.ends[chosen]
    # Windows then follow each other, and a region is a run wherever windows meet.
    order = np.lexsort((chosen, ends, starts, owner))
    chosen, owner = chosen[order], owner[order]
    n_texts = int(place.text.max(initial=-1)) + 1
    bounds = bounds_of(np.bincount(owner, minlength=n_texts))
    stride = int(max(ends.max(initial=0), place.last.max(initial=0))) + 2
    text = np.maximum(place.text[pairs.doc], 0)  # spans of docs without a text are in no pair
    # The pieces that end behind the region's start and begin before its end.
    first = np.searchsorted(owner * stride + ends[order], text * stride + place.first, side="right")
    last = np.searchsorted(owner * stride + starts[order], text * stride + place.last)
    first, last = first - bounds[text], np.maximum(last, first) - bounds[text]
    has_text = place.text >= 0
    lengths = np.zeros(len(place.text), dtype=np.int64)
    lengths[has_text] = np.diff(bounds)[place.text[has_text]]
    absent = ~has_text[pairs.doc]
    first[absent], last[absent] = 0, 0
    return batch.text_rows[index_on(chosen, batch.text_rows)], lengths, first, last


def _windows(read: _Read, pairs: Candidates) -> np.ndarray:
    """(2, P) the rows of its doc that each pair looks at: blocks of `BLOCK` rows, from the one
    before its spans to the one behind them. That is all of a doc up to twice this size, and keeps
    the work on a longer one linear in its length."""
    first = np.minimum(read.first[pairs.head], read.first[pairs.tail])
    last = np.maximum(read.last[pairs.head], read.last[pairs.tail])
    lower = (first // BLOCK - 1) * BLOCK
    upper = (np.maximum(last - 1, 0) // BLOCK + 2) * BLOCK
    return np.stack([np.maximum(lower, 0), np.minimum(upper, read.lengths[pairs.owner])])


def _context(read: _Read, asked: Tensor, owner: np.ndarray, windows: np.ndarray) -> Tensor:
    """(P, W) what each pair finds in its doc."""
    places = np.stack([owner, *windows])
    cuts = np.flatnonzero((np.diff(places) != 0).any(axis=0)) + 1
    found = []
    for a, z in zip([0, *cuts.tolist()], [*cuts.tolist(), len(owner)], strict=True):
        doc, lower, upper = places[:, a].tolist()
        weights = (asked[a:z] @ read.keys[doc][lower:upper].T).softmax(dim=1)
        found.append(weights @ read.rows[doc][lower:upper])
    return torch.cat(found)


def _cuts(cells: np.ndarray) -> np.ndarray:
    """Where to cut pairs into runs with a bounded number of cells; `cells` (P,) of each pair."""
    return np.flatnonzero(np.diff(np.cumsum(cells) // MAX_CELLS)) + 1


def _distance_class(gap: np.ndarray) -> np.ndarray:
    """0 for spans that touch; else the power of two of the gap, to both sides of the middle."""
    middle = N_DISTANCES // 2
    power = np.ceil(np.log2(np.abs(gap) + 1)).astype(np.int64)
    return middle + np.sign(gap) * np.minimum(power, middle)


def build_relation_head_v1(
    tok2vec: Model[list[Doc], list[Floats2d]],
    mode: Mode = "shared",
    hidden_width: int = 256,
    type_width: int = 32,
    dropout: float = 0.1,
) -> Model[list[Doc], Tensor]:
    """Build the relation head (registered as `spacy_llm_tasks.RelationHead.v1`).

    tok2vec (Model[List[Doc], List[Floats2d]]): The upstream, one row per token; in `markers` mode a
        `trf_encoder`.
    mode (str): "shared": read the pipeline's one pass; "markers": a second pass over each doc, with
        the entities marked.
    hidden_width (int): Width of the head's layers.
    type_width (int): Width of the embeddings of entity types and distances.
    dropout (float): Rate in training, if the pipeline's `[training] dropout` never sets one.
    RAISES (ValueError): if a size or the rate is out of range.
    """
    at_least("hidden_width", hidden_width, 1)
    at_least("type_width", type_width, 1)
    rate("dropout", dropout)
    if mode not in ("shared", "markers"):
        raise ValueError(Errors.E425.format(name="mode", expected="shared or markers", found=mode))
    build = partial(
        RelationHead, mode=mode, hidden_width=hidden_width, type_width=type_width, dropout=dropout
    )
    return task_model(tok2vec, build, reads_docs=mode == "shared")
