"""Replaced piece detection: tell which pieces a small generator has made up (Clark et al. 2020,
ELECTRA, https://arxiv.org/abs/2003.10555)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...nn.config import TransformerConfig
from ...nn.encoder import TransformerEncoder
from ...nn.piece_head import PieceHead
from ...tokenization.pieces import bounds_of
from ..pieces.chunks import Chunks
from ..pieces.special import SpecialIds
from .checks import check_count, check_number
from .decision import DecisionHead
from .masked import MaskedLM, Unit
from .objective import Kind
from .predictions import predict
from .prepared import LossSum, Prepared

# Probabilities that are held at once where pieces are drawn.
_MAX_CELLS = 2**24


class Generator(nn.Module):
    """A narrow encoder on the trunk's own embeddings, and its guesses at hidden pieces.

    config (TransformerConfig): The generator's. Its tables are the trunk's, so E is the same.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        # a whole encoder knows how its parts are made and initialised; its own table is not kept
        encoder = TransformerEncoder(replace(config, n_pieces=1))
        self.project = encoder.embeddings.project
        self.blocks = encoder.blocks
        self.final_norm = encoder.final_norm
        self.head = PieceHead(config, transform=True, bias=True)

    def forward(self, trunk: TransformerEncoder, prepared: Prepared) -> Tensor:
        """RETURNS (Tensor): (n, w) rows of the hidden pieces, w the generator's width."""
        packing = prepared.packing
        hidden = trunk.embeddings.before_projection(prepared.pieces, packing)
        if self.project is not None:
            hidden = self.project(hidden)
        hidden = trunk.climb(hidden, packing, self.blocks)
        rows = hidden.index_select(0, prepared.target_rows)
        return rows if self.final_norm is None else self.final_norm(rows)

    @torch.no_grad()
    def draw(self, rows: Tensor, table: Tensor, *, seed: int) -> Tensor:
        """Draw a piece for each row from the generator's distribution.

        rows (Tensor): (n, w).
        table (Tensor): (n_pieces, E) the piece table.
        seed (int): The same draws come from the same seed.
        RETURNS (Tensor): (n,) int64.
        """
        generator = torch.Generator(rows.device).manual_seed(seed)
        drawn = [
            torch.multinomial(self.head(part, table).float().softmax(-1), 1, generator=generator)
            for part in rows.split(max(1, _MAX_CELLS // len(table)))
        ]
        return torch.cat(drawn).squeeze(1)


class ReplacedHead(nn.Module):
    """What the objective adds to a trunk: a generator, and a decision about each piece.

    config (TransformerConfig): The trunk's, which is the discriminator.
    generator (TransformerConfig): The generator's.
    """

    def __init__(self, config: TransformerConfig, generator: TransformerConfig) -> None:
        super().__init__()
        self.generator = Generator(generator)
        self.discriminator = DecisionHead(config, n_answers=1, activation="gelu")


class ReplacedPieces:
    """An encoder learns to find the pieces that were replaced by a generator's guesses.

    Some pieces are hidden; a generator, trained beside the encoder as a masked language model on
    the same piece table, fills them in by chance; the encoder tells for every piece of the text
    whether it is the one that was there. A guess that is right by chance counts as not replaced.

        loss = generator's mean over hidden pieces + factor * encoder's mean over all pieces

    Its count is that of the hidden pieces.

    weight (float): Its share in a mixture.
    rate (float): Share of the pieces that are hidden.
    unit (str): What is hidden as a whole: "piece", "word" or "span" (see `MaskedLM`).
    generator_size (float): The generator's width as a share of the trunk's.
    generator_depth (int | None): Its blocks; None: as many as the trunk.
    factor (float): Of the encoder's loss, which is a fraction of the generator's in size.
    """

    name = "replaced"
    kind: Kind = "encoder"
    framing = 2
    is_likelihood = False
    reads_all = False

    def __init__(
        self,
        *,
        weight: float = 1.0,
        rate: float = 0.15,
        unit: Unit = "piece",
        generator_size: float = 0.25,
        generator_depth: int | None = None,
        factor: float = 50.0,
    ) -> None:
        check_number(self.name, "weight", weight, above=0)
        check_number(self.name, "generator_size", generator_size, above=0, most=1)
        check_number(self.name, "factor", factor, above=0)
        if generator_depth is not None:
            check_count(self.name, "generator_depth", generator_depth)
        self.weight = weight
        self.hidden = MaskedLM(rate=rate, replacements="mask", unit=unit)
        self.generator_size = generator_size
        self.generator_depth = generator_depth
        self.factor = factor

    def prepare(
        self, chunks: Chunks, special: SpecialIds, *, rng: np.random.Generator, progress: float
    ) -> Prepared:
        """Frame chunks as `cls text sep` and hide pieces; see `Objective.prepare`."""
        prepared = self.hidden.prepare(chunks, special, rng=rng, progress=progress)
        bounds = bounds_of(prepared.lengths.numpy())
        is_text = np.ones(bounds[-1], dtype=bool)
        is_text[bounds[:-1]] = is_text[bounds[1:] - 1] = False
        return replace(
            prepared,
            text_rows=torch.from_numpy(np.flatnonzero(is_text)),
            seed=int(rng.integers(2**63)),
        )

    def make_head(self, config: TransformerConfig) -> ReplacedHead:
        """RETURNS (ReplacedHead): A generator for this trunk, and ELECTRA's discriminator head."""
        return ReplacedHead(config, self.generator_config(config))

    def generator_config(self, config: TransformerConfig) -> TransformerConfig:
        """Shrink a trunk's config, keeping its heads about as wide as they are.

        config (TransformerConfig): The trunk's.
        RETURNS (TransformerConfig): The generator's.
        RAISES (ValueError): A width that heads cannot share.
        """
        width = max(1, round(config.width * self.generator_size))
        n_heads = max(1, round(config.n_heads * self.generator_size))
        while width % n_heads:
            n_heads -= 1
        ffn_width = config.ffn_width or 4 * config.width
        return replace(
            config,
            width=width,
            n_heads=n_heads,
            ffn_width=max(1, round(ffn_width * self.generator_size)),
            depth=self.generator_depth or config.depth,
        )

    def loss(self, trunk: TransformerEncoder, head: ReplacedHead, prepared: Prepared) -> LossSum:
        """Guess, replace, detect; see `Objective.loss`. Both losses and both accuracies are
        measured too."""
        table = trunk.piece_table
        rows = head.generator(trunk, prepared)
        guess = predict(head.generator.head, rows, table, prepared.targets)
        drawn = head.generator.draw(rows, table, seed=prepared.seed)
        pieces = prepared.pieces.index_copy(0, prepared.target_rows, drawn)
        wrong = torch.zeros(len(pieces), device=pieces.device)
        wrong[prepared.target_rows] = (drawn != prepared.targets).float()
        hidden = trunk(pieces, prepared.packing).last
        if prepared.text_rows is not None:
            wrong, hidden = wrong[prepared.text_rows], hidden[prepared.text_rows]
        logits = head.discriminator(hidden).squeeze(1)
        detected = F.binary_cross_entropy_with_logits(logits, wrong, reduction="sum")
        right = ((logits > 0) == (wrong > 0)).sum()
        n, n_text = prepared.count, len(wrong)
        measures = {
            "generator_loss": (guess.total.item(), float(n)),
            "generator_accuracy": guess.metrics["accuracy"],
            "detection_loss": (detected.item(), float(n_text)),
            "detection_accuracy": (float(right), float(n_text)),
        }
        return LossSum(guess.total + self.factor * detected * (n / n_text), n, measures)
