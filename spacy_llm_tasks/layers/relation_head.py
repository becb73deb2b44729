"""Scores for relations between two spans of a doc, in both directions.

    e     = [first row; maximum over the span's rows; type]          of each span
    c_ij  = sum over the doc's rows of a_ij h,   a_ij = softmax((A e_i + B e_j) · K h / sqrt(d))
    z_i   = GELU(U [e_i; c_ij]),  z_j = GELU(V [e_j; c_ij])
    score = S GELU(M [z_i; z_j; z_i * z_j; distance])

The context c_ij is what the pair itself looks for in the doc, as the localized context of ATLOP
(Zhou et al. 2021, https://arxiv.org/abs/2010.11304, section 4.2), with attention of the head's own
in the place of the encoder's, which its fused kernels never store. Types enter early, which matters
(Zhong & Chen 2021, https://arxiv.org/abs/2010.12812).

Column 0 of the scores is the threshold class: a label counts where it scores above it.

In `shared` mode the rows are those of the pipeline's one pass. In `markers` mode the encoder reads
each text once more, with a marker around each entity, and a span's rows are those of its marked
region: more accurate, one more pass for each document, never one for each pair.
"""

import math
from functools import partial
from typing import Literal

import numpy as np
import torch
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d
from torch import Tensor, nn
from torch.nn import functional

from ..errors import Errors
from ..tokenization.pieces import bounds_of, ranges
from .candidates import Candidates
from .checks import at_least, rate
from .segments import segment_max
from .task_head import HeadBatch, task_model

Mode = Literal["shared", "markers"]
# Types of entities that are told apart; the task numbers those of its training data from 1.
N_KINDS = 64
# Distances are told apart by the power of two, to both sides.
N_DISTANCES = 2 * 12 + 1
# Cells of the attention from pairs to rows that are held at once.
MAX_CELLS = 2**22


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
        self.dropout = nn.Dropout(dropout)
        self.default_dropout = dropout

    def set_dropout(self, rate: float | None) -> None:
        self.dropout.p = self.default_dropout if rate is None else rate

    def forward(self, batch: HeadBatch) -> Tensor:
        """RETURNS (Tensor): (P, 1 + L) scores of the pairs of the batch's `Candidates`."""
        pairs: Candidates = batch.plan
        n_scores = self.scores.out_features
        if not len(pairs):
            return batch.rows.new_zeros((0, n_scores))
        rows, docs, span_rows, sizes = self._rows(batch, pairs)
        spans = self.dropout(self._spans(rows, span_rows, sizes, pairs))
        lengths = docs[1] - docs[0]
        parts = _parts(lengths[pairs.doc[pairs.head]])
        return torch.cat(
            [self._score(rows, docs, spans, pairs.take(np.arange(a, z))) for a, z in parts]
        )

    def _rows(
        self, batch: HeadBatch, pairs: Candidates
    ) -> tuple[Tensor, np.ndarray, np.ndarray, np.ndarray]:
        """The rows that spans and contexts are read from, the bounds of each doc's (2, B), the row
        numbers of all spans, end to end, and how many each span has."""
        if self.mode == "shared":
            bounds = bounds_of(batch.lengths)
            sizes = pairs.last - pairs.first
            docs = np.stack([bounds[:-1], bounds[1:]])
            return batch.rows, docs, ranges(bounds[pairs.doc] + pairs.first, sizes), sizes
        sequences, place = batch.sequences, pairs.place
        if sequences is None or batch.text_rows is None or place is None:
            raise ValueError(Errors.E429)
        owner = np.repeat(sequences.item, sequences.lengths)
        chosen = np.flatnonzero(sequences.chosen)
        # By text and character, so that windows follow each other and a span is a run.
        chosen = chosen[np.lexsort((chosen, sequences.starts[chosen], owner[chosen]))]
        stride = int(sequences.ends.max(initial=0)) + 2
        keys = owner[chosen] * stride + sequences.starts[chosen]
        text = place.text[pairs.doc]
        first = np.searchsorted(keys, text * stride + place.first)
        last = np.searchsorted(keys, text * stride + place.last)
        sizes = np.maximum(last - first, 1)
        docs = np.searchsorted(owner[chosen], np.stack([place.text, place.text + 1]))
        index = _index(chosen, batch.text_rows)
        return batch.text_rows.index_select(0, index), docs, ranges(first, sizes), sizes

    def _spans(
        self, rows: Tensor, span_rows: np.ndarray, sizes: np.ndarray, pairs: Candidates
    ) -> Tensor:
        """(E, 2 W + type) what is known of each span."""
        own = np.repeat(np.arange(len(sizes)), sizes)
        highest = segment_max(rows[_index(span_rows, rows)], _index(own, rows), len(sizes))
        first = rows[_index(span_rows[np.cumsum(sizes) - sizes], rows)]
        kinds = self.kinds(_index(np.minimum(pairs.kind, N_KINDS - 1), rows))
        return torch.cat([first, highest, kinds], dim=1)

    def _score(self, rows: Tensor, docs: np.ndarray, spans: Tensor, pairs: Candidates) -> Tensor:
        head, tail = _index(pairs.head, rows), _index(pairs.tail, rows)
        asked = self.ask_head(spans)[head] + self.ask_tail(spans)[tail]
        context = self._context(rows, docs, asked, pairs)
        as_head = torch.cat([spans[head], context], dim=1)
        as_tail = torch.cat([spans[tail], context], dim=1)
        z_head = functional.gelu(self.as_head(as_head))
        z_tail = functional.gelu(self.as_tail(as_tail))
        distance = self.distances(_index(_distance_class(pairs.gap), rows))
        mixed = torch.cat([z_head, z_tail, z_head * z_tail, distance], dim=1)
        return self.scores(self.dropout(functional.gelu(self.mix(self.dropout(mixed)))))

    def _context(self, rows: Tensor, docs: np.ndarray, asked: Tensor, pairs: Candidates) -> Tensor:
        """(P, W) what each pair finds in its doc."""
        keys = self.keys(rows) / math.sqrt(self.attention_width)
        owner = pairs.doc[pairs.head]
        cuts = np.flatnonzero(np.diff(owner)) + 1
        starts, ends = [0, *cuts.tolist()], [*cuts.tolist(), len(owner)]
        found = []
        for a, z in zip(starts, ends, strict=True):
            doc = slice(*docs[:, owner[a]].tolist())
            weights = (asked[a:z] @ keys[doc].T).softmax(dim=1)
            found.append(weights @ rows[doc])
        return torch.cat(found)


def _parts(cells: np.ndarray) -> list[tuple[int, int]]:
    """Runs of pairs whose attention has a bounded number of cells; `cells` (P,) of each pair."""
    part = np.cumsum(cells) // MAX_CELLS
    cuts = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(cells)]
    return list(zip(cuts[:-1], cuts[1:], strict=True))


def _distance_class(gap: np.ndarray) -> np.ndarray:
    """0 for spans that touch; else the power of two of the gap, to both sides of the middle."""
    middle = N_DISTANCES // 2
    power = np.ceil(np.log2(np.abs(gap) + 1)).astype(np.int64)
    return middle + np.sign(gap) * np.minimum(power, middle)


def _index(array: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(like.device)


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
