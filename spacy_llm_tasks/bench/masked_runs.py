"""Timed runs of masked language modelling, ours and plain, and one judge for both."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from ..pretraining.feed import Feed
from ..pretraining.objectives.masked import MaskedLM
from ..pretraining.objectives.prepared import Prepared
from ..pretraining.optimisation.allocator import keep_memory
from ..pretraining.optimisation.schedules import make_schedule
from ..pretraining.pieces.chunks import ChunkIndex, ChunkSampler
from ..pretraining.run import pretrain
from ..pretraining.settings import Settings
from .material import READERS, Material
from .plain_lm import plain_training

# How held-out text is hidden and cut; each draw hides other pieces of the same chunks.
EVALUATION: dict[str, Any] = {"rate": 0.15, "min_pieces": 8, "batch_pieces": 4096, "draws": 4}


class StepClock:
    """Seconds from the end of the first step to the end of the last."""

    def __init__(self) -> None:
        self._ticks: list[tuple[float, float]] = []

    def tick(self) -> bool:
        """Note the end of a step. RETURNS (bool): False, for those who ask whether to stop."""
        now = (time.perf_counter(), time.process_time())
        self._ticks = [*self._ticks[:1], now]
        return False

    @property
    def seconds(self) -> dict[str, float]:
        """RETURNS (dict): `wall` and `cpu` seconds; of the process, all of its threads."""
        (wall, cpu), (last_wall, last_cpu) = self._ticks[0], self._ticks[-1]
        return {"wall": max(1e-9, last_wall - wall), "cpu": last_cpu - cpu}


class OurRun:
    """A run of `pretrain`.

    settings (Settings): What to do.
    output (Path): Folder for it.
    threads (int): torch threads.
    """

    def __init__(self, settings: Settings, output: Path, threads: int) -> None:
        torch.set_num_threads(threads)
        keep_memory()
        self.settings = settings
        self.output = output

    def __call__(self, n: int) -> dict[str, Any]:
        """RETURNS (dict): `steps`, `pieces`, `seconds`, and the folder of the `model`."""
        clock, seen = StepClock(), [0]

        def note(line: Any, share: float) -> None:
            seen.append(line.get("pieces", seen[-1]))

        result = pretrain(
            self.settings, self.output, readers=READERS, on_line=note, stop=clock.tick
        )
        found = {"steps": result.step, "pieces": seen[-1], "model": str(result.model)}
        return {**found, "seconds": clock.seconds}


@dataclass(frozen=True)
class PlainRecipe:
    """How the plain loop trains, the learning rate apart as its documentation advises.

    size (str): A key of `nn.presets.PRESETS`.
    length (int): Pieces of a block, framing included.
    batch (int): Blocks of a step.
    learn_rate (float): The highest rate.
    dropout (float): The model's; 0.1 is BERT's.
    warmup (float): Share of the run in which the rate rises, before it falls to 0.
    weight_decay (float): Of matrices and tables.
    seed (int): Seeds weights, order and masks.
    """

    size: str
    length: int
    batch: int
    learn_rate: float
    dropout: float = 0.1
    warmup: float = 0.06
    weight_decay: float = 0.01
    seed: int = 0


class PlainRun:
    """A run of the plain loop.

    material (Material): What is read.
    recipe (PlainRecipe): How.
    output (Path): Folder for the model.
    minutes (float): How long.
    threads (int): torch threads.
    """

    def __init__(
        self, material: Material, recipe: PlainRecipe, output: Path, minutes: float, threads: int
    ) -> None:
        torch.set_num_threads(threads)
        settings = {k: v for k, v in asdict(recipe).items() if k != "warmup"}
        self.training = plain_training(material, **settings)
        self.recipe = recipe
        self.output = output
        self.minutes = minutes

    def __call__(self, n: int) -> dict[str, Any]:
        """RETURNS (dict): `steps`, `pieces`, `seconds`, and the folder of the `model`."""
        schedule, clock = make_schedule("linear", warmup=self.recipe.warmup), StepClock()
        started, steps = time.monotonic(), 0
        while (share := (time.monotonic() - started) / (60 * self.minutes)) < 1.0:
            self.training.step(schedule(share))
            clock.tick()
            steps += 1
        model: Any = self.training.model
        model.save_pretrained(self.output)
        pieces = steps * self.recipe.batch * self.recipe.length
        found = {"steps": steps, "pieces": pieces, "model": str(self.output)}
        return {**found, "seconds": clock.seconds}


class Score:
    """Reads held-out text with a model that `transformers` loads.

    model (Path): Folder of the model.
    material (Material): What it was trained on.
    length (int): Pieces of a chunk at most, framing not included.
    threads (int): torch threads.
    """

    def __init__(self, model: Path, material: Material, length: int, threads: int) -> None:
        from transformers import AutoModelForMaskedLM

        torch.set_num_threads(threads)
        self.model = AutoModelForMaskedLM.from_pretrained(model, torch_dtype=torch.float32).eval()
        self.material = material
        index = ChunkIndex(
            material.pieces("held_out"), length=length, min_pieces=EVALUATION["min_pieces"]
        )
        self.sampler = ChunkSampler(index, batch_pieces=EVALUATION["batch_pieces"], seed=0)

    def __call__(self, n: int) -> dict[str, Any]:
        """Score all held-out chunks.

        n (int): How often, each time with other masks.
        RETURNS (dict): `loss` in nats, `perplexity`, `accuracy`, and `predictions` made.
        """
        objectives = {"masked": MaskedLM(rate=EVALUATION["rate"], replacements="mask")}
        feed = Feed(self.sampler, objectives, self.material.special, seed=0)
        sums = np.zeros(3)
        # Micro-batches of later epochs hold the same chunks, with masks of their own.
        for number in range(n * self.sampler.n_batches):
            prepared = feed.prepare("masked", number, progress=1.0)
            logits = self.logits(prepared)
            loss = F.cross_entropy(logits, prepared.targets, reduction="sum")
            hits = (logits.argmax(dim=1) == prepared.targets).sum()
            sums += [float(loss), float(hits), prepared.count]
        loss, accuracy = (sums[:2] / sums[2]).tolist()
        perplexity, predictions = math.exp(loss), int(sums[2])
        return {
            "loss": loss,
            "perplexity": perplexity,
            "accuracy": accuracy,
            "predictions": predictions,
        }

    @torch.no_grad()
    def logits(self, prepared: Prepared) -> Tensor:
        """RETURNS (Tensor): (n, V) of the rows that predict."""
        parts = prepared.pieces.split(prepared.lengths.tolist())
        padded = pad_sequence(parts, batch_first=True, padding_value=self.material.special.pad)
        columns = torch.arange(padded.shape[1])
        is_real = columns < prepared.lengths[:, None]  # (B, L)
        logits = self.model(input_ids=padded, attention_mask=is_real.long()).logits
        return logits[is_real][prepared.target_rows]
