"""Calibrating a component: the threshold and the confidences that its task learns."""

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_llm_tasks.layers.span_head import NO_SPAN
from spacy_llm_tasks.pipeline.ner import DEFAULT_THRESHOLD, NerTask
from spacy_llm_tasks.pipeline.textcat import TextCatTask

WORDS = "a b c d e f".split()


@pytest.fixture(scope="module")
def vocab():
    return spacy.blank("en").vocab


def ner_case(vocab, n_docs):
    """In every doc: token 0 is an entity and scores -1, token 2 is none and scores -1.5, token 4 is
    an entity that no score finds."""
    examples, logits = [], []
    for _ in range(n_docs):
        gold = Doc(vocab, words=WORDS)
        gold.ents = [Span(gold, 0, 1, label="X"), Span(gold, 4, 5, label="X")]
        examples.append(Example(Doc(vocab, words=WORDS), gold))
        band = torch.full((len(WORDS), 2, 1), NO_SPAN)
        band[0, 0], band[2, 0] = -1.0, -1.5
        logits.append(band)
    return examples, logits


def ner_task():
    task = NerTask()
    task.labels = ("X",)
    return task


def test_the_threshold_with_the_best_f1_is_found(vocab):
    task = ner_task()
    assert not task.calibrate(*ner_case(vocab, 120))  # all that is found then is right: no error
    assert -1.5 < task.learned["threshold"] <= -1.0


def test_few_gold_entities_leave_the_threshold_alone(vocab):
    task = ner_task()
    task.calibrate(*ner_case(vocab, 20))
    assert task.learned["threshold"] == DEFAULT_THRESHOLD


def test_confidences_become_frequencies(vocab):
    rng = np.random.default_rng(0)
    examples, logits = [], []
    for _ in range(400):
        right = rng.random() < 0.7
        gold = Doc(vocab, words=WORDS)
        gold.set_ents([Span(gold, 0, 1, label="X")] if right else [], default="outside")
        examples.append(Example(Doc(vocab, words=WORDS), gold))
        band = torch.full((len(WORDS), 2, 1), NO_SPAN)
        band[0, 0] = 6.0 + rng.random()
        logits.append(band)
    task = ner_task()
    assert task.calibrate(examples, logits)
    docs = [eg.predicted for eg in examples]
    for doc, band in zip(docs, logits, strict=True):
        task.annotate(doc, task.decode(band, [doc])[0])
    confidences, correct = task.reliability(examples)
    assert confidences.mean() == pytest.approx(correct.mean(), abs=0.01)


def test_probabilities_of_categories_become_frequencies(vocab):
    rng = np.random.default_rng(0)
    examples, logits = [], []
    for _ in range(400):
        right = rng.random() < 0.75
        gold = Doc(vocab, words=WORDS)
        gold.cats = {"A": float(right), "B": float(not right)}
        examples.append(Example(Doc(vocab, words=WORDS), gold))
        logits.append(torch.tensor([9.0, 0.0]))
    task = TextCatTask()
    task.labels = ("A", "B")
    assert task.calibrate(examples, logits)
    decoded = task.decode(logits[0][None], [examples[0].predicted])
    frequency = np.mean([eg.reference.cats["A"] for eg in examples])
    assert decoded[0][0] == pytest.approx(frequency, abs=0.01)


def test_a_category_that_the_component_does_not_know_is_an_error(vocab):
    """It counts in the reliability; the likelihood of a temperature knows no such label."""
    examples, logits = [], []
    for i in range(40):
        docs = [Doc(vocab, words=WORDS), Doc(vocab, words=WORDS)]
        docs[0].cats = {"A": 0.8, "B": 0.2}
        docs[1].cats = [{"A": 1.0}, {"new": 1.0}, {"A": 0.0, "new": 1.0}, {"B": 0.0}][i % 4]
        examples.append(Example(*docs))
        logits.append(torch.tensor([2.0, 0.0]))
    task = TextCatTask()
    task.labels = ("A", "B")
    confidences, correct = task.reliability(examples)
    assert len(confidences) == 30 and correct.sum() == 10
    assert not task.calibrate(examples, logits)


def test_thresholds_per_label_need_enough_positives(vocab):
    examples, logits = [], []
    for i in range(60):
        gold = Doc(vocab, words=WORDS)
        gold.cats = {"common": float(i % 2), "rare": float(i < 3)}
        examples.append(Example(Doc(vocab, words=WORDS), gold))
        logits.append(torch.tensor([-1.0 if i % 2 else -3.0, 0.0]))
    task = TextCatTask(exclusive=False)
    task.labels = ("common", "rare")
    task.calibrate(examples, logits)
    assert set(task.learned["thresholds"]) == {"common"}
    assert task.thresholds["common"] < 0.5 and task.thresholds["rare"] == 0.5


def test_without_errors_probabilities_stay_as_they_are(vocab):
    examples, logits = [], []
    for i in range(40):
        gold = Doc(vocab, words=WORDS)
        gold.cats = {"A": float(i % 2), "B": float(1 - i % 2)}
        examples.append(Example(Doc(vocab, words=WORDS), gold))
        logits.append(torch.tensor([2.0, 0.0] if i % 2 else [0.0, 2.0]))
    task = TextCatTask()
    task.labels = ("A", "B")
    assert not task.calibrate(examples, logits)
    assert "temperature" not in task.learned
