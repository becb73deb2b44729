import itertools
import pickle

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_llm_tasks.annotations import set_relations
from spacy_llm_tasks.cli.evaluate import echo_scores, to_json
from spacy_llm_tasks.scoring.relations import make_relation_scorer, score_relations

VOCAB = spacy.blank("en").vocab
N_TOKENS = 8
NAMES = ("rel_unrelated_fpr", "rel_unrelated_n", "rel_unrelated_per_type")


def make_doc(relations=None, ents=(), *, starts=None, n_tokens=N_TOKENS):
    """relations: (head, tail, label) with (start, end, label) for head and tail. starts: the tokens
    that begin a sentence."""
    sents = None if starts is None else [i in starts for i in range(n_tokens)]
    doc = Doc(VOCAB, words=[f"w{i}" for i in range(n_tokens)], sent_starts=sents)
    doc.set_ents([Span(doc, *ent) for ent in ents], default="outside")
    if relations is not None:
        set_relations(doc, [(Span(doc, *h), Span(doc, *t), label) for h, t, label in relations])
    return doc


def unrelated(scores):
    return tuple(scores[name] for name in NAMES)


def scores_of(found, gold, ents=(), *, found_ents=None, starts=None, labels=("R", "S"), **options):
    predicted = make_doc(found, ents if found_ents is None else found_ents)
    example = Example(predicted, make_doc(gold, ents, starts=starts))
    return unrelated(score_relations([example], labels=labels, **options))


A, B, C, D = (0, 1, "PER"), (2, 4, "ORG"), (5, 6, "ORG"), (7, 8, "LOC")


def test_pairs_in_no_relation_are_counted():
    fpr, n, per_type = scores_of([(A, B, "R"), (A, C, "R")], [(A, B, "R")], [A, B, C])
    assert (fpr, n) == (0.5, 2)  # A-C was called related, B-C was not
    assert per_type == {"R": {"fpr": 1.0, "n": 1}, "S": {"fpr": None, "n": 0}}


def test_either_direction_and_any_label_are_wrong_and_either_direction_makes_a_pair_related():
    gold = [(A, B, "R")]
    for wrong in ((A, C, "S"), (C, A, "R"), (A, C, "NEW")):
        assert scores_of([wrong], gold, [A, B, C])[:2] == (0.5, 2)
    # However wrong, what is said of a related pair is no false pair.
    assert scores_of([(B, A, "S")], gold, [A, B, C])[:2] == (0.0, 2)
    # Nor does it count twice to be wrong in both directions.
    assert scores_of([(A, C, "R"), (C, A, "S"), (A, C, "S")], gold, [A, B, C])[:2] == (0.5, 2)


def test_a_label_is_measured_where_its_types_are():
    gold = [(A, B, "R"), (B, D, "S")]
    fpr, n, per_type = scores_of([(C, A, "S"), (D, A, "R")], gold, [A, B, C, D])
    assert (fpr, n) == (0.5, 4)  # A-C, A-D, B-C, C-D
    # R is of a PER and an ORG, which only A-C are, and there S was found; S is of ORG and LOC: C-D.
    assert per_type == {"R": {"fpr": 0.0, "n": 1}, "S": {"fpr": 0.0, "n": 1}}
    per_type = scores_of([(C, A, "R"), (C, D, "S")], gold, [A, B, C, D])[2]
    assert per_type == {"R": {"fpr": 1.0, "n": 1}, "S": {"fpr": 1.0, "n": 1}}


def test_types_are_those_of_the_gold_and_of_all_documents():
    wrong_type = [(0, 1, "LOC"), B, C]
    examples = [
        Example(make_doc([(wrong_type[0], C, "R")], wrong_type), make_doc([], [A, B, C])),
        Example(make_doc([], [A, B]), make_doc([(A, B, "R")], [A, B])),
    ]
    fpr, n, per_type = unrelated(score_relations(examples, labels=["R"]))
    assert (fpr, n) == (pytest.approx(1 / 3), 3)
    assert per_type == {"R": {"fpr": 0.5, "n": 2}}


def test_an_end_without_a_label_takes_that_of_the_entity():
    bare = [((0, 1), (2, 4), "R")]
    per_type = scores_of([(A, C, "R")], [(*bare[0],)], [A, B, C])[2]
    assert per_type["R"] == {"fpr": 1.0, "n": 1}


def test_entities_that_were_missed_or_cut_wrong_have_no_part():
    assert scores_of([], [(A, B, "R")], [A, B, C], found_ents=[A, B])[:2] == (None, None)
    cut = (2, 3, "ORG")
    found = [(A, cut, "R"), (A, C, "R")]
    assert scores_of(found, [], [A, B, C], found_ents=[A, cut, C])[:2] == (1.0, 1)
    # Found as arguments only.
    assert scores_of([(A, C, "R")], [], [A, B, C], found_ents=[])[:2] == (1.0, 1)


def test_entities_may_be_in_a_group_of_spans():
    found, gold = make_doc([(A, C, "R")], [A]), make_doc([(A, B, "R")], [A, B, C])
    for doc in (found, gold):
        doc.spans["all"] = [Span(doc, *ent) for ent in (A, B, C, (2, 6, "ORG"))]
    example = Example(found, gold)
    scores = score_relations([example], labels=["R"], spans_key="all")
    # B, C and what holds both of them: three pairs, and A with C and with the longer one.
    assert unrelated(scores)[:2] == (0.2, 5)
    assert unrelated(score_relations([example], labels=["R"]))[:2] == (1.0, 1)


def test_pairs_are_near_each_other():
    ents = [A, B, C, D]
    counts = [scores_of([], [], ents, max_distance=n)[1] for n in (0, 1, 3, 4, 6)]
    assert counts == [None, 3, 4, 5, 6]
    assert scores_of([], [], ents, starts=[0, 5])[1] == 2  # A-B and C-D
    assert scores_of([], [], ents, starts=range(N_TOKENS))[1] is None
    scorer = pickle.loads(pickle.dumps(make_relation_scorer(max_distance=1)))
    example = Example(make_doc([], ents), make_doc([], ents))
    assert unrelated(scorer([example], labels=["R"], threshold=0.5))[1] == 3


def test_inverse_and_symmetric_labels():
    gold = [(A, B, "R")]
    per_type = scores_of([(C, A, "BACK")], gold, [A, B, C], labels=["R"], inverse={"BACK": "R"})[2]
    assert per_type == {"R": {"fpr": 1.0, "n": 1}}
    assert scores_of([(B, A, "BACK")], gold, [A, B], inverse={"BACK": "R"})[1] is None
    assert scores_of([(C, A, "R")], gold, [A, B, C], symmetric=["R"])[0] == 0.5


def test_nothing_to_count_is_none():
    nothing = (None, None, None)
    assert unrelated(score_relations([], labels=["R"])) == nothing
    assert scores_of([(A, B, "R")], None, [A, B]) == nothing  # never annotated
    assert scores_of([(A, B, "R")], [(A, B, "R")], [A, B]) == nothing
    assert scores_of([(A, A, "R")], [], [A]) == nothing
    # Nothing predicted and nothing related: no precision or recall, but a rate.
    fpr, n, per_type = scores_of([], [], [A, B])
    assert (fpr, n) == (0.0, 1) and per_type["R"] == {"fpr": None, "n": 0}


def test_tokens_may_differ():
    found = Doc(VOCAB, words=["New", "York", "-", "based", "X", "Y"], spaces=[1, 0, 0, 1, 1, 0])
    gold = Doc(VOCAB, words=["New", "York", "-based", "X", "Y"], spaces=[1, 0, 1, 1, 0])
    set_relations(found, [(Span(found, 4, 5, "ORG"), Span(found, 0, 2, "GPE"), "IN")])
    set_relations(gold, [(Span(gold, 4, 5, "ORG"), Span(gold, 0, 2, "GPE"), "IN")])
    found.set_ents([Span(found, 5, 6, "ORG")])
    gold.set_ents([Span(gold, 3, 4, "ORG")])
    scores = score_relations([Example(found, gold)], labels=["IN"])
    assert scores["rel_unrelated_per_type"] == {"IN": {"fpr": 1.0, "n": 1}}


def test_the_command_shows_them(capsys):
    example = Example(make_doc([(A, C, "R")], [A, B, C]), make_doc([(A, B, "R")], [A, B, C]))
    scores = to_json(score_relations([example], labels=["R", "S"]))
    assert scores["rel_unrelated_n"] == 2
    echo_scores(scores)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["rel_unrelated_fpr", "0.5000"] in rows and ["rel_unrelated_n", "2"] in rows
    assert ["R", "1.0000", "1"] in rows and ["S", "-", "0"] in rows


# A naive count ------------------------------------------------------------------------------------


def oracle(documents, max_distance):
    """Look at every two gold entities, and ask each question of the definition in turn."""
    possible = {}
    for _, gold, _, _ in documents:
        for head, tail, label in gold:
            possible.setdefault(label, set()).add(frozenset((head[2], tail[2])))
    n = wrong = 0
    by_label = {label: [0, 0] for label in ("R", "S")}
    for found, gold, ents, starts in documents:
        mine = {e[:2] for row in found for e in row[:2]} | {e[:2] for e in ents[1:]}
        everything = {*ents, *(e for row in gold for e in row[:2])}
        for a, b in itertools.combinations({e[:2] for e in everything}, 2):
            a, b = sorted((a, b))
            if a not in mine or b not in mine or b[0] - a[1] > max_distance:
                continue
            if starts is not None and any(a[0] < s <= b[0] for s in starts):
                continue
            if any({row[0][:2], row[1][:2]} == {a, b} for row in gold):
                continue
            said = {row[2] for row in found if {row[0][:2], row[1][:2]} == {a, b}}
            types = {
                frozenset((x[2], y[2]))
                for x in everything
                for y in everything
                if x[:2] == a and y[:2] == b
            }
            n, wrong = n + 1, wrong + bool(said)
            for label, counts in by_label.items():
                if types & possible.get(label, set()):
                    counts[0] += 1
                    counts[1] += label in said
    if not n:
        return None, None, None
    rates = {k: {"fpr": w / m if m else None, "n": m} for k, (m, w) in by_label.items()}
    return wrong / n, n, rates


ends = st.tuples(st.integers(0, N_TOKENS - 2), st.sampled_from("AB")).map(
    lambda x: (x[0], x[0] + 1, x[1])
)
relations = st.lists(st.tuples(ends, ends, st.sampled_from(["R", "S"])), max_size=4)
entities = st.lists(ends, max_size=5, unique_by=lambda end: end[0])
sentences = st.one_of(st.none(), st.sets(st.integers(1, N_TOKENS - 1), max_size=2))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(relations, relations, entities, sentences), min_size=1, max_size=4),
    st.integers(0, N_TOKENS),
    st.sampled_from([(), ("R",)]),
)
def test_scores_equal_a_naive_count(documents, max_distance, symmetric):
    examples = [
        Example(
            make_doc(found, ents[1:]),
            make_doc(gold, ents, starts=None if starts is None else {0, *starts}),
        )
        for found, gold, ents, starts in documents
    ]
    scores = score_relations(
        examples, labels=["R", "S"], symmetric=symmetric, max_distance=max_distance
    )
    fpr, n, per_type = oracle(documents, max_distance)
    assert scores["rel_unrelated_n"] == n
    assert scores["rel_unrelated_fpr"] == (None if fpr is None else pytest.approx(fpr))
    assert scores["rel_unrelated_per_type"] == per_type
