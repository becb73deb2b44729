import random

import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_llm_tasks.annotations import set_relations
from spacy_llm_tasks.scoring.semeval import score_semeval, semeval_macro_f1, semeval_scores

VOCAB = spacy.blank("en").vocab
RELATIONS = ["Cause-Effect", "Component-Whole", "Message-Topic"]
LABELS = [f"{name}({way})" for name in RELATIONS for way in ("e1,e2", "e2,e1")] + ["Other"]


def oracle(gold, predicted, strip_gold, right):
    """One class after the other, one text after the other, as the rules are worded."""
    f1s = []
    for label in {strip_gold(g) for g in gold} - {"Other"}:
        hits = asked = given = 0
        for g, p in zip(gold, predicted, strict=True):
            p = p or "Other"
            asked += strip_gold(g) == label
            given += strip_gold(p) == label
            hits += strip_gold(g) == label and right(g, p)
        precision = hits / given if given else 0
        recall = hits / asked
        f1s.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    return sum(f1s) / len(f1s) if f1s else None


def name(label):
    return label.split("(")[0]


def test_scores_equal_the_rules_on_random_predictions():
    rng = random.Random(0)
    for _ in range(2000):
        pool = rng.sample(LABELS, rng.randint(1, len(LABELS)))
        gold = [rng.choice(pool) for _ in range(rng.randint(0, 30))]
        quality = rng.random()
        predicted = [g if rng.random() < quality else rng.choice([*LABELS, None]) for g in gold]
        scores = semeval_scores(gold, predicted)
        official = oracle(gold, predicted, name, lambda g, p: g == p)
        assert scores["semeval_macro_f"] == pytest.approx(official)
        assert semeval_macro_f1(gold, predicted) == scores["semeval_macro_f"]
        undirected = oracle(gold, predicted, name, lambda g, p: name(g) == name(p))
        assert scores["semeval_undirected_macro_f"] == pytest.approx(undirected)
        directed = oracle(gold, predicted, lambda x: x, lambda g, p: g == p)
        assert scores["semeval_19way_macro_f"] == pytest.approx(directed)
        if gold:
            right = sum(g == (p or "Other") for g, p in zip(gold, predicted, strict=True))
            assert scores["semeval_acc"] == pytest.approx(right / len(gold))


def test_the_wrong_direction_is_a_false_positive_and_a_miss():
    gold = ["Cause-Effect(e1,e2)", "Cause-Effect(e1,e2)", "Other"]
    scores = semeval_scores(gold, ["Cause-Effect(e1,e2)", "Cause-Effect(e2,e1)", "Other"])
    assert scores["semeval_per_type"]["Cause-Effect"] == {"p": 0.5, "r": 0.5, "f": 0.5}
    assert scores["semeval_undirected_macro_f"] == 1.0
    assert scores["semeval_macro_f"] == scores["semeval_micro_f"] == 0.5
    assert scores["semeval_acc"] == pytest.approx(2 / 3)
    flipped = [x.replace("e1,e2", "e2,e1") for x in gold]
    assert semeval_macro_f1(gold, flipped) == 0.0


def test_only_relations_of_the_gold_are_averaged():
    gold = ["Cause-Effect(e1,e2)", "Other"]
    scores = semeval_scores(gold, ["Cause-Effect(e1,e2)", "Message-Topic(e1,e2)"])
    assert scores["semeval_macro_f"] == 1.0 and scores["semeval_acc"] == 0.5
    scores = semeval_scores(gold, [None, None])
    assert scores["semeval_macro_f"] == 0.0 and scores["semeval_acc"] == 0.5


def test_without_gold_relations_there_is_no_score():
    scores = semeval_scores(["Other"], ["Cause-Effect(e1,e2)"])
    assert scores.pop("semeval_acc") == 0.0 and set(scores.values()) == {None}
    assert set(semeval_scores([], []).values()) == {None}


def test_bad_labels_are_refused():
    for bad in ("Cause-Effect", "other", "Cause-Effect(e1,e1)", "(e1,e2)", "A(e1,e2) "):
        with pytest.raises(ValueError, match="E360"):
            semeval_scores([bad], ["Other"])
        with pytest.raises(ValueError, match="E360"):
            semeval_scores(["Other"], [bad])
    with pytest.raises(ValueError, match="E331"):
        semeval_scores(["Other"], [])


E1, E2, E3 = (0, 1, "e1"), (2, 4, "e2"), (5, 6, "e3")


def make_doc(relations=None, ents=()):
    doc = Doc(VOCAB, words=["flood", "after", "heavy", "rain", "and", "storm"])
    doc.set_ents([Span(doc, *ent) for ent in ents], default="outside")
    if relations is not None:
        made = [(Span(doc, *h), Span(doc, *t), label, *more) for h, t, label, *more in relations]
        set_relations(doc, made)
    return doc


def scores_of(found, gold, gold_ents=(E1, E2)):
    """With one document beside it that is right, so that there is always a relation in gold."""
    sure = [(E2, E1, "Cause-Effect")]
    pairs = [(make_doc(found), make_doc(gold, gold_ents)), (make_doc(sure), make_doc(sure))]
    return score_semeval([Example(*pair) for pair in pairs], labels=["ignored"])


def test_documents_are_read_as_labels():
    backward = [(E2, E1, "Cause-Effect")]
    assert scores_of(backward, backward)["semeval_macro_f"] == 1.0
    assert scores_of([(E1, E2, "Cause-Effect")], backward)["semeval_macro_f"] == 0.5
    # A label with its direction says the same, whatever is head and tail.
    spelled = [(E1, E2, "Cause-Effect(e2,e1)")]
    assert scores_of(spelled, backward)["semeval_macro_f"] == 1.0
    assert scores_of(backward, spelled)["semeval_macro_f"] == 1.0


def test_no_relation_is_other():
    backward = [(E2, E1, "Cause-Effect")]
    for found in (None, [], [(E1, E2, "Other")]):
        assert scores_of(found, backward)["semeval_acc"] == 0.5
        assert scores_of(found, [])["semeval_acc"] == 1.0
    assert scores_of(backward, [])["semeval_acc"] == 0.5
    assert scores_of(backward, [(E1, E2, "Other")])["semeval_acc"] == 0.5


def test_only_the_pair_in_question_counts_and_of_it_the_best():
    backward = (E2, E1, "Cause-Effect", 0.6)
    other_pair = (E1, E3, "Cause-Effect", 0.9)
    unsure = (E1, E2, "Message-Topic", 0.5)
    gold = [(E2, E1, "Cause-Effect")]
    assert scores_of([other_pair, unsure, backward], gold)["semeval_macro_f"] == 1.0
    assert scores_of([other_pair], gold)["semeval_acc"] == 0.5
    assert scores_of([other_pair], [])["semeval_acc"] == 1.0
    # Without two entities any pair may be meant.
    assert scores_of([other_pair], [], gold_ents=())["semeval_acc"] == 0.5


def test_documents_without_annotation_are_left_out():
    backward = [(E2, E1, "Cause-Effect")]
    assert scores_of([], None)["semeval_acc"] == 1.0
    assert set(score_semeval([Example(make_doc(backward), make_doc())]).values()) == {None}
    with pytest.raises(ValueError, match="E361"):
        scores_of([], [(E1, E2, "Cause-Effect"), (E1, E3, "Cause-Effect")])
