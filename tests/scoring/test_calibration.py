import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from spacy_llm_tasks.scoring import calibration as cal

SCORES = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.2, 0.5, 1.0]))
PREDICTIONS = st.lists(st.tuples(SCORES, st.booleans()), min_size=1, max_size=40)


def naive_ece(groups):
    total = sum(len(group) for group in groups)
    error = 0.0
    for group in groups:
        if group:
            confidence = sum(p for p, _ in group) / len(group)
            accuracy = sum(y for _, y in group) / len(group)
            error += len(group) / total * abs(accuracy - confidence)
    return error


@settings(max_examples=200, deadline=None)
@given(PREDICTIONS, st.integers(1, 20))
def test_equal_width_error_equals_the_definition(data, n_bins):
    groups = [[] for _ in range(n_bins)]
    for p, y in data:
        m = next((m for m in range(n_bins) if p * n_bins <= m + 1), n_bins - 1)
        groups[m].append((p, y))
    found = cal.expected_calibration_error(*zip(*data, strict=True), n_bins=n_bins)
    assert found == pytest.approx(naive_ece(groups))


@settings(max_examples=200, deadline=None)
@given(PREDICTIONS, st.integers(1, 20))
def test_equal_mass_error_equals_the_definition(data, n_bins):
    ranked = sorted(data, key=lambda pair: pair[0])
    sizes = [len(data) // n_bins + (m < len(data) % n_bins) for m in range(n_bins)]
    groups, at = [], 0
    for size in sizes:
        groups.append(ranked[at : at + size])
        at += size
    found = cal.expected_calibration_error(*zip(*data, strict=True), n_bins=n_bins, equal_mass=True)
    assert found == pytest.approx(naive_ece(groups))


def test_error_of_known_cases():
    ece = cal.expected_calibration_error
    assert ece([1.0, 1.0, 0.0], [1, 1, 0]) == 0.0
    assert ece([1.0] * 4, [0] * 4) == 1.0
    assert ece([0.75] * 4, [1, 1, 1, 0]) == 0.0
    assert ece([], []) is None
    with pytest.raises(ValueError, match="E303"):
        ece([1.2], [1])
    with pytest.raises(ValueError, match="E331"):
        ece([0.2], [1, 0])
    with pytest.raises(ValueError, match="E313"):
        ece([0.2], [1], n_bins=0)


@given(st.lists(st.floats(-30, 25), min_size=1))
def test_sigmoid_and_logits_are_inverse_and_finite(x):
    assert (
        cal.to_logits(cal.sigmoid(x)) == pytest.approx(np.array(x), abs=1e-3, rel=1e-3)
        or min(x) < -27
    )
    assert np.isfinite(cal.to_logits([0.0, 1.0])).all()
    assert cal.sigmoid([-1e4, 1e4]).tolist() == [0.0, 1.0]


def overconfident(n=4000, temperature=2.5, seed=0):
    rng = np.random.default_rng(seed)
    true = rng.normal(0.7, 1.5, n)
    return true * temperature, rng.random(n) < cal.sigmoid(true)


def test_a_temperature_undoes_overconfidence():
    logits, correct = overconfident()
    temperature = cal.fit_temperature(logits, correct)
    assert temperature == pytest.approx(2.5, rel=0.1)
    before = cal.expected_calibration_error(cal.sigmoid(logits), correct)
    after = cal.expected_calibration_error(cal.sigmoid(logits / temperature), correct)
    assert after < 0.03 < before


def test_a_temperature_for_exclusive_labels():
    rng = np.random.default_rng(1)
    true = rng.normal(0, 1.5, (4000, 4))
    gold = np.array([rng.choice(4, p=p) for p in cal.softmax(true)])
    assert cal.fit_temperature(true * 3.0, gold) == pytest.approx(3.0, rel=0.1)
    assert cal.softmax(true).sum(axis=1) == pytest.approx(np.ones(4000))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-8, 8), st.booleans()), min_size=2, max_size=30))
def test_temperature_is_the_minimum_within_its_bounds(data):
    x, y = (np.array(column, dtype=float) for column in zip(*data, strict=True))

    def loss(log_t):
        return cal.negative_log_likelihood(x, y, temperature=np.exp(log_t))

    found = cal.fit_temperature(x, y)
    bounds = (np.log(0.05), np.log(20.0))
    best = minimize_scalar(loss, bounds=bounds, method="bounded")
    assert 0.05 <= found <= 20.0
    assert loss(np.log(found)) <= min(best.fun, loss(bounds[0]), loss(bounds[1])) + 1e-6


@given(st.lists(st.tuples(st.floats(-5, 5), st.booleans()), min_size=1, max_size=20))
def test_likelihood_of_two_labels_equals_that_of_one_logit(data):
    x, y = (np.array(column, dtype=float) for column in zip(*data, strict=True))
    two = np.stack([np.zeros_like(x), x], axis=1)
    naive = -np.mean(np.where(y > 0.5, np.log(cal.sigmoid(x)), np.log(cal.sigmoid(-x))))
    assert cal.negative_log_likelihood(x, y) == pytest.approx(naive)
    assert cal.negative_log_likelihood(two, y) == pytest.approx(naive)


def test_platt_undoes_scale_and_shift():
    logits, correct = overconfident(8000)
    scale, shift = cal.fit_platt(logits + 2.0, correct)
    assert scale == pytest.approx(0.4, rel=0.1) and shift == pytest.approx(-0.8, abs=0.15)
    assert (
        cal.expected_calibration_error(cal.sigmoid(scale * (logits + 2.0) + shift), correct) < 0.03
    )


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.floats(-20, 20), st.booleans()), min_size=1, max_size=30))
@example([(6.41823292894227, right) for right in (False, False, True, True, True)])
def test_platt_is_finite_keeps_the_order_and_does_not_hurt(data):
    x, y = (np.array(column, dtype=float) for column in zip(*data, strict=True))
    scale, shift = cal.fit_platt(x, y)
    assert np.isfinite([scale, shift]).all() and scale > 0
    n = y.sum()
    targets = np.where(y > 0.5, (n + 1) / (n + 2), 1 / (len(y) - n + 2))

    def loss(v):
        return np.mean(np.logaddexp(0.0, v) - targets * v)

    constant = cal.to_logits(targets.mean())
    assert loss(scale * x + shift) <= loss(np.full(len(x), constant)) + 0.02


@settings(max_examples=200, deadline=None)
@given(PREDICTIONS)
def test_the_tuned_threshold_has_the_best_f1_of_all(data):
    x, y = (np.array(column, dtype=float) for column in zip(*data, strict=True))

    def f1(threshold):
        chosen = x >= threshold
        tp = np.sum(chosen & (y > 0))
        return 2 * tp / (chosen.sum() + y.sum()) if tp else 0.0

    found = cal.tune_threshold(x, y)
    if not y.any():
        assert found == 0.5
    else:
        assert f1(found) == pytest.approx(max(f1(threshold) for threshold in x))


def test_thresholds_leave_room_and_prefer_the_default():
    assert cal.tune_threshold([0.1, 0.3, 0.8, 0.9], [0, 0, 1, 1]) == pytest.approx(0.55)
    assert cal.tune_threshold([0.2, 0.2], [1, 1]) == 0.2
    assert cal.tune_threshold([0.5, 0.5 + 2**-53], [0, 1], default=0.9) > 0.5
    assert cal.fit_temperature([], []) == 1.0 and cal.fit_platt([], []) == (1.0, 0.0)
    with pytest.raises(ValueError, match="E331"):
        cal.fit_temperature([[1.0]], [1, 0])


def test_a_threshold_counts_what_was_never_found():
    scores, gold = [3.0, 2.0, 1.0, 0.0], [True, True, False, True]
    # With two more true items that have no score, the last right one is worth the wrong one.
    found = cal.tune_threshold(scores, gold, n_true=5)
    f1 = {t: 2 * sum(g for s, g in zip(scores, gold, strict=True) if s >= t) for t in scores}
    best = max(f1, key=lambda t: f1[t] / (sum(s >= t for s in scores) + 5))
    assert [s >= found for s in scores] == [s >= best for s in scores]
    assert cal.tune_threshold(scores, gold, n_true=3) == cal.tune_threshold(scores, gold)
