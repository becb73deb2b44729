"""The random states of all processes of a team: seeded, put into JSON, and brought back.

Dropout draws from torch's generator of each process, so a run that goes on must have the states of
all of them. A run that goes on with another number of processes cannot; it is seeded anew by the
step, so that it still is the same run whenever it is repeated.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ...randomness import RandomState
from .distributed import Team


def seed_all(*keys: int) -> None:
    """Seed the generators of Python, numpy and torch, on all devices.

    keys (int): Not negative. Any change of any of them gives other numbers.
    """
    words = [int(word) for word in np.random.SeedSequence(keys).generate_state(4, np.uint32)]
    random.seed(words[0])
    np.random.seed(words[1])
    torch.manual_seed(words[2] << 32 | words[3])


def pack_state(state: RandomState) -> dict[str, Any]:
    """RETURNS (dict): A state in JSON types; each array as `[dtype, base64]`."""
    arrays = {
        name: [array.dtype.str, base64.b64encode(array.tobytes()).decode("ascii")]
        for name, array in state.arrays.items()
    }
    return {"arrays": arrays, "numbers": state.numbers}


def unpack_state(packed: dict[str, Any]) -> RandomState:
    """RETURNS (RandomState): What `pack_state` was given."""
    arrays = {
        name: np.frombuffer(base64.b64decode(data), dtype=np.dtype(dtype)).copy()
        for name, (dtype, data) in packed["arrays"].items()
    }
    return RandomState(arrays, packed["numbers"])


def random_states(team: Team) -> list[dict[str, Any]]:
    """RETURNS (list[dict]): The state of each process as it stands, by rank, fit for JSON."""
    return team.gather(pack_state(RandomState.now()))


def restore_random_states(
    states: Sequence[dict[str, Any]], team: Team, *, seed: int, step: int
) -> bool:
    """Bring the states back.

    states (Sequence[dict]): What `random_states` gave, the same in every process.
    team (Team): The processes there are now.
    seed (int): The seed of the run.
    step (int): The steps done.
    RETURNS (bool): Whether each process has its state. False: their number is another one, and
        they were seeded by seed, step and rank.
    """
    if len(states) != team.world:
        seed_all(seed, step, team.rank)
        return False
    unpack_state(states[team.rank]).restore()
    return True
