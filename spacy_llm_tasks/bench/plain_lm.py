"""The plain side of the pretraining benchmarks: BERT of `transformers`, trained as its example
`run_mlm` does.

Texts are joined with a `sep` behind each and cut into blocks of full length, so that nothing is
padding. The library's own collator hides each piece with a chance of 15 % (80 % of them masks, 10 %
random, 10 % kept), the head predicts all rows, and AdamW steps without decay on norms and biases.
Each block is framed by `cls` and `sep`, as the text that models are asked to read is.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..nn.presets import HEAD_WIDTH, PRESETS
from ..pretraining.pieces.piece_store import PieceStore
from ..pretraining.pieces.special import SpecialIds
from ..pretraining.team.randomness import seed_all
from .material import Material

# How run_mlm and the Trainer below it are set unless told otherwise.
RATE = 0.15
CLIP_NORM = 1.0
NO_DECAY = ("bias", "LayerNorm.weight")


def plain_model(size: str, *, n_pieces: int, length: int, dropout: float, pad: int) -> nn.Module:
    """Build a BERT of one of our sizes with fresh weights.

    size (str): A key of `nn.presets.PRESETS`: blocks and width.
    n_pieces (int): Size of the vocabulary.
    length (int): Longest sequence.
    dropout (float): Of rows and of attention; BERT's own is 0.1.
    pad (int): Id of the padding piece.
    RETURNS (nn.Module): A `BertForMaskedLM`; its attention is PyTorch's fused one.
    """
    from transformers import BertConfig, BertForMaskedLM

    width = PRESETS[size]["width"]
    return BertForMaskedLM(
        BertConfig(
            vocab_size=n_pieces,
            hidden_size=width,
            num_hidden_layers=PRESETS[size]["depth"],
            num_attention_heads=width // HEAD_WIDTH,
            intermediate_size=4 * width,
            max_position_embeddings=length,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            pad_token_id=pad,
        )
    )


def blocks_of(store: PieceStore, special: SpecialIds, *, length: int) -> Tensor:
    """Cut a corpus into blocks without padding.

    store (PieceStore): The pieces of its documents.
    special (SpecialIds): `cls` and `sep` are used.
    length (int): Pieces of a block, the two that frame it included.
    RETURNS (Tensor): (N, length) int64; the rest that fills no block is left out.
    """
    ids, _ = store.gather(np.arange(store.n_pieces))
    joined = np.insert(ids, store.bounds[1:], special.sep)
    n_blocks = len(joined) // (length - 2)
    inner = joined[: n_blocks * (length - 2)].reshape(n_blocks, length - 2)
    framed = np.pad(inner, ((0, 0), (1, 1)))
    framed[:, 0], framed[:, -1] = special.cls, special.sep
    return torch.from_numpy(framed)


def plain_training(
    material: Material,
    *,
    size: str,
    length: int,
    batch: int,
    dropout: float,
    seed: int,
    **options: Any,
) -> PlainTraining:
    """Put the plain side together on a corpus.

    material (Material): What is read.
    size (str): A key of `nn.presets.PRESETS`.
    length (int): Pieces of a block, the two that frame it included.
    batch (int): Blocks of a step.
    dropout (float): The model's.
    seed (int): Seeds weights, order and masks.
    options (Any): Further arguments of `PlainTraining`.
    RETURNS (PlainTraining): A model with fresh weights, ready to be stepped.
    """
    seed_all(seed)
    special = material.special
    model = plain_model(
        size, n_pieces=special.n_pieces, length=length, dropout=dropout, pad=special.pad
    )
    blocks = blocks_of(material.pieces("train"), special, length=length)
    return PlainTraining(
        model, blocks, tokenizer=material.tokenizer, batch=batch, seed=seed, **options
    )


class PlainTraining:
    """A BERT, its optimizer and the blocks that it reads.

    model (nn.Module): From `plain_model`.
    blocks (Tensor): From `blocks_of`.
    tokenizer (Path): Folder of the tokenizer, for the collator.
    batch (int): Blocks of a step.
    learn_rate (float): The highest rate.
    weight_decay (float): Of matrices and tables.
    bf16 (bool): Whether the forward pass runs under autocast to bfloat16.
    fused (bool): Whether AdamW runs as one kernel.
    seed (int): Decides the order; masks and dropout come from torch's own generator.
    """

    def __init__(
        self,
        model: nn.Module,
        blocks: Tensor,
        *,
        tokenizer: Path,
        batch: int,
        learn_rate: float,
        weight_decay: float = 0.01,
        bf16: bool = False,
        fused: bool = False,
        seed: int = 0,
    ) -> None:
        from transformers import AutoTokenizer, DataCollatorForLanguageModeling

        reader = AutoTokenizer.from_pretrained(tokenizer)
        self.model = model.train()
        self.blocks = blocks
        self.batch = batch
        self.learn_rate = learn_rate
        self.bf16 = bf16
        self.optimizer = torch.optim.AdamW(
            _groups(model, weight_decay), lr=learn_rate, fused=fused or None
        )
        self._collate = DataCollatorForLanguageModeling(reader, mlm_probability=RATE)
        self._is_special = torch.zeros(len(reader), dtype=torch.int64)
        self._is_special[reader.all_special_ids] = 1
        self._order = torch.Generator().manual_seed(seed)
        self._left = torch.zeros(0, dtype=torch.int64)

    def step(self, factor: float = 1.0) -> float:
        """Do one step.

        factor (float): Of the highest learning rate.
        RETURNS (float): The mean loss of its predictions, in nats.
        """
        inputs = self._next()
        with self._forward():
            loss = self.model(**inputs).loss
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learn_rate * factor
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(loss.detach())

    def _forward(self) -> AbstractContextManager[Any]:
        return torch.autocast("cpu", dtype=torch.bfloat16) if self.bf16 else nullcontext()

    def _next(self) -> dict[str, Tensor]:
        if len(self._left) < self.batch:  # a new epoch; a rest that fills no batch is left out
            self._left = torch.randperm(len(self.blocks), generator=self._order)
        chosen, self._left = self._left[: self.batch], self._left[self.batch :]
        found = self.blocks[chosen]
        pairs = zip(found.tolist(), self._is_special[found].tolist(), strict=True)
        examples = [{"input_ids": ids, "special_tokens_mask": special} for ids, special in pairs]
        return dict(self._collate(examples))


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    named = list(model.named_parameters())
    spared = [p for name, p in named if name.endswith(NO_DECAY)]
    decayed = [p for name, p in named if not name.endswith(NO_DECAY)]
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
