"""The losses of relations, and what is predicted from their scores, against plain loops."""

import math

import numpy as np
import pytest
import torch

from spacy_llm_tasks.layers.candidates import pair_up
from spacy_llm_tasks.layers.relation_decoding import labels_above_threshold, one_label
from spacy_llm_tasks.layers.relation_losses import exclusive_loss, one_of_both, threshold_loss

N_LABELS = 3


def make_pairs(n_spans=4):
    own = np.arange(n_spans, dtype=np.int64)
    doc = np.zeros(n_spans, dtype=np.int64)
    return pair_up(doc, own, own + 1, doc, n_docs=1, max_distance=99)


def make(n_spans=4, *, scale=2.0, seed=0):
    torch.manual_seed(seed)
    pairs = make_pairs(n_spans)
    return torch.randn(len(pairs), 1 + N_LABELS) * scale, torch.from_numpy(pairs.twins)


def softmax(values):
    top = max(values)
    powers = [math.exp(v - top) for v in values]
    return [p / sum(powers) for p in powers]


def naive_threshold_loss(scores, gold):
    total = 0.0
    for row, right in zip(scores.tolist(), gold.tolist(), strict=True):
        t, *labels = row
        good = [s for s, r in zip(labels, right, strict=True) if r]
        bad = [s for s, r in zip(labels, right, strict=True) if not r]
        total -= sum(math.log(p) for p in softmax([*good, t])[:-1])
        total -= math.log(softmax([*bad, t])[-1])
    return total / len(scores)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_threshold_loss(share):
    scores, _ = make()
    gold = torch.rand(len(scores), N_LABELS) < share
    found = float(threshold_loss(scores, gold))
    assert found == pytest.approx(naive_threshold_loss(scores, gold), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scale", [0.0, 1.0, 3e3])
def test_losses_and_gradients_are_finite(dtype, scale):
    scores, twins = make(scale=scale)
    gold = torch.zeros(len(scores), N_LABELS, dtype=torch.bool)
    gold[0, 1] = gold[5, 2] = True
    losses = (lambda x: threshold_loss(x, gold), lambda x: exclusive_loss(x, gold, twins))
    for loss in losses:
        x = scores.to(dtype).requires_grad_(True)
        value = loss(x)
        value.backward()
        assert torch.isfinite(value) and torch.isfinite(x.grad).all()


def test_gradients_point_the_right_way():
    scores, twins = make()
    gold = torch.zeros(len(scores), N_LABELS, dtype=torch.bool)
    gold[0, 1] = True
    for loss in (threshold_loss, lambda x, y: exclusive_loss(x, y, twins)):
        x = scores.clone().requires_grad_(True)
        loss(x, gold).backward()
        assert x.grad[0, 2] < 0 < x.grad[0, 1]
        assert (x.grad[1:, 0] <= 0).all() or loss is not threshold_loss


def naive_options(scores, twins, row):
    here, there = scores[row].tolist(), scores[twins[row]].tolist()
    return [(here[0] + there[0]) / 2, *here[1:], *there[1:]]


def test_exclusive_loss():
    scores, twins = make()
    gold = torch.zeros(len(scores), N_LABELS, dtype=torch.bool)
    gold[0, 1] = gold[7, 0] = True
    # A label without a direction, and one pair with two labels: to find one of them is enough.
    gold[4, 2] = gold[twins[4], 2] = True
    gold[10, 0] = gold[10, 1] = True
    total = 0.0
    for row in range(len(scores)):
        chances = softmax(naive_options(scores, twins, row))
        right = [*gold[row].tolist(), *gold[twins[row]].tolist()]
        good = [p for p, r in zip(chances[1:], right, strict=True) if r] or [chances[0]]
        total -= math.log(sum(good))
    assert float(exclusive_loss(scores, gold, twins)) == pytest.approx(total / 12, rel=1e-5)


def test_both_directions_tell_one_story():
    scores, twins = make()
    likely = one_of_both(scores, twins)
    assert torch.allclose(likely.exp().sum(dim=1), torch.ones(12))
    there, back = likely[:, 1 : 1 + N_LABELS], likely[:, 1 + N_LABELS :]
    torch.testing.assert_close(there[twins], back)
    torch.testing.assert_close(likely[twins, 0], likely[:, 0])


# Predictions -------------------------------------------------------------------------------------

ANY = np.ones((12, N_LABELS), dtype=bool)
NONE = np.zeros(N_LABELS, dtype=bool)


def test_labels_above_the_threshold():
    scores, twins = make()
    found = labels_above_threshold(scores, ANY, twins.numpy(), undirected=NONE)
    for row, label in np.ndindex(12, N_LABELS):
        margin = float(scores[row, 1 + label] - scores[row, 0])
        assert found[row, label] == pytest.approx(margin if margin > 0 else -np.inf)
    allowed = np.random.default_rng(0).random((12, N_LABELS)) < 0.5
    some = labels_above_threshold(scores, allowed, twins.numpy(), undirected=NONE)
    assert np.array_equal(some, np.where(allowed, found, -np.inf))


def test_directions_that_do_not_matter_are_scored_together():
    scores, twins = make()
    undirected = np.array([False, True, False])
    found = labels_above_threshold(scores, ANY, twins.numpy(), undirected=undirected)
    margins = (scores[:, 1:] - scores[:, :1]).numpy()
    for row, label in np.ndindex(12, N_LABELS):
        margin = margins[row, label]
        if label == 1:
            margin = (margin + margins[twins[row], label]) / 2
        assert found[row, label] == pytest.approx(margin if margin > 0 else -np.inf, rel=1e-5)
    assert np.array_equal(found[twins, 1], found[:, 1])


@pytest.mark.parametrize("undirected", [NONE, np.array([True, False, False])])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.0])
def test_one_label(undirected, share):
    for seed in range(20):
        scores, twins = make(scale=1.0, seed=seed)
        allowed = np.random.default_rng(seed).random((12, N_LABELS)) < share
        allowed[:, undirected] |= allowed[twins.numpy()][:, undirected]
        found = one_label(scores, allowed, twins.numpy(), undirected=undirected)
        for row in range(12):
            twin = int(twins[row])
            if row > twin:
                continue
            options = {"none": float(scores[row, 0] + scores[twin, 0]) / 2}
            for label in range(N_LABELS):
                one, other = float(scores[row, 1 + label]), float(scores[twin, 1 + label])
                if undirected[label] and allowed[row, label]:
                    options[row, label] = math.log(math.exp(one) + math.exp(other))
                    continue
                if allowed[row, label]:
                    options[row, label] = one
                if allowed[twin, label]:
                    options[twin, label] = other
            best = max(options, key=options.get)
            cells = {(r, k) for r in (row, twin) for k in range(N_LABELS) if found[r, k] > -np.inf}
            wanted = set() if best == "none" else {best}
            if best != "none" and undirected[best[1]]:
                wanted |= {(row, best[1]), (twin, best[1])}
            assert cells == wanted
            for cell in cells:
                p = math.exp(options[best]) / sum(map(math.exp, options.values()))
                assert found[cell] == pytest.approx(math.log(p / (1 - p)), abs=1e-4)


def test_ties_are_no_two_relations():
    _, twins = make()
    level = torch.zeros(12, 1 + N_LABELS)
    assert not np.isfinite(one_label(level, ANY, twins.numpy(), undirected=NONE)).any()
    level[:, 0] = -1.0
    found = np.isfinite(one_label(level, ANY, twins.numpy(), undirected=NONE))
    assert (found.sum(axis=1) + found[twins].sum(axis=1) == 1).all()


@pytest.mark.parametrize("value", [1e4, 3e38, -1e4, math.nan])
def test_extreme_scores(value):
    scores, twins = make()
    scores[0, 1] = value
    with np.errstate(all="raise", under="ignore"):
        one = one_label(scores, ANY, twins.numpy(), undirected=NONE)
        some = labels_above_threshold(scores, ANY, twins.numpy(), undirected=NONE)
    if math.isnan(value):
        assert not np.isfinite(one[0]).any() and not np.isfinite(some[0, 0])
    elif value > 0:
        assert 10 < one[0, 0] < 20 and some[0, 0] > 1000
    else:
        assert not np.isfinite(one[0, 0]) and not np.isfinite(some[0, 0])


def test_nothing_to_decide():
    scores = torch.zeros(0, 1 + N_LABELS)
    nothing, twins = np.zeros((0, N_LABELS), dtype=bool), np.zeros(0, dtype=np.int64)
    for decide in (one_label, labels_above_threshold):
        assert decide(scores, nothing, twins, undirected=NONE).shape == (0, N_LABELS)
        assert decide(scores, nothing, twins, undirected=~NONE).shape == (0, N_LABELS)
