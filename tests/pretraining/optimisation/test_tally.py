import math

import pytest
import torch

from spacy_llm_tasks.pretraining.objectives.prepared import LossSum
from spacy_llm_tasks.pretraining.optimisation.tally import Tally, bits_per_byte, perplexity
from spacy_llm_tasks.pretraining.team.distributed import Team


def loss(total, count, **metrics):
    return LossSum(torch.tensor(total, requires_grad=True), count, metrics)


def test_means_are_over_predictions_and_not_over_batches():
    tally = Tally()
    tally.add("masked", loss(6.0, 3, accuracy=(1.0, 3.0)))
    tally.add("masked", loss(4.0, 1, accuracy=(1.0, 1.0)))
    tally.add("contrastive", loss(5.0, 2))
    assert tally.means() == {
        "masked loss": 2.5,
        "masked accuracy": 0.5,
        "contrastive loss": 2.5,
    }
    assert tally.loss("masked") == 2.5
    assert math.isnan(tally.loss("causal"))


def test_what_does_not_count_changes_nothing():
    tally = Tally()
    tally.add("masked", loss(6.0, 3))
    tally.add("masked", loss(1000.0, 3), counts=False)
    assert tally.over(Team()).means() == {"masked loss": 2.0}


def test_perplexity_and_bits_per_byte():
    probabilities = [0.5, 0.25, 0.125]  # of three pieces, for a text of 6 bytes
    nats = -sum(math.log(p) for p in probabilities) / 3
    assert perplexity(nats) == pytest.approx((0.5 * 0.25 * 0.125) ** (-1 / 3), rel=1e-12)
    assert bits_per_byte(nats, 6 / 3) == pytest.approx((1 + 2 + 3) / 6, rel=1e-12)
    assert math.isfinite(perplexity(1e6))
