import pickle

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy import registry
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_llm_tasks.scoring.ner import make_ner_scorer, score_ner

VOCAB = spacy.blank("en").vocab


def make_doc(n_tokens, spans=None, *, key="", missing=()):
    doc = Doc(VOCAB, words=[f"w{i}" for i in range(n_tokens)])
    if spans is None:
        return doc
    made = [Span(doc, start, end, label) for start, end, label in spans]
    if key:
        doc.spans[key] = made
    else:
        doc.set_ents(made, missing=[doc[i : i + 1] for i in missing], default="outside")
    return doc


def oracle(pairs):
    tp = sum(len(set(predicted) & set(gold)) for predicted, gold in pairs)
    n_predicted = sum(len(set(predicted)) for predicted, _ in pairs)
    n_gold = sum(len(set(gold)) for _, gold in pairs)
    p = tp / n_predicted if n_predicted else 0.0
    r = tp / n_gold if n_gold else 0.0
    return p, r, 2 * p * r / (p + r) if p + r else 0.0


@st.composite
def flat(draw):
    spans, at = [], 0
    while at < 8:
        end = draw(st.integers(at + 1, 8))
        label = draw(st.sampled_from(["", "A", "B"]))
        if label:
            spans.append((at, end, label))
        at = end
    return spans


overlapping = st.lists(
    st.tuples(st.integers(0, 7), st.integers(1, 3), st.sampled_from("AB")), max_size=6, unique=True
).map(lambda rows: [(start, min(8, start + n), label) for start, n, label in rows])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(flat(), flat()), min_size=1, max_size=4))
def test_flat_scores_equal_a_count_of_sets(pairs):
    examples = [Example(make_doc(8, p), make_doc(8, g)) for p, g in pairs]
    scores = score_ner(examples)
    if any(p or g for p, g in pairs):
        assert (scores["ents_p"], scores["ents_r"], scores["ents_f"]) == pytest.approx(
            oracle(pairs)
        )
    else:
        assert scores["ents_f"] is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(overlapping, overlapping), min_size=1, max_size=4))
def test_overlapping_scores_equal_a_count_of_sets(pairs):
    pairs = [(sorted(set(p)), sorted(set(g))) for p, g in pairs]
    examples = [Example(make_doc(8, p, key="all"), make_doc(8, g, key="all")) for p, g in pairs]
    scores = make_ner_scorer(spans_key="all")(examples, labels=("A", "B"), unknown=1)
    found = tuple(scores[f"spans_all_{x}"] for x in "prf")
    if any(p or g for p, g in pairs):
        assert found == pytest.approx(oracle(pairs))


def test_gold_that_nobody_annotated_is_not_scored():
    predicted = [(0, 1, "A")]
    assert score_ner([Example(make_doc(3, predicted), make_doc(3))])["ents_f"] is None
    assert score_ner([Example(make_doc(3, predicted), make_doc(3, []))])["ents_f"] == 0.0
    examples = [
        Example(make_doc(3, predicted), make_doc(3)),
        Example(make_doc(3, predicted), make_doc(3, predicted)),
    ]
    assert score_ner(examples)["ents_f"] == 1.0
    without = Example(make_doc(3, predicted, key="all"), make_doc(3, predicted))
    assert score_ner([without], spans_key="all")["spans_all_f"] is None
    assert score_ner([])["ents_f"] is None


def test_predictions_on_missing_tokens_do_not_count():
    gold = make_doc(4, [(0, 1, "A")], missing=[2])
    scores = score_ner([Example(make_doc(4, [(0, 1, "A"), (2, 3, "B")]), gold)])
    assert scores["ents_p"] == scores["ents_r"] == 1.0


def test_tokens_may_differ():
    predicted = Doc(VOCAB, words=["New", "York", "-", "based"], spaces=[True, False, False, False])
    predicted.set_ents([Span(predicted, 0, 2, "GPE")], default="outside")
    gold = Doc(VOCAB, words=["New", "York", "-based"], spaces=[True, False, False])
    gold.set_ents([Span(gold, 0, 2, "GPE")], default="outside")
    assert score_ner([Example(predicted, gold)])["ents_f"] == 1.0


def test_registered_and_picklable():
    make = registry.scorers.get("spacy_llm_tasks.ner_scorer.v1")
    scorer = pickle.loads(pickle.dumps(make()))
    assert (
        scorer([Example(make_doc(2, [(0, 1, "A")]), make_doc(2, [(0, 1, "A")]))])["ents_f"] == 1.0
    )
