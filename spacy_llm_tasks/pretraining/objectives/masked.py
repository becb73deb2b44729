"""Masked language modelling: tell hidden pieces from what is around them (Devlin et al. 2019,
section 3.1, https://arxiv.org/abs/1810.04805)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from ...nn.config import TransformerConfig
from ...nn.encoder import TransformerEncoder
from ...nn.piece_head import PieceHead
from ..pieces.chunks import Chunks
from ..pieces.special import SpecialIds
from . import masking
from .checks import check_choice, check_count, check_number
from .framing import frame
from .objective import Kind
from .predictions import predict
from .prepared import LossSum, Prepared

Unit = Literal["piece", "word", "span"]
Replacements = Literal["80-10-10", "mask"]


class MaskedLM:
    """An encoder learns to fill in pieces that were hidden.

    Each chunk hides round(rate * its pieces), at least 1; units of several pieces deviate from that
    by less than the last unit, and not on average (see `masking`).

    weight (float): Its share in a mixture.
    rate (float): Share of the pieces that are hidden.
    rate_end (float | None): That share at the end of the run, approached linearly (Ankner et al.
        2024, https://arxiv.org/abs/2305.15096); None: it stays.
    replacements (str): "80-10-10": of hidden pieces 80 % become the mask piece, 10 % a random one,
        and 10 % stay, so that the encoder must look at every piece; "mask": all become the mask.
    unit (str): "piece", "word" (all pieces of a word, or none) or "span" (of words, as in SpanBERT:
        Joshi et al. 2020, https://arxiv.org/abs/1907.10529).
    span_p (float): Success probability of the geometric length of spans.
    max_span (int): The longest span, in words.
    """

    name = "masked"
    kind: Kind = "encoder"
    framing = 2
    is_likelihood = True
    reads_all = False

    def __init__(
        self,
        *,
        weight: float = 1.0,
        rate: float = 0.15,
        rate_end: float | None = None,
        replacements: Replacements = "80-10-10",
        unit: Unit = "piece",
        span_p: float = 0.2,
        max_span: int = 10,
    ) -> None:
        check_number(self.name, "weight", weight, above=0)
        check_number(self.name, "rate", rate, above=0, most=0.95)
        if rate_end is not None:
            check_number(self.name, "rate_end", rate_end, above=0, most=0.95)
        check_choice(self.name, "replacements", replacements, ("80-10-10", "mask"))
        check_choice(self.name, "unit", unit, ("piece", "word", "span"))
        check_number(self.name, "span_p", span_p, above=0, most=0.95)
        check_count(self.name, "max_span", max_span)
        self.weight = weight
        self.rate = rate
        self.rate_end = rate if rate_end is None else rate_end
        self.replacements = replacements
        self.unit = unit
        self.span_p = span_p
        self.max_span = max_span

    def rate_at(self, progress: float) -> float:
        """RETURNS (float): Share of hidden pieces when so much of the run is done (0 to 1)."""
        return self.rate + (self.rate_end - self.rate) * min(1.0, max(0.0, progress))

    def prepare(
        self, chunks: Chunks, special: SpecialIds, *, rng: np.random.Generator, progress: float
    ) -> Prepared:
        """Frame chunks as `cls text sep` and hide pieces of the text; see `Objective.prepare`."""
        mask = special.need_mask(self.name)
        alone = special.among(chunks.pieces)
        starts = masking.unit_starts(chunks, special, unit=self.unit)
        first = np.flatnonzero(starts)  # (U,) the first piece of each unit
        bounds = np.searchsorted(first, chunks.bounds)
        spans = None
        if self.unit == "span":
            begins = masking.span_starts(bounds, rng, p=self.span_p, most=self.max_span)
            spans = np.cumsum(begins) - 1
        sizes = np.diff(first, append=len(starts))
        drawn = masking.choose(
            sizes,
            bounds,
            masking.wanted(chunks.lengths, self.rate_at(progress)),
            rng,
            hideable=~alone[first],
            spans=spans,
        )
        chosen = np.repeat(drawn, sizes)
        framed = frame(chunks, special)
        rows, targets = framed.text_rows[chosen], chunks.pieces[chosen]
        if self.replacements == "mask":
            framed.pieces[rows] = mask
        else:
            group = None if spans is None else np.repeat(spans, sizes)[chosen]
            framed.pieces[rows] = masking.hide(targets, mask, special, rng=rng, group=group)
        return Prepared(
            pieces=torch.from_numpy(framed.pieces),
            lengths=torch.from_numpy(framed.lengths),
            target_rows=torch.from_numpy(rows),
            targets=torch.from_numpy(targets),
        )

    def make_head(self, config: TransformerConfig) -> PieceHead:
        """RETURNS (PieceHead): BERT's: a layer, a norm, and the product with the piece table."""
        return PieceHead(config, transform=True, bias=True)

    def loss(self, trunk: TransformerEncoder, head: PieceHead, prepared: Prepared) -> LossSum:
        """Predict the hidden pieces; see `Objective.loss`."""
        hidden = trunk(prepared.pieces, prepared.packing).last
        rows = hidden.index_select(0, prepared.target_rows)
        return predict(head, rows, trunk.piece_table, prepared.targets)
