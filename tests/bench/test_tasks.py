"""What each task predicts on, and how predictions are scored."""

import pytest
import spacy
from spacy.tokens import Doc, Span

from spacy_llm_tasks.annotations import set_pair, set_relations
from spacy_llm_tasks.bench.tasks import TASKS, numbers


def gold(vocab, label="MADE"):
    doc = Doc(vocab, words="Ada built engines in Pell".split())
    doc.set_ents([Span(doc, 0, 1, label="PER"), Span(doc, 2, 3, label="THING")])
    set_relations(doc, [(doc.ents[0], doc.ents[1], label)])
    return doc


def predictor(*relations, find=False):
    """A pipeline of one component that writes these relations."""
    nlp = spacy.blank("en")

    def annotate(doc):
        if find:
            doc.set_ents([Span(doc, 0, 1, label="PER"), Span(doc, 4, 5, label="THING")])
        set_relations(doc, [(doc.ents[h], doc.ents[t], label) for h, t, label in relations])
        return doc

    nlp.add_pipe("sentencizer")
    nlp._components[0] = ("sentencizer", annotate)
    return nlp


def scores(task, nlp, references):
    kind = TASKS[task]
    return kind.scores(nlp, kind.predictions(nlp, references))


def test_relations_are_predicted_between_gold_entities():
    nlp = predictor((0, 1, "MADE"))
    (example,) = TASKS["relation"].predictions(nlp, [gold(nlp.vocab)])
    assert example.predicted is not example.reference
    assert [ent.label_ for ent in example.predicted.ents] == ["PER", "THING"]
    found = scores("relation", nlp, [gold(nlp.vocab), gold(nlp.vocab, "SOLD")])
    assert found["semeval_acc"] == 0.5
    assert found["semeval_macro_f"] == pytest.approx(1 / 3)


def test_joint_entities_are_not_given():
    nlp = predictor((0, 1, "MADE"), find=True)
    (example,) = TASKS["ner_relation"].examples([gold(nlp.vocab)])
    assert not example.predicted.ents
    found = scores("ner_relation", nlp, [gold(nlp.vocab)])
    assert found["ents_f"] == 0.5 and found["rel_micro_f"] == 0.0


def test_components_score_themselves():
    class Judge:
        name = "judge"

        def __call__(self, doc):
            return doc

        def score(self, examples):
            return {"sim_spearman": None, "sim_pearson": 0.25, "n": [len(examples)]}

    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer", name="judge")
    nlp._components[0] = ("judge", Judge())
    doc = nlp.make_doc("A kettle.")
    set_pair(doc, ("A pot.", 0.5))
    assert scores("similarity", nlp, [doc]) == {"sim_spearman": 0.0, "sim_pearson": 0.25}


def test_questions_are_not_asked_twice():
    def never(docs):
        raise AssertionError("the pipeline was run")

    nlp = spacy.blank("en")
    nlp.pipe = never
    assert len(TASKS["qa"].predictions(nlp, [nlp.make_doc("A kettle.")])) == 1


def test_only_numbers_are_kept():
    found = numbers({"a": 1, "b": None, "c": {"x": 1.0}}, needed="b")
    assert found == {"a": 1.0, "b": 0.0}
