"""Several tasks on one encoder: how often it reads, who teaches it what, and how it is saved."""

import copy
from collections import Counter

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc
from spacy.training import Example

from spacy_llm_tasks.annotations import set_pair, set_questions
from spacy_llm_tasks.nn.encoder import TransformerEncoder

from . import toys
from .battery import Recorder

ENCODER = "transformer"
SHARED = ["trf_ner", "trf_relation", "trf_textcat", "trf_similarity"]
EVERY = [*SHARED, "trf_qa"]
ROOM = {"window": 30, "stride": 20}
WHO = "Who sails ?"


def build(tokenizer, heads, **config):
    nlp = toys.empty_pipeline(tokenizer, **ROOM)
    for head in heads:
        nlp.add_pipe(head, config=config.get(head, {}))
    toys.initialize(nlp)
    return nlp


def factor(value):
    return {"model": {"tok2vec": {**toys.LISTENER, "grad_factor": value}}}


@pytest.fixture(scope="module")
def whole(tokenizer):
    return build(tokenizer, EVERY)


@pytest.fixture
def nlp(whole):
    return copy.deepcopy(whole)


@pytest.fixture
def passes(monkeypatch):
    """The number of sequences in each forward pass of any encoder."""
    counted, forward = [], TransformerEncoder.forward

    def count(self, ids, packing, **options):
        counted.append(len(packing.lengths))
        return forward(self, ids, packing, **options)

    monkeypatch.setattr(TransformerEncoder, "forward", count)
    return counted


def gradients(nlp, examples, **options):
    """The encoder's gradients of an update, by parameter, and how often each was stepped."""
    recorder = Recorder()
    nlp.update(examples, sgd=recorder, drop=0.0, **options)
    nlp("")  # takes the step that waits for heads that do not answer
    own = nlp.get_pipe(ENCODER).model.shims[0].id
    assert set(recorder.calls.values()) <= {1}
    return {name: grad for (owner, name), grad in recorder.gradients.items() if owner == own}


def assert_sum(total, parts):
    names = set().union(*parts)
    assert set(total) == names and names
    for name in names:
        expected = sum(part[name] for part in parts if name in part)
        np.testing.assert_allclose(total[name], expected, atol=2e-5, rtol=1e-3, err_msg=name)


def encoder_bytes(nlp):
    return nlp.get_pipe(ENCODER).model.to_bytes()


# Passes ------------------------------------------------------------------------------------------


def test_docs_are_read_once_and_once_more_for_each_question(nlp, passes):
    docs = list(nlp.pipe(toys.TEXTS))
    assert passes == [len(docs)]
    assert all(doc.cats and doc.has_vector and doc.ents is not None for doc in docs)
    docs[0]._.ask(WHO)
    docs[1]._.ask("Why ?")
    assert passes == [len(docs), 1, 1]
    nlp.get_pipe("trf_qa").answer(docs, [[WHO, "Why ?"], ["Why ?"]])  # many at once
    assert passes == [len(docs), 1, 1, 3]


def test_training_reads_docs_once_their_pairs_once_and_their_questions_once(nlp, passes):
    data = toys.examples(nlp)
    n_questions = sum(len(eg.reference._.questions) for eg in data)
    nlp.update(data)
    assert passes == [len(data), len(data), n_questions]
    passes.clear()
    with nlp.select_pipes(disable=["trf_similarity", "trf_qa"]):
        nlp.update(data)
    assert passes == [len(data)]


@pytest.mark.parametrize("in_one_call", [True, False])
def test_questions_alone_do_not_make_the_encoder_read_docs(tokenizer, passes, in_one_call):
    nlp = build(tokenizer, ["trf_qa"])
    before, optimizer = encoder_bytes(nlp), nlp.resume_training()
    passes.clear()
    nlp.update(toys.examples(nlp), sgd=optimizer if in_one_call else False)
    if not in_one_call:  # as spaCy's own loop does it
        for _, pipe in nlp.pipeline:
            pipe.finish_update(optimizer)
    assert passes == [3]
    assert encoder_bytes(nlp) != before and passes == [3]


def test_without_gold_nothing_is_read_twice(nlp, passes):
    nlp.update(toys.unannotated(nlp))
    assert passes == [len(toys.TEXTS)]


# Gradients ---------------------------------------------------------------------------------------


def test_gradients_of_all_tasks_sum_up(nlp):
    data = toys.examples(nlp)
    parts = [
        gradients(nlp, data, exclude=[name for name in EVERY if name != head]) for head in EVERY
    ]
    assert all(any(g.any() for g in part.values()) for part in parts)
    assert_sum(gradients(nlp, data), parts)


def test_gradients_of_entities_and_questions_sum_up_in_two_updates(nlp):
    """As spaCy's loop accumulates them: several updates, then one step."""
    with nlp.select_pipes(enable=[ENCODER, "trf_ner", "trf_qa"]):
        data = toys.examples(nlp)
        parts = [gradients(nlp, [eg]) for eg in data]
        for eg in data:
            nlp.update([eg], sgd=False, drop=0.0)
        recorder = Recorder()
        for _, pipe in nlp.pipeline:
            pipe.finish_update(recorder)
        own = nlp.get_pipe(ENCODER).model.shims[0].id
        total = {name: g for (owner, name), g in recorder.gradients.items() if owner == own}
        assert set(recorder.calls.values()) == {1}
        assert_sum(total, parts)


@pytest.mark.parametrize("head", ["trf_qa", "trf_similarity"])
@pytest.mark.parametrize("value", [0.0, 0.25])
def test_factor_on_the_gradient_of_texts(tokenizer, head, value):
    """Of the pass over texts as of the pass over docs."""
    nlp = build(tokenizer, [head])
    scaled = build(tokenizer, [head], **{head: factor(value)})
    scaled.from_bytes(nlp.to_bytes())
    full = gradients(nlp, toys.examples(nlp))
    found = gradients(scaled, toys.examples(scaled))
    assert any(g.any() for g in full.values())
    for name in full:
        np.testing.assert_allclose(found[name], value * full[name], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("frozen", ["excluded", "annotating"])
def test_a_frozen_encoder_learns_nothing_from_texts(nlp, passes, frozen):
    before, heads = (
        encoder_bytes(nlp),
        {name: nlp.get_pipe(name).model.to_bytes() for name in EVERY},
    )
    options = {"exclude": [ENCODER], "annotates": [ENCODER]}
    data = toys.examples(nlp)
    if frozen == "excluded":  # the head needs no doc that anybody has read
        options = {"exclude": [ENCODER, *SHARED]}
    nlp.update(data, sgd=nlp.resume_training(), **options)
    assert encoder_bytes(nlp) == before
    assert nlp.get_pipe("trf_qa").model.to_bytes() != heads["trf_qa"]
    module = nlp.get_pipe(ENCODER).model.shims[0].module
    assert all(p.grad is None for p in module.parameters())


# Partial gold ------------------------------------------------------------------------------------


def partly(nlp, *tasks):
    """The first toy text, annotated for some tasks alone."""
    full = toys.gold_doc(nlp, 0)
    gold = Doc(nlp.vocab, words=[token.text for token in full])
    if "ner" in tasks:
        gold.ents = [spacy.tokens.Span(gold, a, z, label=k) for a, z, k in toys.ENTS[0]]
    if "textcat" in tasks:
        gold.cats = dict(toys.CATS[0])
    if "similarity" in tasks:
        set_pair(gold, toys.PAIRS[0])
    if "qa" in tasks:
        set_questions(gold, toys.QUESTIONS[0])
    return Example(Doc(nlp.vocab, words=[token.text for token in full]), gold)


TASKS = ["ner", "textcat", "similarity", "qa"]


@pytest.mark.parametrize("task", TASKS)
def test_gold_of_one_task_teaches_that_task_alone(nlp, task):
    nlp.get_pipe("trf_similarity").task.objective = "cosine"  # which learns from a single pair
    losses = nlp.update([partly(nlp, task)], losses={}, drop=0.0)
    taught = {name for name in EVERY if losses[name]}
    assert taught == {f"trf_{task}"}


def test_each_doc_of_a_batch_may_teach_another_task(nlp):
    """The losses of a batch are those of the docs that have gold, whatever stands beside them."""
    nlp.get_pipe("trf_similarity").task.objective = "cosine"
    alone = Counter()
    for task in TASKS:
        alone.update(nlp.update([partly(nlp, task)], losses={}, drop=0.0, sgd=False))
    batch = [partly(nlp, task) for task in TASKS] + toys.unannotated(nlp)
    losses = nlp.update(batch, losses={}, drop=0.0, sgd=False)
    nlp.get_pipe(ENCODER)._flush()
    assert losses["trf_ner"] > 0  # a mean over all docs
    for task in TASKS[1:]:
        assert losses[f"trf_{task}"] == pytest.approx(alone[f"trf_{task}"], rel=1e-3), task
    scores = nlp.evaluate(batch)
    assert scores["sim_spearman"] is None  # one pair has no order
    assert scores["qa_f1"] is not None and scores["ents_f"] is not None
    assert nlp.evaluate(toys.unannotated(nlp))["qa_f1"] is None


# Saving ------------------------------------------------------------------------------------------


def test_one_file_of_weights_for_all(nlp, tmp_path):
    doc = nlp(toys.TEXTS[0])
    answer = doc._.ask(WHO)
    nlp.to_disk(tmp_path)
    assert [p.name for p in tmp_path.rglob("*.safetensors")] == ["model.safetensors"]
    loaded = spacy.load(tmp_path)
    other = loaded(toys.TEXTS[0])
    assert toys.snapshot(other) == toys.snapshot(doc) and other._.ask(WHO) == answer
