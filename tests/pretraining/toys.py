"""A model in the form of a pretraining model, small enough to be stepped in a millisecond."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spacy_llm_tasks.nn.config import TransformerConfig
from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.nn.packing import Packing

N_PIECES = 30


class Loss(NamedTuple):
    total: Tensor
    count: int


class ToyModel(nn.Module):
    """A trunk, and two heads that take turns."""

    def __init__(self, *, seed=0, depth=2, width=16):
        super().__init__()
        torch.manual_seed(seed)
        config = TransformerConfig(
            n_pieces=N_PIECES,
            width=width,
            depth=depth,
            n_heads=2,
            ffn_width=24,
            max_length=16,
            activation="geglu",
            norm_position="pre",
            dropout=0.0,
            attention_dropout=0.0,
        )
        self.trunk = TransformerEncoder(config)
        self.heads = nn.ModuleDict({"a": nn.Linear(width, N_PIECES), "b": nn.Linear(width, 3)})

    def forward(self, name, batch):
        """batch: list of sequences of pieces. The next piece, or its remainder by 3."""
        pieces = torch.tensor([piece for sequence in batch for piece in sequence])
        packing = Packing.from_lengths([len(sequence) for sequence in batch])
        rows = self.trunk(pieces, packing).last
        logits = self.heads[name](rows)
        targets = (pieces + 1) % logits.shape[1]
        return Loss(F.cross_entropy(logits, targets, reduction="sum"), len(pieces))


def batch_of(*lengths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(N_PIECES, (n,), generator=generator).tolist() for n in lengths]


def train(model, optimizer, steps):
    """Steps with batches that follow from the step's number."""
    for step in steps:
        optimizer.zero_grad()
        loss = model("ab"[step % 2], batch_of(5, 3, seed=step))
        (loss.total / loss.count).backward()
        optimizer.step()


def state_of(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
