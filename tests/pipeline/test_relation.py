"""`trf_relation`: what it learns from which gold, and what it says of which scores."""

import copy
import warnings

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example

from spacy_llm_tasks.annotations import get_relations, has_relations, set_relations
from spacy_llm_tasks.layers import relation_head
from spacy_llm_tasks.pipeline.relation import RelationTask, entities_of, sentence_numbers
from spacy_llm_tasks.scoring.calibration import expected_calibration_error

from . import toys

VOCAB = spacy.blank("en").vocab
PER, ORG, LOC = "PERSON", "ORG", "PLACE"


def make_doc(words, ents=(), relations=None, **settings):
    """Relations as (head, tail, label), spans as (first, last, label)."""
    words = words.split() if isinstance(words, str) else words
    doc = Doc(VOCAB, words=words, **settings)
    doc.set_ents([Span(doc, *ent) for ent in ents], default="outside")
    if relations is not None:
        set_relations(doc, [(Span(doc, *h), Span(doc, *t), label) for h, t, label in relations])
    return doc


def make_example(words, ents=(), relations=None, *, predicted=(), tokens=None):
    reference = make_doc(words, ents, relations)
    tokens = tokens or [token.text for token in reference]
    return Example(make_doc(tokens, predicted), reference)


def make_task(examples=(), *, labels=("AT", "FROM"), **settings):
    task = RelationTask(**settings)
    task.labels = tuple(labels)
    task.prepare(examples)
    return task


def rows(targets, entities, task):
    """The gold as readable rows."""
    flat = [entity for found in entities for entity in found]
    return {
        (flat[targets.pairs.head[row]], flat[targets.pairs.tail[row]], task.labels[column])
        for row, column in np.argwhere(targets.gold)
    }


def found_by(task, example):
    return task._entities(example, task._facts(example))


def gold_rows(task, examples):
    targets = task.targets(examples)
    return rows(targets, [found_by(task, eg) for eg in examples], task)


WORDS = "Ida Holm left Brask for Tarn Mills in Oslo ."
IDA, BRASK, TARN, OSLO = (0, 2, PER), (3, 4, ORG), (5, 7, ORG), (8, 9, LOC)
ENTS = [IDA, BRASK, TARN, OSLO]


# Gold --------------------------------------------------------------------------------------------


def test_gold():
    relations = [(IDA, BRASK, "FROM"), (TARN, OSLO, "AT"), (IDA, BRASK, "FROM")]
    example = make_example(WORDS, ENTS, relations)
    task = make_task([example], max_negatives=None)
    targets = task.targets([example])
    assert len(targets.pairs) == 12 and targets.gold.shape == (12, 2)
    assert gold_rows(task, [example]) == set(relations)
    assert list(task.labels_of(example)) == ["FROM", "AT", "FROM"]


def test_docs_without_gold_without_entities_and_without_words():
    examples = [
        make_example(WORDS, ENTS),
        make_example([], [], []),
        make_example(WORDS, ENTS, [(IDA, BRASK, "FROM")]),
        make_example(["  ", "\n"], [], []),
        make_example(WORDS, [IDA], []),
        make_example(WORDS, ENTS, []),
    ]
    task = make_task(examples, max_negatives=None)
    targets = task.targets(examples)
    assert np.bincount(targets.pairs.owner, minlength=6).tolist() == [0, 0, 12, 0, 0, 12]
    assert targets.gold.sum() == 1
    assert task.targets(examples[:1]) is None and task.targets([]) is None
    nothing = task.targets(examples[3:5])
    logits = torch.zeros(0, 3, requires_grad=True)
    task.loss(logits, nothing).backward()
    assert logits.grad.shape == (0, 3)


def test_first_and_last_token():
    whole = make_example("Ida Oslo", [(0, 1, PER), (1, 2, LOC)], [((1, 2, LOC), (0, 1, PER), "AT")])
    task = make_task([whole])
    assert gold_rows(task, [whole]) == {((1, 2, LOC), (0, 1, PER), "AT")}


def test_arguments_that_are_no_entities():
    """Nested spans and spans that doc.ents cannot hold are learned from all the same."""
    outer, inner = (3, 9, "EVENT"), (6, 7, ORG)
    relations = [(outer, IDA, "AT"), (inner, outer, "FROM"), (outer, OSLO, "AT")]
    example = make_example(WORDS, [IDA, OSLO], relations)
    task = make_task([example])
    assert gold_rows(task, [example]) == set(relations)
    assert task.learned["kinds"] == ["EVENT", ORG, PER, LOC]


def test_arguments_without_a_type_take_that_of_the_entity():
    bare = [((0, 2, ""), (3, 4, ""), "FROM"), ((5, 7, ""), (6, 7, ""), "AT")]
    example = make_example(WORDS, ENTS, bare)
    task = make_task([example])
    expected = {(IDA, BRASK, "FROM"), (TARN, (6, 7, ""), "AT")}
    assert gold_rows(task, [example]) == expected
    assert "" not in task.learned["kinds"]
    assert [PER, "FROM", ORG] in task.learned["allowed"]


def test_gold_that_does_not_align():
    relations = [(IDA, BRASK, "FROM"), (TARN, OSLO, "AT"), (IDA, OSLO, "AT")]
    tokens = ["Ida", "Ho", "lm", "left", "Brask for", "Tarn", "Mills", "in", "Oslo", "."]
    example = make_example(WORDS, ENTS, relations)
    spaces = [token != "Ho" for token in tokens]
    example = Example(Doc(VOCAB, words=tokens, spaces=spaces), example.reference)
    assert example.predicted.text == example.reference.text
    task = make_task([example])
    assert found_by(task, example) == [(0, 3, PER), (5, 7, ORG), (8, 9, LOC)]
    assert gold_rows(task, [example]) == {
        ((5, 7, ORG), (8, 9, LOC), "AT"),
        ((0, 3, PER), (8, 9, LOC), "AT"),
    }


def test_entities_that_an_earlier_component_found():
    """Wrong spans are candidates without a relation; a wrong type of a gold span is no candidate,
    and the gold one stays."""
    wrong = [(0, 2, ORG), (3, 5, ORG), (9, 10, LOC)]
    example = make_example(WORDS, ENTS, [(IDA, BRASK, "FROM")], predicted=wrong)
    task = make_task([example], max_negatives=None)
    expected = sorted([*ENTS, (3, 5, ORG), (9, 10, LOC)])
    assert found_by(task, example) == expected
    assert gold_rows(task, [example]) == {(IDA, BRASK, "FROM")}
    assert len(task.targets([example]).pairs) == 30
    # In prediction there is only what was found.
    assert len(task.inputs([example.predicted]).plan) == 6


def test_entities_of_a_span_group():
    """Overlapping entities are in `doc.spans`, where `trf_ner` writes them."""
    whole, part = (0, 2, ORG), (1, 2, PER)
    example = make_example("Brask Works sells", [], [(whole, part, "AT")])
    for doc in (example.reference, example.predicted):
        doc.spans["trf_ner"] = [Span(doc, *part), Span(doc, *whole), Span(doc, 0, 3)]
    assert entities_of(example.predicted, "trf_ner") == [whole, part]
    task = make_task([example])
    assert found_by(task, example) == [whole, part]
    assert rows(task.targets([example]), [[whole, part]], task) == {(whole, part, "AT")}
    assert len(task.inputs([example.predicted]).plan) == 2  # one pair, in both directions
    other = make_task([example], spans_key="else")
    assert len(other.inputs([example.predicted]).plan) == 0
    assert task.scoring == {} and other.scoring == {"spans_key": "else"}


@pytest.mark.parametrize("mode", ["shared", "markers"])
def test_relations_of_overlapping_entities(tokenizer, mode):
    nlp = toys.empty_pipeline(tokenizer)
    nlp.add_pipe("trf_ner", config={"overlapping": True})
    nlp.add_pipe("trf_relation", config={"model": {"mode": mode}})

    def examples():
        found = toys.examples(nlp)
        for example in found:
            doc = example.reference
            doc.spans["trf_ner"] = [*doc.ents, *(Span(doc, e.start, e.end, "X") for e in doc.ents)]
            doc.set_ents([], default="missing")
        return found

    optimizer = nlp.initialize(examples)
    for _ in range(60):
        nlp.update(examples(), sgd=optimizer)
    scores = nlp.evaluate(examples())
    assert scores["spans_trf_ner_f"] == 1.0 and scores["rel_micro_f"] == 1.0


def test_entities_without_a_type_are_none():
    doc = make_doc(WORDS, [(0, 2, ""), BRASK])
    assert entities_of(doc) == [BRASK]
    example = Example(make_doc(WORDS), doc)
    set_relations(doc, [])
    assert found_by(make_task(), example) == [BRASK]


def test_relations_that_are_no_candidates():
    """Too far apart, of a span with itself, of a label that is not known."""
    relations = [(IDA, OSLO, "AT"), (BRASK, BRASK, "FROM"), (IDA, BRASK, "NEW"), (TARN, OSLO, "AT")]
    example = make_example(WORDS, ENTS, relations)
    task = make_task([example], max_distance=5)
    assert gold_rows(task, [example]) == {(TARN, OSLO, "AT")}


def test_one_plan_for_targets_and_head():
    np.random.seed(0)
    ents = [(i, i + 1, PER) for i in range(20)]
    example = make_example(["a"] * 20, ents, [(ents[0], ents[3], "AT"), (ents[4], ents[3], "AT")])
    task = make_task([example], max_negatives=10)
    targets = task.targets([example])
    assert len(targets.pairs) == 14 and targets.gold.sum() == 2
    assert task.inputs([example.predicted], targets).plan is targets.pairs
    other = task.targets([example])
    assert not np.array_equal(other.pairs.head, targets.pairs.head)


# Directions --------------------------------------------------------------------------------------


def test_relations_with_labels_that_the_head_does_not_know():
    """Their pairs are not taught as unrelated."""
    relations = [(IDA, BRASK, "FROM"), (OSLO, TARN, "NEW"), (BRASK, IDA, "NEW")]
    example = make_example(WORDS, ENTS, relations)
    task = make_task([example], max_negatives=None)
    targets = task.targets([example])
    pairs = {frozenset(pair) for pair in zip(targets.pairs.head, targets.pairs.tail, strict=True)}
    flat = found_by(task, example)
    assert frozenset((flat.index(OSLO), flat.index(TARN))) not in pairs
    assert len(pairs) == len(flat) * (len(flat) - 1) / 2 - 1
    assert rows(targets, [flat], task) == {(IDA, BRASK, "FROM")}
    only = make_task([example], labels=["AT"], max_negatives=None)
    assert len(only.targets([example]).pairs) == len(targets.pairs) - 2


def test_symmetric_labels():
    for relations in (
        [(IDA, BRASK, "AT")],
        [(BRASK, IDA, "AT")],
        [(BRASK, IDA, "AT"), (IDA, BRASK, "AT")],
    ):
        example = make_example(WORDS, ENTS, relations)
        task = make_task([example], symmetric=["AT"])
        assert gold_rows(task, [example]) == {(IDA, BRASK, "AT"), (BRASK, IDA, "AT")}
        assert task.learned["allowed"] == [[ORG, "AT", PER], [PER, "AT", ORG]]


def test_inverse_labels():
    relations = [(IDA, BRASK, "FROM"), (TARN, IDA, "LEFT_BY"), (OSLO, IDA, "SITE_OF")]
    example = make_example(WORDS, ENTS, relations)
    inverse = {"LEFT_BY": "FROM", "SITE_OF": "AT", "HOME_OF": "AT"}
    task = make_task([example], inverse=inverse)
    assert sorted(set(task.labels_of(example))) == ["AT", "FROM"]
    expected = {(IDA, BRASK, "FROM"), (IDA, TARN, "FROM"), (IDA, OSLO, "AT")}
    assert gold_rows(task, [example]) == expected
    assert task.learned["allowed"] == [[PER, "AT", LOC], [PER, "FROM", ORG]]
    doc = make_doc(WORDS, ENTS)
    logits = logits_for(task, doc, {(IDA, OSLO, "AT"): 3.0, (IDA, TARN, "FROM"): 3.0})
    task.annotate(doc, task.decode(logits, [doc])[0])
    assert {(h.text, t.text, label) for h, t, label, _ in doc._.relations} == {
        ("Ida Holm", "Tarn Mills", "FROM"),
        ("Tarn Mills", "Ida Holm", "LEFT_BY"),
        ("Ida Holm", "Oslo", "AT"),
        ("Oslo", "Ida Holm", "SITE_OF"),
        ("Oslo", "Ida Holm", "HOME_OF"),
    }
    # Both ways or one way is the same when it is scored.
    scores = task.score([Example(doc, example.reference)])
    assert scores["rel_micro_p"] == 1.0 and scores["rel_micro_r"] == pytest.approx(2 / 3)
    assert set(scores["rel_per_type"]) == {"AT", "FROM"}


@pytest.mark.parametrize(
    "settings",
    [
        {"inverse": {"A": "A"}},
        {"inverse": {"A": "B", "B": "C"}},
        {"inverse": {"A": "B"}, "symmetric": ["B"]},
        {"inverse": {"A": "B"}, "symmetric": ["A"]},
        {"allowed": [["PERSON", "AT"]]},
        {"max_distance": -1},
        {"max_negatives": 0},
    ],
)
def test_settings_that_do_not_fit(settings):
    with pytest.raises(ValueError, match="E432|E436|max_"):
        RelationTask(**settings)


def test_labels_that_nobody_knows_are_named():
    settings = {
        "allowed": [[PER, "FORM", ORG]],
        "symmetric": ["SPUOSE"],
        "inverse": {"LEFT_BY": "FRMO"},
    }
    example = make_example(WORDS, ENTS, [(IDA, BRASK, "FROM")])
    with pytest.warns(UserWarning) as caught:
        make_task([example], **settings)
    assert [name in str(w.message) for w in caught for name in ("FORM", "SPUOSE", "FRMO")].count(
        True
    ) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_task([example], symmetric=["AT"], inverse={"LEFT_BY": "FROM"})


# Predictions -------------------------------------------------------------------------------------


def logits_for(task, docs, scores, *, default=-4.0):
    """Scores of the pairs of one doc or of docs, by head, tail and label."""
    docs = [docs] if isinstance(docs, Doc) else docs
    flat = [entity for doc in docs for entity in entities_of(doc)]
    pairs = task._pairs(docs, [entities_of(doc) for doc in docs])
    logits = torch.full((len(pairs), 1 + len(task.labels)), default)
    logits[:, 0] = 0.0
    for (head, tail, label), score in scores.items():
        for row, (h, t) in enumerate(zip(pairs.head, pairs.tail, strict=True)):
            if (flat[h], flat[t]) == (head, tail):
                logits[row, 1 + task.labels.index(label)] = score
    return logits


def said(task, doc, scores):
    return [row[:3] for row in task.decode(logits_for(task, doc, scores), [doc])[0]]


def test_decode_several_docs():
    docs = [
        make_doc(WORDS, ENTS),
        make_doc([]),
        make_doc(WORDS, [IDA]),
        make_doc(WORDS, [IDA, TARN]),
    ]
    task = make_task(known_types=False)
    found = task.decode(logits_for(task, docs, {(IDA, TARN, "AT"): 2.0}), docs)
    assert [[(*row[:3], round(row.score, 4)) for row in rows] for rows in found] == [
        [(IDA, TARN, "AT", 2.0)],
        [],
        [],
        [(IDA, TARN, "AT", 2.0)],
    ]
    assert task.decode(torch.zeros(0, 3), []) == []
    parts = task.split(logits_for(task, docs, {}), docs)
    assert [len(part) for part in parts] == [12, 0, 0, 2]


def test_any_number_of_labels_in_both_directions():
    doc = make_doc(WORDS, ENTS)
    task = make_task(known_types=False)
    wanted = [(IDA, BRASK, "AT"), (IDA, BRASK, "FROM"), (BRASK, IDA, "AT"), (IDA, TARN, "AT")]
    assert set(said(task, doc, dict.fromkeys(wanted, 1.0))) == set(wanted)


def test_symmetric_predictions_start_at_the_first_entity():
    doc = make_doc(WORDS, ENTS)
    for exclusive in (True, False):
        task = make_task(known_types=False, symmetric=["AT"], exclusive=exclusive)
        assert said(task, doc, {(BRASK, IDA, "AT"): 9.0}) == [(IDA, BRASK, "AT")]
        both = {(BRASK, IDA, "AT"): 3.0, (IDA, BRASK, "AT"): 3.0}
        assert said(task, doc, both) == [(IDA, BRASK, "AT")]


def test_exclusive_predictions():
    random = np.random.default_rng(0)
    doc = make_doc(WORDS, ENTS)
    for symmetric in ([], ["AT"]):
        task = make_task(known_types=False, exclusive=True, symmetric=symmetric)
        for _ in range(20):
            logits = torch.from_numpy(random.normal(size=(12, 3)) * 3).float()
            found = task.decode(logits, [doc])[0]
            pairs = [frozenset([row.head, row.tail]) for row in found]
            assert len(pairs) == len(set(pairs)) and len(pairs) > 0
    # The score is the log-odds, also where it is less likely than not.
    task = make_task(known_types=False, exclusive=True)
    scores = {(IDA, BRASK, "AT"): 0.4, (IDA, BRASK, "FROM"): 0.2, (BRASK, IDA, "AT"): 0.1}
    found = task.decode(logits_for(task, doc, scores), [doc])[0]
    assert [row[:3] for row in found] == [(IDA, BRASK, "AT")]
    powers = np.exp([0.4, 0.0, 0.2, 0.1, -4.0])
    p = powers[0] / powers.sum()
    assert found[0].score == pytest.approx(np.log(p / (1 - p)), rel=1e-4) and found[0].score < 0
    task.annotate(doc, found)
    assert doc._.relations[0].score == pytest.approx(p, rel=1e-4)


def test_labels_between_known_types_only():
    example = make_example(WORDS, ENTS, [(IDA, BRASK, "FROM"), (TARN, OSLO, "AT")])
    doc = make_doc(WORDS, ENTS)
    asked = [(IDA, TARN, "FROM"), (BRASK, IDA, "FROM"), (IDA, OSLO, "AT"), (BRASK, OSLO, "AT")]
    scores = dict.fromkeys(asked, 3.0)

    def find(**settings):
        return set(said(make_task([example], **settings), doc, scores))

    assert find() == {(IDA, TARN, "FROM"), (BRASK, OSLO, "AT")}
    assert find(known_types=False) == set(asked)
    assert find(allowed=[[PER, "AT", LOC], [ORG, "FROM", PER]]) == {
        (IDA, OSLO, "AT"),
        (BRASK, IDA, "FROM"),
    }
    # It holds whatever the data has; a label that is not named is free.
    assert find(allowed=[[PER, "AT", LOC]], known_types=False) == {
        (IDA, OSLO, "AT"),
        (IDA, TARN, "FROM"),
        (BRASK, IDA, "FROM"),
    }
    unseen = make_doc(WORDS, [(0, 2, "UNSEEN"), BRASK])
    assert said(make_task([example]), unseen, {((0, 2, "UNSEEN"), BRASK, "FROM"): 3.0}) == []
    # A label given by name alone, of which the data has no example.
    assert said(make_task(), doc, {(IDA, OSLO, "AT"): 3.0}) == [(IDA, OSLO, "AT")]


def test_allowed_types_of_inverse_and_symmetric_labels():
    allowed = [[ORG, "LEFT_BY", PER], [ORG, "AT", LOC]]
    task = make_task(allowed=allowed, inverse={"LEFT_BY": "FROM"}, symmetric=["AT"])
    expected = [[ORG, "AT", LOC], [PER, "FROM", ORG], [LOC, "AT", ORG]]
    assert task.learned["allowed"] == expected


def test_forbidden_labels_do_not_hide_allowed_ones():
    example = make_example(WORDS, ENTS, [(IDA, BRASK, "FROM"), (TARN, OSLO, "AT")])
    task = make_task([example], exclusive=True)
    scores = {(IDA, BRASK, "AT"): 6.0, (IDA, BRASK, "FROM"): 2.0}
    assert said(task, make_doc(WORDS, ENTS), scores) == [(IDA, BRASK, "FROM")]


def test_the_most_frequent_types_are_told_apart():
    ents = [(i, i + 1, f"T{i:02}") for i in range(80)]
    examples = [make_example(["a"] * 80, ents), make_example(["a"] * 80, ents[40:])]
    task = make_task(examples)
    assert len(task.learned["kinds"]) == 63 and {f"T{i}" for i in range(40, 80)} <= set(
        task.learned["kinds"]
    )
    assert task.inputs([make_doc(["a"] * 80, ents)]).plan.kind.max() == 63


def test_extreme_scores():
    doc = make_doc(WORDS, ENTS)
    for exclusive in (True, False):
        task = make_task(known_types=False, exclusive=exclusive)
        for value in (3e38, 1e4, 80.0):
            found = task.decode(logits_for(task, doc, {(IDA, BRASK, "AT"): value}), [doc])[0]
            task.annotate(doc, found)
            assert [0.99 < r.score <= 1.0 for r in doc._.relations] == [True]
        assert task.decode(torch.full((12, 3), torch.nan), [doc]) == [[]]


# Sentences ---------------------------------------------------------------------------------------


def test_pairs_of_one_sentence():
    starts = [True] + [False] * 4 + [True] + [False] * 4
    doc = make_doc(WORDS, ENTS, sent_starts=starts)
    task = make_task(same_sentence=True)
    plan = task.inputs([doc]).plan
    assert list(zip(plan.head, plan.tail, strict=True)) == [(0, 1), (1, 0), (2, 3), (3, 2)]
    assert sentence_numbers(doc).tolist() == [1] * 5 + [2] * 5
    assert sentence_numbers(make_doc([])).tolist() == []
    assert len(sentence_numbers(make_doc(["a"]))) == 1
    with pytest.raises(ValueError, match="E433.*annotating_components"):
        task.inputs([make_doc(WORDS, ENTS)])


# Scores and calibration --------------------------------------------------------------------------


def test_calibrated_scores():
    """Logits that are three times too sure."""
    random = np.random.default_rng(0)
    task = make_task(known_types=False, labels=["AT"])
    ents = [(i, i + 1, PER) for i in range(6)]
    examples, logits = [], []
    for _ in range(200):
        true = random.normal(size=30) * 1.5
        predicted = make_doc(["a"] * 6, ents)
        plan = task.inputs([predicted]).plan
        right = random.random(30) < 1 / (1 + np.exp(-true))
        relations = [
            (ents[h], ents[t], "AT")
            for h, t, r in zip(plan.head, plan.tail, right, strict=True)
            if r
        ]
        examples.append(Example(predicted, make_doc(["a"] * 6, ents, relations)))
        logits.append(torch.from_numpy(np.stack([np.zeros(30), 3 * true], axis=1)).float())

    def measure():
        for example, part in zip(examples[100:], logits[100:], strict=True):
            task.annotate(example.predicted, task.decode(part, [example.predicted])[0])
        return task.reliability(examples[100:])

    confidences, correct = measure()
    before = expected_calibration_error(confidences, correct)
    assert task.calibrate(examples[:100], logits[:100])
    scale, shift = task.learned["calibration"]
    assert scale == pytest.approx(1 / 3, rel=0.25) and abs(shift) < 0.3
    after, same = measure()
    assert np.array_equal(same, correct) and np.array_equal(
        np.argsort(after), np.argsort(confidences)
    )
    assert expected_calibration_error(after, same) < 0.05 < 0.1 < before


def test_too_little_to_calibrate_on():
    example = make_example(WORDS, ENTS, [(IDA, BRASK, "FROM")], predicted=ENTS)
    task = make_task([example])
    logits = logits_for(task, example.predicted, {(IDA, BRASK, "FROM"): 3.0})
    assert not task.calibrate([example], [logits])
    assert not task.calibrate([example] * 20, [logits] * 20)  # all are right
    assert not task.calibrate([make_example(WORDS, ENTS)] * 20, [logits] * 20)  # no gold
    assert "calibration" not in task.learned
    confidences, correct = task.reliability([make_example(WORDS, ENTS)])
    assert len(confidences) == len(correct) == 0


def test_confidence_of_both_names_is_counted_once():
    relations = [(IDA, BRASK, "FROM"), (OSLO, TARN, "AT")]
    example = make_example(WORDS, ENTS, relations, predicted=ENTS)
    task = make_task([example], inverse={"LEFT_BY": "FROM"}, symmetric=["AT"])
    scores = {(IDA, BRASK, "FROM"): 2.0, (OSLO, TARN, "AT"): 6.0, (IDA, TARN, "FROM"): 1.0}
    task.annotate(
        example.predicted,
        task.decode(logits_for(task, example.predicted, scores), [example.predicted])[0],
    )
    confidences, correct = task.reliability([example])
    assert sorted(zip(np.round(confidences, 2).tolist(), correct.tolist(), strict=True)) == [
        (0.73, False),
        (0.73, True),
        (0.88, True),
    ]


# The whole component -----------------------------------------------------------------------------


def build(tokenizer, *, encoder=None, mode="shared", **config):
    nlp = toys.empty_pipeline(tokenizer, **(encoder or {}))
    nlp.add_pipe("trf_relation", config={"model": {"mode": mode}, **config})
    return nlp


def with_ents(nlp, texts, ents):
    docs = [Doc(nlp.vocab, words=text.split()) for text in texts]
    for doc, found in zip(docs, ents, strict=True):
        doc.ents = [Span(doc, a, z, label=label) for a, z, label in found]
    return docs


def learn(nlp, *, steps=40):
    def examples():
        gold = [toys.gold_doc(nlp, i) for i in range(2)]
        return [
            Example(doc, reference)
            for doc, reference in zip(with_ents(nlp, toys.TEXTS, toys.ENTS), gold, strict=True)
        ]

    optimizer = toys.initialize(nlp, examples)
    for _ in range(steps):
        nlp.update(examples(), sgd=optimizer)
    return examples


LONG = " ".join(["Old Marta Quill sails from Pell to Lorne Bay every spring ."] * 6)
LONG_ENTS = [(12 * k + a, 12 * k + z, label) for k in range(6) for a, z, label in toys.ENTS[0]]
ODD = {
    "": [],
    "Pell": [(0, 1, "PLACE")],
    "Ivo Brandt sails": [(0, 2, "PERSON")],
    LONG: LONG_ENTS,
    "Marta Pell": [(0, 1, "PERSON"), (1, 2, "PLACE")],
    ". . .": [],
    "Ivo Brandt and Pell and Vask": [(0, 2, "UNSEEN"), (3, 4, "PLACE"), (5, 6, "PERSON")],
}


@pytest.mark.parametrize("mode", ["shared", "markers"])
@pytest.mark.parametrize("exclusive", [True, False])
def test_learns_and_does_not_care_for_batches(tokenizer, mode, exclusive, tmp_path):
    nlp = build(tokenizer, mode=mode, exclusive=exclusive)
    examples = learn(nlp)
    assert nlp.evaluate(examples())["rel_micro_f"] == 1.0

    def docs():
        return with_ents(nlp, list(ODD), list(ODD.values()))

    def close(found, wanted):
        for doc, other in zip(found, wanted, strict=True):
            assert has_relations(doc)
            one, two = get_relations(doc), get_relations(other)
            assert [(h.start, t.end, k) for h, t, k, _ in one] == [
                (h.start, t.end, k) for h, t, k, _ in two
            ]
            np.testing.assert_allclose([r.score for r in one], [r.score for r in two], atol=1e-4)

    expected = [nlp(doc) for doc in docs()]
    assert len(get_relations(expected[3])) >= 12
    close(list(nlp.pipe(docs())), expected)
    close(list(nlp.pipe(docs()[::-1], batch_size=3))[::-1], expected)
    nlp.to_disk(tmp_path)
    close(list(spacy.load(tmp_path).pipe(docs())), expected)
    # They survive everything that spaCy does to a Doc.
    for doc in expected:
        rows = [(h.start, t.end, h.label_, k, s) for h, t, k, s in doc._.relations]
        box = DocBin(docs=[doc], store_user_data=True)
        (other,) = DocBin().from_bytes(box.to_bytes()).get_docs(nlp.vocab)
        for copied in (other, Doc(nlp.vocab).from_bytes(doc.to_bytes()), doc.copy()):
            assert [(h.start, t.end, h.label_, k, s) for h, t, k, s in copied._.relations] == rows


def test_markers_over_windows_see_the_far_end(tokenizer):
    """With windows of 12 pieces the marked text is in many; what stands in one changes the pairs
    that are in it, and the first sequence is no longer than the encoder's."""
    nlp = build(tokenizer, mode="markers")
    learn(nlp, steps=1)
    pipe = nlp.get_pipe("trf_relation")
    docs = with_ents(nlp, [LONG], [LONG_ENTS])
    given = pipe.task.inputs(docs)
    sequences = pipe.layout(given.texts)
    assert len(sequences) > 5 and sequences.lengths.max() <= 14
    logits = pipe.run(given)
    assert logits.shape == (len(given.plan), 3) and torch.isfinite(logits).all()


def test_entities_found_by_a_component_in_training(tokenizer):
    """An annotating component writes to the docs that are learned from, rightly or wrongly."""
    nlp = toys.empty_pipeline(tokenizer)
    nlp.add_pipe("trf_ner")
    nlp.add_pipe("trf_relation")
    optimizer = toys.initialize(nlp)
    seen = []
    task = nlp.get_pipe("trf_relation").task
    targets = task.targets

    def remember(examples):
        seen.extend(len(entities_of(eg.predicted)) for eg in examples)
        return targets(examples)

    task.targets = remember
    for _ in range(30):
        losses = nlp.update(toys.examples(nlp), sgd=optimizer, annotates=["trf_ner"], losses={})
        assert np.isfinite(losses["trf_relation"])
    del task.targets
    assert len(set(seen)) > 1  # it found different ones as it learned
    assert nlp.evaluate(toys.examples(nlp))["rel_micro_f"] == 1.0


def test_same_sentence_with_a_sentencizer(tokenizer):
    nlp = build(tokenizer, same_sentence=True)
    nlp.add_pipe("sentencizer", first=True)
    (doc,) = with_ents(nlp, [LONG], [LONG_ENTS])
    gold = with_ents(nlp, [LONG], [LONG_ENTS])[0]
    set_relations(gold, [(gold.ents[0], gold.ents[1], "FROM"), (gold.ents[3], gold.ents[4], "TO")])
    example = Example(doc, gold)
    optimizer = toys.initialize(nlp, lambda: [example])
    with pytest.raises(ValueError, match="E433"):
        nlp.update([Example(doc.copy(), gold)], sgd=optimizer)
    nlp.update([example], sgd=optimizer, annotates=["sentencizer"])
    assert len(nlp.get_pipe("trf_relation").task.inputs([nlp(doc.copy())]).plan) == 6 * 3 * 2


def test_add_label(tokenizer):
    nlp = build(tokenizer)
    pipe = nlp.get_pipe("trf_relation")
    assert pipe.add_label("LATER") == 1 and pipe.add_label("LATER") == 0
    learn(nlp, steps=1)
    assert pipe.labels == ("LATER", "FROM", "TO")
    with pytest.raises(ValueError, match="E418"):
        pipe.add_label("TOO_LATE")
    nlp.evaluate(toys.examples(nlp))


def test_settings_survive_saving(tokenizer, tmp_path):
    settings = {
        "allowed": [["PERSON", "FROM", "PLACE"]],
        "symmetric": ["TO"],
        "inverse": {"BACK": "FROM"},
        "exclusive": True,
        "max_negatives": None,
    }
    nlp = build(tokenizer, **settings)
    learn(nlp, steps=20)
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    task, other = (n.get_pipe("trf_relation").task for n in (nlp, loaded))
    assert {name: getattr(other, name) for name in settings} == {
        name: getattr(task, name) for name in settings
    }
    assert other.learned == task.learned and other.labels == task.labels
    (one,), (two,) = ([n(doc) for doc in with_ents(n, [LONG], [LONG_ENTS])] for n in (nlp, loaded))
    assert [r[2:] for r in one._.relations] == [r[2:] for r in two._.relations]


def test_a_scorer_of_the_config_knows_the_settings(tokenizer):
    scorer = {"@scorers": "spacy_llm_tasks.relation_scorer.v1", "symmetric": ["FROM"]}
    nlp = build(tokenizer, scorer=scorer)
    examples = learn(nlp, steps=40)
    for example in (examples := examples()):
        rows = [(t, h, k) for h, t, k, _ in example.reference._.relations]
        set_relations(example.reference, rows)
    scores = nlp.evaluate(examples)
    assert scores["rel_per_type"]["FROM"]["f"] == 1.0 and scores["rel_per_type"]["TO"]["f"] == 0.0


@pytest.mark.parametrize("mode", ["shared", "markers"])
def test_many_entities(tokenizer, mode, monkeypatch):
    """200 entities of one doc are 39,800 pairs, which are looked at a part at a time."""
    nlp = build(tokenizer, mode=mode, max_distance=10_000)
    learn(nlp, steps=1)
    text = " ".join(["Pell sails to Vask and"] * 100)
    ents = [(5 * k + a, 5 * k + a + 1, "PLACE") for k in range(100) for a in (0, 3)]
    most = []
    score = relation_head.RelationHead._score

    def measured(self, read, pairs, windows):
        most.append(len(pairs) * int((windows[1] - windows[0]).max()))
        return score(self, read, pairs, windows)

    monkeypatch.setattr(relation_head.RelationHead, "_score", measured)
    (doc,) = with_ents(nlp, [text], [ents])
    nlp(doc)
    assert has_relations(doc) and len(most) > 3
    assert max(most) <= 1.01 * relation_head.MAX_CELLS
    gold = doc.copy()
    set_relations(gold, [(gold.ents[0], gold.ents[199], "TO")])
    task = nlp.get_pipe("trf_relation").task
    targets = task.targets([Example(with_ents(nlp, [text], [ents])[0], gold)])
    assert len(targets.pairs) == 102 and targets.gold.sum() == 1


def test_copies_are_independent(tokenizer):
    nlp = build(tokenizer)
    examples = learn(nlp, steps=3)
    copied = copy.deepcopy(nlp)
    before = nlp.get_pipe("trf_relation").model.to_bytes()
    copied.update(examples(), sgd=copied.resume_training())
    assert nlp.get_pipe("trf_relation").model.to_bytes() == before
