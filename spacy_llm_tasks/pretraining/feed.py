"""Micro-batches ready for the model: which chunks, corrupted how, as a function of their number.

Nothing here has a memory. Micro-batch n of an objective is the same on every machine, in every
process, before and after a restart: its chunks follow from n and the sampler's seed, and its masks
from a random generator that is seeded with n.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .objectives.objective import Objective
from .objectives.prepared import Prepared
from .pieces.chunks import ChunkSampler
from .pieces.special import SpecialIds


class Feed:
    """Prepares micro-batches.

    sampler (ChunkSampler): Cuts and orders the text.
    objectives (Mapping[str, Objective]): By name.
    special (SpecialIds): The special pieces.
    seed (int): Seeds masks and other random choices.
    """

    def __init__(
        self,
        sampler: ChunkSampler,
        objectives: Mapping[str, Objective],
        special: SpecialIds,
        *,
        seed: int,
    ) -> None:
        self.sampler = sampler
        self.objectives = objectives
        self.special = special
        self.seed = seed
        self._places = {name: place for place, name in enumerate(sorted(objectives))}

    def prepare(self, name: str, number: int, *, progress: float) -> Prepared:
        """Prepare a micro-batch.

        name (str): The objective.
        number (int): Which micro-batch, from 0, of an endless row.
        progress (float): Share of the run that is done; masking rates may depend on it.
        RETURNS (Prepared): The micro-batch, on the CPU.
        """
        chunks = self.sampler.batch(number)
        rng = np.random.default_rng((self.seed, number, self._places[name]))
        return self.objectives[name].prepare(chunks, self.special, rng=rng, progress=progress)
