import pickle

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_llm_tasks.annotations import set_relations
from spacy_llm_tasks.scoring.relations import make_relation_scorer, score_relations

VOCAB = spacy.blank("en").vocab
FLAT = ("rel_micro_p", "rel_micro_r", "rel_micro_f", "rel_macro_f", "rel_boundary_micro_f")
LABELS = ["R", "S"]


def make_doc(relations=None, ents=(), *, n_tokens=8):
    """relations: (head, tail, label) with (start, end, label) for head and tail."""
    doc = Doc(VOCAB, words=[f"w{i}" for i in range(n_tokens)])
    doc.set_ents([Span(doc, *ent) for ent in ents], default="outside")
    if relations is not None:
        set_relations(doc, [(Span(doc, *h), Span(doc, *t), label) for h, t, label in relations])
    return doc


def f_of(n_found, n_gold, n_right):
    p = n_right / n_found if n_found else 0.0
    r = n_right / n_gold if n_gold else 0.0
    return p, r, 2 * p * r / (p + r) if p + r else 0.0


def oracle(pairs, symmetric):
    """Counts by comparing every gold relation with every predicted one."""

    def same(x, y, labelled):
        if x[2] != y[2]:
            return False
        cut = 3 if labelled else 2
        straight = x[0][:cut] == y[0][:cut] and x[1][:cut] == y[1][:cut]
        crossed = x[0][:cut] == y[1][:cut] and x[1][:cut] == y[0][:cut]
        return straight or (crossed and x[2] in symmetric)

    def distinct(rows, labelled):
        kept = []
        for row in rows:
            if not any(same(row, other, labelled) for other in kept):
                kept.append(row)
        return kept

    def count(pairs, labelled=True):
        found = gold = right = 0
        for p, g in pairs:
            p, g = distinct(p, labelled), distinct(g, labelled)
            found, gold = found + len(p), gold + len(g)
            right += sum(any(same(x, y, labelled) for y in g) for x in p)
        return f_of(found, gold, right)

    def of_label(rows, label):
        return [row for row in rows if row[2] == label]

    def entities(rows):
        return [end for row in rows for end in row[:2]]

    def known(rows, ends):
        return [row for row in rows if row[0] in ends and row[1] in ends]

    labels = {row[2] for _, g in pairs for row in g}
    per_label = [count([(of_label(p, x), of_label(g, x)) for p, g in pairs])[2] for x in labels]
    among = [(known(p, entities(g)), known(g, entities(p))) for p, g in pairs]
    return {
        "strict": count(pairs),
        "macro": sum(per_label) / len(per_label) if per_label else None,
        "boundary": count(pairs, labelled=False)[2],
        "gold": count(among)[2] if any(p or g for p, g in among) else None,
    }


ends = st.tuples(st.integers(0, 2), st.sampled_from("AB")).map(lambda x: (x[0], x[0] + 1, x[1]))
relations = st.lists(st.tuples(ends, ends, st.sampled_from(LABELS)), max_size=5)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(relations, relations), min_size=1, max_size=4),
    st.sampled_from([(), ("R",), ("R", "S")]),
)
def test_scores_equal_a_naive_count(pairs, symmetric):
    examples = [Example(make_doc(p), make_doc(g)) for p, g in pairs]
    scores = score_relations(examples, labels=LABELS, symmetric=symmetric)
    if not any(p or g for p, g in pairs):
        assert set(scores.values()) == {None}
        return
    expected = oracle(pairs, symmetric)
    found = tuple(scores[f"rel_micro_{x}"] for x in "prf")
    assert found == pytest.approx(expected["strict"])
    assert scores["rel_macro_f"] == pytest.approx(expected["macro"])
    assert scores["rel_boundary_micro_f"] == pytest.approx(expected["boundary"])
    assert scores["rel_gold_f"] == pytest.approx(expected["gold"])
    assert set(scores["rel_per_type"]) == set(LABELS)


A, B, C = (0, 1, "A"), (2, 4, "B"), (5, 6, "C")


def scores_of(found, gold, found_ents=(), gold_ents=(), **settings):
    example = Example(make_doc(found, found_ents), make_doc(gold, gold_ents))
    return score_relations([example], labels=LABELS, **settings)


def test_strict_and_boundaries_differ_by_the_entity_labels_only():
    other = (2, 4, "X")
    scores = scores_of([(A, other, "R")], [(A, B, "R")])
    assert scores["rel_micro_f"] == 0.0 and scores["rel_boundary_micro_f"] == 1.0
    for wrong in ((A, (2, 3, "B"), "R"), (B, A, "R"), (A, B, "S")):
        scores = scores_of([wrong], [(A, B, "R")])
        assert scores["rel_micro_f"] == scores["rel_boundary_micro_f"] == 0.0


def test_relations_of_missed_entities_are_misses_but_not_among_found():
    gold = [(A, B, "R"), (A, C, "R")]
    scores = scores_of([(A, B, "R")], gold, found_ents=[A, B], gold_ents=[A, B, C])
    assert scores["rel_micro_r"] == 0.5 and scores["rel_micro_p"] == 1.0
    assert scores["rel_gold_f"] == 1.0
    scores = scores_of([(A, B, "R")], gold, found_ents=[A, B, C], gold_ents=[A, B, C])
    assert scores["rel_gold_f"] == scores["rel_micro_f"] == pytest.approx(2 / 3)
    # A predicted relation of a wrong entity tells nothing about the relations either.
    wrong = (6, 7, "C")
    scores = scores_of([(A, B, "R"), (A, wrong, "R")], [(A, B, "R")], [A, B, wrong], [A, B])
    assert scores["rel_micro_p"] == 0.5 and scores["rel_gold_f"] == 1.0
    assert scores_of([(B, C, "R")], [(A, B, "R")])["rel_gold_f"] is None


def test_entities_may_be_in_a_group_of_spans():
    found, gold = make_doc([], [A]), make_doc([(A, B, "R")], [A, B])
    found.spans["all"] = [Span(found, *B)]
    example = Example(found, gold)
    assert score_relations([example], labels=LABELS)["rel_gold_f"] is None
    assert score_relations([example], labels=LABELS, spans_key="all")["rel_gold_f"] == 0.0


def test_symmetric_labels_and_duplicates():
    gold = [(A, B, "R")]
    both = [(B, A, "R"), (A, B, "R"), (A, B, "R")]
    assert scores_of(both, gold)["rel_micro_p"] == 0.5
    assert scores_of(both, gold, symmetric=["R"])["rel_micro_f"] == 1.0
    assert scores_of([(B, A, "R")], gold, symmetric=["S"])["rel_micro_f"] == 0.0


def test_what_nobody_annotated_is_skipped():
    found = [(A, B, "R")]
    assert set(scores_of(found, None).values()) == {None}
    assert set(score_relations([], labels=LABELS).values()) == {None}
    scores = scores_of(found, [])
    assert scores["rel_micro_f"] == 0.0 and scores["rel_macro_f"] is None
    scores = scores_of(None, found)
    assert scores["rel_micro_f"] == scores["rel_macro_f"] == 0.0
    examples = [Example(make_doc(found), make_doc(gold)) for gold in (None, found)]
    scores = score_relations(examples, labels=LABELS)
    assert {scores[name] for name in FLAT} == {1.0}


def test_unknown_labels_count_and_macro_leaves_out_labels_without_gold():
    scores = scores_of([(A, B, "R"), (A, C, "S")], [(A, B, "R"), (A, C, "T")])
    assert scores["rel_micro_f"] == 0.5 and scores["rel_macro_f"] == 0.5
    assert scores["rel_per_type"]["T"] == {"p": 0.0, "r": 0.0, "f": 0.0}
    assert scores["rel_per_type"]["R"]["f"] == 1.0


def test_tokens_may_differ():
    found = Doc(VOCAB, words=["New", "York", "-", "based", "X"], spaces=[1, 0, 0, 1, 0])
    gold = Doc(VOCAB, words=["New", "York", "-based", "X"], spaces=[1, 0, 1, 0])
    set_relations(found, [(Span(found, 4, 5, "ORG"), Span(found, 0, 2, "GPE"), "IN")])
    set_relations(gold, [(Span(gold, 3, 4, "ORG"), Span(gold, 0, 2, "GPE"), "IN")])
    assert score_relations([Example(found, gold)], labels=["IN"])["rel_micro_f"] == 1.0


def test_the_scorer_can_be_pickled():
    scorer = pickle.loads(pickle.dumps(make_relation_scorer(symmetric=["R"])))
    example = Example(make_doc([(B, A, "R")]), make_doc([(A, B, "R")]))
    assert scorer([example], labels=LABELS, threshold=0.5)["rel_micro_f"] == 1.0
