import numpy as np
import pytest
import torch
from spacy import registry
from thinc.api import Linear, chain, warmup_linear

from spacy_llm_tasks.training.optimizer import AdamW, is_decayed, make_adamw


def step_torch(weights, gradients, **settings):
    parameter = torch.nn.Parameter(torch.from_numpy(weights.copy()))
    optimizer = torch.optim.AdamW([parameter], **settings)
    for gradient in gradients:
        parameter.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
    return parameter.detach().numpy()


@pytest.mark.parametrize("shape", [(7, 5), (3, 4, 2), (33, 17)])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_steps_equal_those_of_torch(shape, weight_decay):
    rng = np.random.default_rng(0)
    weights = rng.normal(size=shape).astype("float32")
    gradients = [rng.normal(size=shape).astype("float32") for _ in range(4)]
    expected = step_torch(weights, gradients, lr=0.01, weight_decay=weight_decay)
    optimizer = make_adamw(0.01, weight_decay=weight_decay)
    ours = weights.copy()
    for gradient in gradients:
        stepped, cleared = optimizer((1, "x.weight"), ours, gradient.copy(), decay=True)
        assert stepped is ours
        assert not cleared.any()
    np.testing.assert_allclose(ours, expected, atol=1e-6, rtol=0)
    assert np.abs(ours - weights).max() > 0.01


def test_vectors_norms_and_biases_are_not_decayed():
    assert is_decayed("blocks.0.attention.query.weight", 2)
    assert not is_decayed("blocks.0.attention.query.bias", 1)
    assert not is_decayed("in_proj_bias", 2)
    assert not is_decayed("blocks.0.norm.weight", 2)
    assert not is_decayed("LayerNorm_1.weight", 2)
    assert not is_decayed("b", 2)  # thinc's Maxout
    weights = np.ones((2, 2), dtype="float32")
    for name, decay in (("W", None), ("b", None), ("any", True), ("any", False)):
        optimizer = make_adamw(0.1, weight_decay=0.5)
        stepped, _ = optimizer((1, name), weights.copy(), np.zeros_like(weights), decay=decay)
        expected = 0.95 if name == "W" or decay else 1.0
        np.testing.assert_allclose(stepped, expected, rtol=1e-6)


def test_options_follow_role_and_layer():
    optimizer = make_adamw(0.1, encoder_scale=0.2, layer_decay=0.5, start_share=0.3)

    def options(role, layer, depth=3):
        return optimizer.options_for(role=role, name="a.weight", ndim=2, layer=layer, depth=depth)

    assert options("head", None, None) == {"lr_scale": 1.0, "decay": True, "start_share": 0.0}
    assert options("encoder", 3) == {"lr_scale": 0.2, "decay": True, "start_share": 0.3}
    assert options("encoder", 0)["lr_scale"] == pytest.approx(0.2 * 0.5**3)
    weights = {scale: np.zeros((1, 2), dtype="float32") for scale in (1.0, 0.2)}
    for scale, array in weights.items():
        optimizer((1, str(scale)), array, np.ones_like(array), lr_scale=scale, decay=False)
    np.testing.assert_allclose(weights[0.2], 0.2 * weights[1.0], rtol=1e-5)


def test_only_stock_layers_are_clipped_here():
    gradient = np.full((2, 2), 100, dtype="float32")
    for decay, clipped in ((None, True), (True, False)):
        optimizer = make_adamw(0.1, grad_clip=1.0)
        optimizer((1, "W"), np.zeros((2, 2), dtype="float32"), gradient.copy(), decay=decay)
        largest = float(optimizer.mom1[(1, "W")].max())
        assert largest == pytest.approx(0.1 * (0.5 if clipped else 100), rel=1e-4)


def test_transposed_weights_are_written_back():
    base = np.arange(6, dtype="float32").reshape(2, 3)
    weights, gradient = base.copy().T, np.ones((3, 2), dtype="float32")
    expected = step_torch(np.ascontiguousarray(base.T), [gradient], lr=0.1, weight_decay=0.0)
    stepped, _ = make_adamw(0.1, weight_decay=0.0)((1, "W"), weights, gradient, decay=True)
    np.testing.assert_allclose(stepped, expected, atol=1e-6)


def test_schedules_set_the_rates():
    optimizer = make_adamw(warmup_linear(1.0, 2, 4))
    rates = [optimizer.learn_rate]
    for _ in range(3):
        optimizer.step_schedules()
        rates.append(optimizer.learn_rate)
    assert rates == [0.0, 0.5, 1.0, 0.5]


def test_trains_a_thinc_model():
    model = chain(Linear(4, 3), Linear(1, 4)).initialize()
    X = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    Y = X[:, :1] - X[:, 1:2]
    optimizer = make_adamw(0.05)
    losses = []
    for _ in range(60):
        guess, backprop = model.begin_update(X)
        backprop((guess - Y) / len(X))
        model.finish_update(optimizer)
        losses.append(float(((guess - Y) ** 2).mean()))
    assert losses[-1] < 0.05 * losses[0]


def test_averages():
    optimizer = make_adamw(0.1, average_decay=0.4)
    weights, seen = np.zeros((2, 3), dtype="float32"), []
    for step in range(6):
        optimizer((1, "W"), weights, np.full((2, 3), 1 + step, "float32"), decay=False)
        seen.append(weights.copy())
    shares = 0.4 ** np.arange(6)[::-1]
    expected = np.einsum("s,sij->ij", shares / shares.sum(), np.stack(seen))
    np.testing.assert_allclose(optimizer.averages[1, "W"], expected, rtol=1e-6)
    assert not np.allclose(expected, weights)


@pytest.mark.parametrize("average_decay", [0.0, 0.4])
def test_a_share_of_the_start(average_decay):
    start = np.full((2, 3), 5, dtype="float32")
    made = {}
    for share in (0.0, 0.25):
        optimizer = make_adamw(0.1, average_decay=average_decay, start_share=0.25)
        weights = start.copy()
        for step in range(4):
            gradient = np.full((2, 3), 1 + step, "float32")
            optimizer((1, "W"), weights, gradient, decay=False, start_share=share)
        made[share] = optimizer.averages[1, "W"], weights
    (without, raw), (with_start, same) = made.values()
    np.testing.assert_array_equal(raw, same)
    np.testing.assert_allclose(with_start, 0.75 * without + 0.25 * start, rtol=1e-6)
    assert average_decay or np.array_equal(without, raw)
    assert not np.allclose(raw, start)


def test_averages_of_stock_layers_can_be_used():
    model = chain(Linear(4, 3), Linear(1, 4)).initialize()
    X = np.ones((5, 3), dtype="float32")
    optimizer = make_adamw(0.05, average_decay=0.9)
    for _ in range(3):
        guess, backprop = model.begin_update(X)
        backprop(guess - 1)
        model.finish_update(optimizer)
    own = model.predict(X)
    with model.use_params(optimizer.averages):
        assert not np.allclose(model.predict(X), own)
    np.testing.assert_array_equal(model.predict(X), own)


@pytest.mark.parametrize(
    "setting",
    [{"layer_decay": 1.5}, {"clip_norm": -1.0}, {"average_decay": 1.5}, {"start_share": -0.1}],
)
def test_settings_out_of_range_are_named(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        make_adamw(0.1, **setting)


def test_is_registered():
    block = {"@optimizers": "spacy_llm_tasks.AdamW.v1", "learn_rate": 0.5, "clip_norm": 2.0}
    optimizer = registry.resolve({"optimizer": block})["optimizer"]
    assert isinstance(optimizer, AdamW)
    assert optimizer.learn_rate == 0.5
    assert optimizer.clip_norm == 2.0
    assert optimizer.averages is None


def test_parameters_stepped_together_go_where_they_go_alone():
    torch.manual_seed(0)
    shapes = {"a.weight": (3, 4), "a.bias": (3,), "norm.weight": (4,), "turned": (5, 2)}
    alone, together = make_adamw(0.1, layer_decay=0.5), make_adamw(0.1, layer_decay=0.5)
    one = {name: torch.randn(shape) for name, shape in shapes.items()}
    one["turned"] = one["turned"].t()  # not in one piece
    other = {
        name: weights.clone(memory_format=torch.preserve_format) for name, weights in one.items()
    }
    for _ in range(3):
        gradients = {name: torch.randn(weights.shape) for name, weights in one.items()}
        steps = []
        for layer, (name, gradient) in enumerate(gradients.items()):
            group = {"role": "encoder", "name": name, "ndim": gradient.ndim}
            options = alone.options_for(**group, layer=layer, depth=4)
            alone((1, name), one[name].numpy(), gradient.clone().numpy(), **options)
            steps.append(((1, name), other[name], gradient.clone(), options))
        together.step_all(steps)
        assert together.nr_update == alone.nr_update
    for name, weights in one.items():
        assert torch.equal(weights, other[name]), name
