import numpy as np
import pytest
import torch
from torch import nn

from spacy_llm_tasks.pretraining.optimisation.average import Average

from ..toys import ToyModel, state_of


def test_it_equals_the_corrected_sum():
    weights = np.random.default_rng(0).normal(size=(6, 3, 2))
    model = nn.Linear(2, 3, bias=False)
    average = Average(model, decay=0.8)
    total = np.zeros((3, 2))
    for t, w in enumerate(weights, start=1):
        with torch.no_grad():
            model.weight.copy_(torch.tensor(w))
        average.update()
        total = 0.8 * total + 0.2 * w
        expected = total / (1 - 0.8**t)
        np.testing.assert_allclose(average.weights["weight"].numpy(), expected, atol=1e-6)


def test_the_first_update_forgets_where_the_model_began():
    model = ToyModel()
    average = Average(model, decay=0.999)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(0.25)
    average.update()
    assert all(torch.equal(w, torch.full_like(w, 0.25)) for w in average.weights.values())


def test_swapping_gives_the_average_and_takes_it_back_to_the_bit():
    model = ToyModel()
    average = Average(model, decay=0.5)
    average.update()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
    average.update()
    own, averaged = state_of(model), {n: w.clone() for n, w in average.weights.items()}
    places = [p.data_ptr() for p in model.parameters()]
    with pytest.raises(RuntimeError, match="evaluation"), average.swap():
        inside = state_of(model)
        assert all(torch.equal(inside[n], averaged[n]) for n in averaged)
        raise RuntimeError("evaluation failed")
    assert all(torch.equal(own[n], w) for n, w in state_of(model).items())
    assert all(torch.equal(averaged[n], w) for n, w in average.weights.items())
    assert places == [p.data_ptr() for p in model.parameters()]
    assert not torch.equal(own["heads.a.weight"], averaged["heads.a.weight"])


def test_going_on_after_a_load_equals_not_having_stopped():
    model = ToyModel()
    average, restored = Average(model, decay=0.9), Average(ToyModel(seed=1), decay=0.9)
    for _ in range(2):
        average.update()
    restored.load_state_dict({key: tensor.clone() for key, tensor in average.state_dict().items()})
    restored.parameters = average.parameters
    with torch.no_grad():
        model.heads["a"].weight.add_(1)
    average.update()
    restored.update()
    assert int(restored.n_updates) == 3
    assert all(torch.equal(w, restored.weights[n]) for n, w in average.weights.items())


def test_the_state_of_another_model_is_refused():
    state = Average(ToyModel(depth=2), decay=0.9).state_dict()
    with pytest.raises(ValueError, match="E744.*blocks.1"):
        Average(ToyModel(depth=1), decay=0.9).load_state_dict(state)
    with pytest.raises(ValueError, match="E745"):
        Average(ToyModel(width=32), decay=0.9).load_state_dict(state)


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_a_decay_out_of_range_is_refused(decay):
    with pytest.raises(ValueError, match="E741"):
        Average(nn.Linear(2, 2), decay=decay)
