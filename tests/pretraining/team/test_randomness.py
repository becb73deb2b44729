import json
import random

import numpy as np
import torch

from spacy_llm_tasks.pretraining.team.distributed import Team
from spacy_llm_tasks.pretraining.team.randomness import (
    random_states,
    restore_random_states,
    seed_all,
)


def draws():
    return [random.random(), random.gauss(0, 1), *np.random.normal(size=3), *torch.rand(3).tolist()]


def test_states_come_back_through_json():
    seed_all(7)
    draws()  # leaves half of a pair of normal numbers in Python and numpy
    states = json.loads(json.dumps(random_states(Team())))
    expected = draws()
    assert draws() != expected
    assert restore_random_states(states, Team(), seed=7, step=1)
    assert draws() == expected


def test_another_number_of_processes_is_seeded_by_step_and_rank():
    states = random_states(Team()) * 2
    found = {}
    for seed, step, rank in [(1, 1, 0), (2, 1, 0), (1, 2, 0), (1, 1, 2)]:
        team = Team(rank=rank, world=3)
        assert not restore_random_states(states, team, seed=seed, step=step)
        found[seed, step, rank] = tuple(draws())
    assert len(set(found.values())) == 4
    restore_random_states(states, Team(world=3), seed=1, step=1)
    assert tuple(draws()) == found[1, 1, 0]


def test_seeds_are_large_and_keys_are_not_added_up():
    found = set()
    for keys in [(0, 0), (0, 1), (1, 0), (2**70, 5), (5, 2**70)]:
        seed_all(*keys)
        found.add(tuple(draws()))
    assert len(found) == 5
