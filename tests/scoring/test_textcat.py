import pickle

import numpy as np
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy import registry
from spacy.scorer import Scorer
from spacy.tokens import Doc
from spacy.training import Example

from spacy_llm_tasks.scoring.textcat import make_textcat_scorer, roc_auc, score_textcat

VOCAB = spacy.blank("en").vocab
LABELS = ["a", "b", "c"]
SCORES = st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.5000001, 0.7, 1.0])


def example(predicted, gold):
    docs = [Doc(VOCAB, words=["x"]), Doc(VOCAB, words=["x"])]
    docs[0].cats, docs[1].cats = dict(predicted), dict(gold)
    return Example(*docs)


def full(values):
    return dict(zip(LABELS, values, strict=True))


rows = st.lists(
    st.tuples(st.tuples(SCORES, SCORES, SCORES), st.integers(0, 2)), min_size=1, max_size=8
)
many = st.lists(
    st.tuples(
        st.tuples(SCORES, SCORES, SCORES),
        st.dictionaries(st.sampled_from(LABELS), st.sampled_from([0.0, 1.0]), max_size=3),
    ),
    min_size=1,
    max_size=8,
)


def assert_equal(ours, theirs):
    for key, value in theirs.items():
        if key == "cats_auc_per_type":
            for label, auc in value.items():
                assert ours[key][label] == pytest.approx(auc)
        elif isinstance(value, float):
            assert ours[key] == pytest.approx(value), key
        else:
            assert ours[key] == value, key


@settings(max_examples=100, deadline=None)
@given(rows)
def test_exclusive_scores_equal_spacys_on_whole_gold(data):
    examples = [example(full(p), {x: float(x == LABELS[g]) for x in LABELS}) for p, g in data]
    ours = score_textcat(examples, labels=LABELS)
    assert_equal(ours, Scorer.score_cats(examples, "cats", labels=LABELS, multi_label=False))
    right = [int(np.argmax(p)) == g for p, g in data]
    assert ours["cats_acc"] == pytest.approx(np.mean(right))


@settings(max_examples=100, deadline=None)
@given(many, st.sampled_from([0.3, 0.5, 0.6]))
def test_multi_label_scores_equal_spacys_with_partial_gold(data, threshold):
    examples = [example(full(p), g) for p, g in data]
    ours = score_textcat(examples, labels=LABELS, exclusive=False, threshold=threshold)
    if not any(g for _, g in data):
        assert set(ours.values()) == {None}
        return
    assert_equal(
        ours,
        Scorer.score_cats(examples, "cats", labels=LABELS, multi_label=True, threshold=threshold),
    )


@settings(max_examples=60, deadline=None)
@given(many, st.tuples(SCORES, SCORES, SCORES))
def test_thresholds_per_label_equal_a_naive_count(data, limits):
    thresholds = full(limits)
    ours = score_textcat(
        [example(full(p), g) for p, g in data],
        labels=LABELS,
        exclusive=False,
        thresholds=thresholds,
    )
    for label in LABELS if any(g for _, g in data) else ():
        pairs = [
            (full(p)[label] >= thresholds[label], g[label] > 0.5) for p, g in data if label in g
        ]
        tp, fp, fn = (pairs.count(x) for x in ((True, True), (True, False), (False, True)))
        f1 = 2 * tp / (2 * tp + fp + fn) if tp else 0.0
        assert ours["cats_f_per_type"][label]["f"] == pytest.approx(f1)


def test_exclusive_texts_without_a_true_label_are_left_out():
    right = {"a": 0.9, "b": 0.1, "c": 0.0}
    wrong = {"a": 0.1, "b": 0.9, "c": 0.0}
    known = example(right, {"a": 1.0})
    for gold in ({}, {"b": 0.0}, {"a": 0.0, "b": 0.0, "c": 0.0}):
        scores = score_textcat([known, example(wrong, gold)], labels=LABELS)
        assert scores["cats_acc"] == scores["cats_micro_f"] == 1.0
        assert set(score_textcat([example(wrong, gold)], labels=LABELS).values()) == {None}
    assert score_textcat([], labels=LABELS)["cats_score"] is None


ANY_LABEL = st.sampled_from([*LABELS, "new", "newer"])


@pytest.mark.filterwarnings("ignore:.*W303")
@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.tuples(SCORES, SCORES, SCORES), ANY_LABEL, st.dictionaries(ANY_LABEL, st.just(0.0))
        ),
        min_size=1,
        max_size=8,
    )
)
def test_exclusive_scores_equal_spacys_with_labels_that_nobody_knows(data):
    """Such a label stands alone: of known labels beside it, all 0, spaCy takes the first for true.
    For us they change nothing."""
    examples = [
        example(full(p), ({} if g not in LABELS else others) | {g: 1.0}) for p, g, others in data
    ]
    ours = score_textcat(examples, labels=LABELS)
    assert_equal(ours, Scorer.score_cats(examples, "cats", labels=LABELS, multi_label=False))
    right = [LABELS[int(np.argmax(p))] == g for p, g, _ in data]
    assert ours["cats_acc"] == pytest.approx(np.mean(right))
    whole = [example(full(p), full((0, 0, 0)) | {g: 1.0}) for p, g, _ in data]
    assert_equal(ours, score_textcat(whole, labels=LABELS))


@pytest.mark.filterwarnings("ignore:.*W303")
@settings(max_examples=100, deadline=None)
@given(many, st.lists(st.booleans(), min_size=8, max_size=8))
def test_multi_label_scores_equal_spacys_with_labels_that_nobody_knows(data, beyond):
    examples = [
        example(full(p), g | ({"new": 1.0} if new else {}))
        for (p, g), new in zip(data, beyond, strict=False)
    ]
    ours = score_textcat(examples, labels=LABELS, exclusive=False)
    if not any(g for _, g in data):
        assert set(ours.values()) == {None}
        return
    assert_equal(ours, Scorer.score_cats(examples, "cats", labels=LABELS, multi_label=True))
    right = [
        not new and all((x >= 0.5) == (g[label] > 0.5) for label, x in full(p).items())
        for (p, g), new in zip(data, beyond, strict=False)
        if len(g) == len(LABELS)
    ]
    assert ours["cats_acc"] == (pytest.approx(np.mean(right)) if right else None)


def test_labels_that_nobody_knows_are_named_and_counted():
    guess = {"a": 0.9, "b": 0.1, "c": 0.0}
    golds = [{"a": 1.0}, {"new": 1.0}, {"new": 1.0, "a": 0.0}, {"newer": 1.0}, {"odd": 0.0}]
    examples = [example(guess, gold) for gold in golds]
    with pytest.warns(UserWarning, match=r"W303.*'new' \(2\), 'newer' \(1\)\. It knows"):
        scores = score_textcat(examples, labels=LABELS)
    assert scores["cats_acc"] == scores["cats_micro_p"] == 0.25 and scores["cats_micro_r"] == 1.0
    with pytest.warns(UserWarning, match="W303"):
        assert score_textcat([example({}, {"new": 1.0})], labels=LABELS)["cats_acc"] == 0.0


def test_missing_predictions_are_wrong_but_do_not_crash():
    gold = {"a": 1.0, "b": 0.0, "c": 0.0}
    scores = score_textcat([example({}, gold), example({"a": 0.6}, gold)], labels=LABELS)
    assert scores["cats_acc"] == 0.5 and scores["cats_micro_p"] == 1.0
    scores = score_textcat([example({}, gold)], labels=LABELS, exclusive=False)
    assert scores["cats_micro_r"] == 0.0 and scores["cats_f_per_type"]["b"]["p"] == 0.0


def test_the_positive_label_of_two():
    examples = [
        example({"spam": p, "ham": 1 - p}, {"spam": g, "ham": 1 - g})
        for p, g in ((0.9, 1.0), (0.8, 0.0), (0.1, 0.0), (0.2, 1.0))
    ]
    scorer = make_textcat_scorer("spam")
    scores = scorer(examples, labels=("spam", "ham"), other_setting=3)
    assert scores["cats_score"] == 0.5 and scores["cats_score_desc"] == "F (spam)"
    with pytest.raises(ValueError, match="E313.*positive_label"):
        scorer(examples, labels=("x", "y"))


def test_registered_and_picklable():
    make = registry.scorers.get("spacy_llm_tasks.textcat_scorer.v1")
    scorer = pickle.loads(pickle.dumps(make()))
    assert scorer([example(full((1, 0, 0)), {"a": 1.0})], labels=LABELS)["cats_acc"] == 1.0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(SCORES, st.booleans()), min_size=1, max_size=15))
def test_roc_auc_counts_won_comparisons(data):
    won = [(p > q) + 0.5 * (p == q) for p, good in data if good for q, other in data if not other]
    found = roc_auc(np.array([p for p, _ in data]), np.array([g for _, g in data]))
    assert found == (pytest.approx(np.mean(won)) if won else None)
