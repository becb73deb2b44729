"""The sides of the speed of pretraining: whole steps of masked language modelling, ours and plain.

    plain             `transformers` as run_mlm uses it, float32 (see `plain_lm`)
    plain-tuned       the same with bfloat16 autocast, fused AdamW and the tuned allocator
    ours-fp32         what `pretrain` runs, float32, with AdamW
    ours-bf16         the same with bfloat16 autocast
    ours-muon         the same with Muon for the matrices in blocks
    ours-compiled     ours-bf16 with its blocks compiled, where there is a compiler; slow to start

A step is: chunks and masks made, forward, backward, clipping, optimizer. Sequences are of full
length, without padding, on all sides, and come from the same text by the same tokenizer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..nn.compiled import compile_blocks
from ..nn.encoder import TransformerEncoder
from ..nn.presets import preset
from ..pretraining.feed import Feed
from ..pretraining.model import PretrainingModel
from ..pretraining.objectives.masked import MaskedLM
from ..pretraining.optimisation.allocator import keep_memory
from ..pretraining.optimisation.optimizers import make_optimizer
from ..pretraining.optimisation.precision import MixedPrecision
from ..pretraining.optimisation.update import Update
from ..pretraining.pieces.chunks import ChunkIndex, ChunkSampler
from ..pretraining.team.distributed import Team
from ..pretraining.team.randomness import seed_all
from . import plain_lm
from .material import Material
from .workers import Work

LEARN_RATE = 1e-3
FRAMING = 2  # `cls` and `sep`, which count as pieces of a sequence here


@dataclass(frozen=True)
class Side:
    """What is timed.

    ours (bool): Our model and loop, or the plain ones.
    precision (str): "fp32" or "bf16".
    tuned (bool): Whether AdamW is fused and the allocator keeps memory.
    optimizer (str): "adamw" or "muon".
    compiled (bool): Whether blocks are compiled.
    """

    ours: bool
    precision: str
    tuned: bool = True
    optimizer: str = "adamw"
    compiled: bool = False


SIDES = {
    "plain": Side(ours=False, precision="fp32", tuned=False),
    "plain-tuned": Side(ours=False, precision="bf16"),
    "ours-fp32": Side(ours=True, precision="fp32"),
    "ours-bf16": Side(ours=True, precision="bf16"),
    "ours-muon": Side(ours=True, precision="bf16", optimizer="muon"),
    "ours-compiled": Side(ours=True, precision="bf16", compiled=True),
}


@dataclass(frozen=True)
class Job:
    """What all sides have in common.

    material (Path): Folder of `material.prepare_material`.
    size (str): A key of `nn.presets.PRESETS`.
    length (int): Pieces of a sequence, the two that frame it included.
    batch (int): Sequences of a step.
    dropout (float): Of the plain model; ours has none.
    threads (int): torch threads.
    seed (int): Seeds weights, order and masks.
    """

    material: Path
    size: str = "mini"
    length: int = 128
    batch: int = 32
    dropout: float = 0.1
    threads: int = 1
    seed: int = 0


class OurSteps:
    """Steps of `pretrain`, on the chunks of full length alone.

    job (Job): What to train.
    side (Side): How.
    scratch (Path): Folder for what a failing step leaves.
    """

    def __init__(self, job: Job, side: Side, scratch: Path) -> None:
        _set_up(job, keep=side.tuned)
        seed_all(job.seed)
        material = Material(job.material)
        special, inner = material.special, job.length - FRAMING
        objectives = {"masked": MaskedLM(rate=plain_lm.RATE)}
        trunk = TransformerEncoder(preset("encoder", job.size, n_pieces=special.n_pieces))
        model = PretrainingModel(trunk, list(objectives.values()))
        if side.compiled:
            compile_blocks(trunk.modules())
        optimizer = make_optimizer(model, name=side.optimizer, learn_rate=LEARN_RATE)
        self.update = Update(
            model,
            optimizer,
            weights={"masked": 1.0},
            precision=MixedPrecision(side.precision, device=torch.device("cpu")),
            team=Team(),
            clip_norm=plain_lm.CLIP_NORM,
            average=None,
            culprits=scratch / "not-a-number.npz",
        )
        index = ChunkIndex(material.pieces("train"), length=inner, min_pieces=inner)
        sampler = ChunkSampler(index, batch_pieces=job.batch * job.length, seed=job.seed)
        self.feed = Feed(sampler, objectives, special, seed=job.seed)
        self.n_parameters = sum(p.numel() for p in model.parameters())
        self.number = 0

    def __call__(self, n: int) -> dict[str, Any]:
        """RETURNS (dict): `pieces`, `loss` of the last step and `n_parameters`."""
        n_pieces, loss = 0, float("nan")
        for _ in range(n):
            prepared = self.feed.prepare("masked", self.number, progress=0.0)
            loss = self.update({"masked": [prepared]}, factor=1.0).loss("masked")
            n_pieces += len(prepared.pieces)
            self.number += 1
        return {"pieces": n_pieces, "loss": loss, "n_parameters": self.n_parameters}


class PlainSteps:
    """Steps of the plain side.

    job (Job): What to train.
    side (Side): How.
    """

    def __init__(self, job: Job, side: Side) -> None:
        _set_up(job, keep=side.tuned)
        self.training = plain_lm.plain_training(
            Material(job.material),
            size=job.size,
            length=job.length,
            batch=job.batch,
            dropout=job.dropout,
            seed=job.seed,
            learn_rate=LEARN_RATE,
            bf16=side.precision == "bf16",
            fused=side.tuned,
        )
        self.n_pieces = job.batch * job.length
        self.n_parameters = sum(p.numel() for p in self.training.model.parameters())

    def __call__(self, n: int) -> dict[str, Any]:
        """RETURNS (dict): `pieces`, `loss` of the last step and `n_parameters`."""
        losses = [self.training.step() for _ in range(n)]
        n_parameters = self.n_parameters
        return {"pieces": n * self.n_pieces, "loss": losses[-1], "n_parameters": n_parameters}


def work_of(side: str, job: Job, scratch: Path) -> tuple[Callable[..., Work], tuple[Any, ...]]:
    """What a worker needs to make a side's steps.

    side (str): A key of `SIDES`.
    job (Job): What to train.
    scratch (Path): Folder for what a failing step leaves.
    RETURNS (tuple): A function and its arguments.
    """
    chosen = SIDES[side]
    return (OurSteps, (job, chosen, scratch)) if chosen.ours else (PlainSteps, (job, chosen))


def _set_up(job: Job, *, keep: bool) -> None:
    torch.set_num_threads(job.threads)
    if keep:
        keep_memory()
