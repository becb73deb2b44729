"""The battery that every component passes."""

import copy
import json
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.util import load_model_from_config

from spacy_llm_tasks.training.optimizer import make_adamw

from . import toys
from .battery import Case, Recorder, cases, pooling_cases, same, stock_config

ENCODER = "transformer"


@pytest.fixture(scope="module")
def trained(tokenizer):
    """Gives the overfitted pipeline of a case, trained once. Tests that change it copy it."""
    made = {}

    def get(case: Case):
        if case.id not in made:
            nlp = case.build(tokenizer)
            made[case.id] = nlp, toys.overfit(nlp, steps=case.steps)
        return made[case.id][0]

    return get


every_case = pytest.mark.parametrize("case", cases(), ids=lambda case: case.id)
every_task_with_labels = pytest.mark.parametrize(
    "case", [c for c in cases() if c.ours and c.has_labels], ids=lambda case: case.id
)
every_reader = pytest.mark.parametrize(
    "case", [c for c in cases() if c.ours and c.reads_docs], ids=lambda case: case.id
)
every_task = pytest.mark.parametrize(
    "case", [case for case in cases() if case.ours], ids=lambda case: case.id
)


def predictions(nlp, texts=toys.ODD_TEXTS, **options):
    return [toys.snapshot(doc) for doc in nlp.pipe(texts, **options)]


def encoder_gradient(nlp, examples, *, steps=1, **options):
    """The encoder's gradients, by parameter, of updates that nobody has stepped."""
    for part in [examples] if steps == 1 else [[eg] for eg in examples]:
        nlp.update(part, sgd=False, **options)
    recorder = Recorder()
    nlp.get_pipe(ENCODER).finish_update(recorder)
    return {name: grad for (_, name), grad in recorder.gradients.items()}


def assert_equal_gradients(a, b):
    assert a.keys() == b.keys() and a
    for name in a:
        np.testing.assert_allclose(a[name], b[name], atol=1e-5, rtol=1e-4, err_msg=name)


def encoder_bytes(nlp):
    return nlp.get_pipe(ENCODER).model.to_bytes()


def test_tasks_are_found_unasked():
    found = {case.id for case in cases()}
    assert {"trf_ner", "trf_textcat", "toy_shout"} <= found


# Learning ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [*cases(), *pooling_cases()], ids=lambda case: case.id)
def test_overfits_and_survives_saving(case, trained, tmp_path):
    nlp = trained(case)
    scores = nlp.evaluate(toys.examples(nlp))
    for key in case.scores:
        assert scores[key] == pytest.approx(1.0), key
    expected = predictions(nlp)
    nlp.to_disk(tmp_path)
    assert predictions(spacy.load(tmp_path)) == expected
    from_bytes = load_model_from_config(nlp.config).from_bytes(nlp.to_bytes())
    assert predictions(from_bytes) == expected


@every_case
def test_one_file_of_weights(case, trained, tmp_path):
    trained(case).to_disk(tmp_path)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1
    for name in case.heads:
        assert b"transformer.blocks" not in (tmp_path / name / "model").read_bytes()


@every_case
def test_training_changes_later_predictions(case, trained):
    nlp = copy.deepcopy(trained(case))
    before = predictions(nlp)
    optimizer = nlp.resume_training()
    nlp.update(toys.examples(nlp), sgd=optimizer)
    after = predictions(nlp)
    assert not same(before, after)
    fresh = load_model_from_config(nlp.config).from_bytes(nlp.to_bytes())
    assert predictions(fresh) == after


@every_case
def test_averages_of_the_weights(case, trained):
    nlp = copy.deepcopy(trained(case))
    optimizer = make_adamw(0.01, average_decay=0.9, start_share=0.2)
    for _ in range(3):
        nlp.update(toys.examples(nlp), sgd=optimizer)
    own, weights = predictions(nlp), nlp.to_bytes()
    with nlp.use_params(optimizer.averages):
        averaged, saved = predictions(nlp), nlp.to_bytes()
    assert not same(averaged, own)
    assert predictions(nlp) == own
    assert nlp.to_bytes() == weights
    assert predictions(load_model_from_config(nlp.config).from_bytes(saved)) == averaged


@every_case
def test_copies_are_independent(case, trained):
    nlp = trained(case)
    expected = predictions(nlp)
    copied = copy.deepcopy(nlp)
    assert predictions(copied) == expected
    toys.overfit(copied, steps=1)
    assert not same(predictions(copied), expected)
    assert predictions(nlp) == expected


@every_case
def test_pickle(case, trained):
    nlp = copy.deepcopy(trained(case))
    assert predictions(pickle.loads(pickle.dumps(nlp))) == predictions(nlp)
    nlp.update(toys.examples(nlp), sgd=False)  # gradients that wait for a step are left behind
    loaded = pickle.loads(pickle.dumps(nlp))
    assert predictions(loaded) == predictions(nlp)
    loaded.update(toys.examples(loaded))


@every_case
def test_one_optimizer_call_per_parameter(case, trained):
    nlp = copy.deepcopy(trained(case))
    recorder = Recorder()
    nlp.update(toys.examples(nlp), sgd=recorder)
    n_parameters = len(list(nlp.get_pipe(ENCODER).model.shims[0].module.parameters()))
    ours = [key for key in recorder.calls if key[0] == nlp.get_pipe(ENCODER).model.shims[0].id]
    assert ours and len(ours) <= n_parameters
    assert set(recorder.calls.values()) == {1}


@every_task
def test_updates_accumulate(case, trained):
    nlp = copy.deepcopy(trained(case))
    data = toys.examples(nlp)
    each = [encoder_gradient(nlp, [eg]) for eg in data]
    both = encoder_gradient(nlp, data, steps=2)
    assert_equal_gradients(both, {name: each[0][name] + each[1][name] for name in each[0]})


# Docs of any shape -------------------------------------------------------------------------------


@every_case
def test_batches_do_not_matter(case, trained):
    nlp = trained(case)
    # What spaCy's textcat says of an empty doc depends on whether another one is with it.
    texts = [text for text in toys.ODD_TEXTS if text or case.ours]
    one_by_one = [toys.snapshot(nlp(text)) for text in texts]
    assert same(predictions(nlp, texts), one_by_one)
    assert same(predictions(nlp, texts, batch_size=1), one_by_one)
    assert same(predictions(nlp, texts, batch_size=3), one_by_one)
    backwards = predictions(nlp, texts[::-1])[::-1]
    assert same(backwards, one_by_one)


@every_case
def test_empty_docs(case, trained):
    nlp = trained(case)
    assert list(nlp.pipe([])) == []
    for texts in ([""], ["", ""], ["   "], ["", "\n", "Pell"]):
        assert [doc.text for doc in nlp.pipe(texts)] == texts
    empty = Example(nlp.make_doc(""), nlp.make_doc(""))
    if case.ours:  # spaCy's own components do not all take this
        copied = copy.deepcopy(nlp)
        copied.update([empty])
        copied.update([empty, *toys.examples(nlp)])


@every_case
def test_annotations_in_a_docbin(case, trained):
    nlp = trained(case)
    docs = list(nlp.pipe(toys.TEXTS))
    stored = DocBin(docs=docs, store_user_data=True, attrs=["TAG", "ENT_IOB", "ENT_TYPE"])
    loaded = DocBin().from_bytes(stored.to_bytes()).get_docs(nlp.vocab)
    for doc, other in zip(docs, loaded, strict=True):
        expected, found = toys.snapshot(doc), toys.snapshot(other)
        for key in ("ents", "tags", "cats", "spans"):
            assert same(found[key], expected[key], tolerance=0), key
        assert list(found["shout"] or []) == list(expected["shout"] or [])
        assert toys.snapshot(Doc(nlp.vocab).from_bytes(doc.to_bytes())) == expected


def in_a_fresh_process(folder, **environment):
    """Predictions on all pipelines of a folder, by one process and by several, warm and cold, with
    a limit should it hang."""
    tests = Path(__file__).parents[1]
    output = folder.parent / "out.json"
    subprocess.run(
        [sys.executable, "-m", "pipeline.fresh", folder, output],
        check=True,
        timeout=240,
        cwd=folder.parent,
        env={**os.environ, "PYTHONPATH": str(tests), **environment},
    )
    return json.loads(output.read_text(encoding="utf-8"))


def test_fresh_process_and_several_processes(trained, tmp_path):
    expected = {}
    for case in cases():
        (tmp_path / "pipelines").mkdir(exist_ok=True)
        trained(case).to_disk(tmp_path / "pipelines" / case.id)
        expected[case.id] = json.loads(json.dumps(predictions(trained(case))))
    found = in_a_fresh_process(tmp_path / "pipelines")
    assert found.keys() == expected.keys()
    for name, results in found.items():
        for kind, snapshots in results.items():
            assert same(snapshots, expected[name]), (name, kind)


@pytest.mark.slow  # compiles twice from nothing
def test_several_processes_of_a_compiled_encoder(trained, tmp_path):
    nlp = trained(cases()[0])
    nlp.to_disk(tmp_path / "plain")
    compiled = {"components.transformer.model.compiled": True}
    (tmp_path / "pipelines").mkdir()
    for name in ("first", "warm"):  # the first begins with a fork, the other is warm by then
        spacy.load(tmp_path / "plain", config=compiled).to_disk(tmp_path / "pipelines" / name)
    cache = str(tmp_path / "cache")
    found = in_a_fresh_process(tmp_path / "pipelines", TORCHINDUCTOR_CACHE_DIR=cache)
    expected = json.loads(json.dumps(predictions(nlp)))
    for results in found.values():
        for kind, snapshots in results.items():
            assert same(snapshots, expected), kind


# Gold --------------------------------------------------------------------------------------------


@every_case
def test_labels_given(case, trained, tokenizer, tmp_path):
    """What `spacy init labels` writes builds the same head as the data does."""
    nlp = trained(case)
    other = case.build(tokenizer)
    for name in case.heads:
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(nlp.get_pipe(name).label_data), encoding="utf-8")
        reader = {"@readers": "spacy.read_labels.v1", "path": str(path)}
        other.config["initialize"]["components"][name] = {"labels": reader}
    toys.initialize(other)
    for name in case.heads:
        assert other.get_pipe(name).labels == nlp.get_pipe(name).labels
        assert len(other.get_pipe(name).model.to_bytes()) == pytest.approx(
            len(nlp.get_pipe(name).model.to_bytes()), rel=0.1
        )


@every_task_with_labels
def test_unknown_label_in_the_data(case, trained, tokenizer):
    other = case.build(tokenizer)
    other.config["initialize"]["components"][case.head] = {"labels": ["NOTHING"]}
    with pytest.raises(ValueError, match="E419.*NOTHING"):
        toys.initialize(other)


@every_task
def test_initialize_again_with_more_labels(case, trained, tokenizer):
    nlp = case.build(tokenizer)
    toys.initialize(nlp, lambda: toys.examples(nlp)[:1])
    few = nlp.get_pipe(case.head).labels
    toys.initialize(nlp)
    assert nlp.get_pipe(case.head).labels[: len(few)] == few
    nlp.update(toys.examples(nlp))


@every_case
def test_gold_that_does_not_align(case, trained):
    nlp = copy.deepcopy(trained(case))
    gold = toys.gold_doc(nlp, 0)
    words = ["Old", "Mar", "ta", "Quill sails", "from", "Pell to", "Lorne", "Bay", "every"]
    spaces = [word != "Mar" for word in [*words, "spring", "."]]
    predicted = Doc(nlp.vocab, words=[*words, "spring", "."], spaces=spaces)
    assert predicted.text == gold.text
    losses = nlp.update([Example(predicted, gold), *toys.examples(nlp)], losses={})
    assert all(math.isfinite(value) for value in losses.values())
    nlp.evaluate([Example(nlp.make_doc(gold.text), gold)])
    assert all(math.isfinite(x) for row in nlp(gold.text).tensor.tolist() for x in row)


@every_task
def test_missing_gold(case, trained):
    nlp = copy.deepcopy(trained(case))
    scores = nlp.evaluate(toys.unannotated(nlp))
    assert {scores[key] for key in case.scores} == {None}
    head, encoder = nlp.get_pipe(case.head).model.to_bytes(), encoder_bytes(nlp)
    losses = nlp.update(toys.unannotated(nlp), losses={})
    assert losses == dict.fromkeys([ENCODER, *case.heads], 0.0)
    assert nlp.get_pipe(case.head).model.to_bytes() == head
    assert encoder_bytes(nlp) == encoder


@every_task_with_labels
def test_no_labels_at_all(case, tokenizer):
    nlp = case.build(tokenizer)
    with pytest.raises(ValueError, match="E420"):
        toys.initialize(nlp, lambda: toys.unannotated(nlp))


# Sharing the encoder -----------------------------------------------------------------------------


@every_case
def test_frozen_encoder(case, tokenizer):
    nlp = case.build(tokenizer)
    optimizer = toys.initialize(nlp)
    before = encoder_bytes(nlp)
    options = {"exclude": [ENCODER], "annotates": [ENCODER], "sgd": optimizer}
    first = nlp.update(toys.examples(nlp), losses={}, **options)
    for _ in range(9):
        last = nlp.update(toys.examples(nlp), losses={}, **options)
    assert encoder_bytes(nlp) == before
    assert sum(last.values()) < sum(first.values())


@every_case
def test_frozen_after_a_while(case, trained):
    """Heads train on when the encoder that fed them is frozen, and again when it is not."""
    nlp = copy.deepcopy(trained(case))
    data, optimizer = toys.examples(nlp), nlp.resume_training()
    frozen = {"exclude": [ENCODER], "annotates": [ENCODER], "sgd": optimizer}
    nlp.update(data[:1], sgd=optimizer)
    before = encoder_bytes(nlp)
    nlp.update(data[1:], **frozen)
    nlp.update(data[:1], **frozen)
    assert encoder_bytes(nlp) == before
    nlp.update(data, sgd=optimizer)
    assert encoder_bytes(nlp) != before


@every_reader
def test_frozen_encoder_that_does_not_annotate(case, tokenizer):
    nlp = case.build(tokenizer)
    toys.initialize(nlp)
    with pytest.raises(ValueError, match="E20[0-9]|E40[78]"):
        nlp.update(toys.examples(nlp), exclude=[ENCODER])


@every_case
@pytest.mark.parametrize("absent", ["frozen", "without gold"])
def test_gradient_of_the_others_is_whole(case, absent, tokenizer):
    """The last head does not answer; the encoder still gets all of the first head's gradient."""
    if absent == "without gold" and not case.ours:
        pytest.skip("spaCy's components answer with zeros, or refuse")
    nlp = case.build(tokenizer)
    nlp.add_pipe("senter", after=ENCODER, config=stock_config("senter", toys.STOCK_LISTENER))
    toys.initialize(nlp)
    starts = [True] + [False] * 11
    reference = Doc(nlp.vocab, words=toys.TEXTS[0].split(), sent_starts=starts)
    data = [Example(Doc(nlp.vocab, words=toys.TEXTS[0].split()), reference)]
    heads = list(case.heads)
    alone = encoder_gradient(nlp, data, exclude=heads)
    with nlp.select_pipes(disable=heads):
        expected = encoder_gradient(nlp, data)
    assert_equal_gradients(alone, expected)
    if absent == "without gold":
        assert_equal_gradients(encoder_gradient(nlp, data), expected)


@every_task
def test_annotating_encoder_loses_no_gradient(case, trained):
    nlp = copy.deepcopy(trained(case))
    expected = encoder_gradient(nlp, toys.examples(nlp))
    found = encoder_gradient(nlp, toys.examples(nlp), annotates=[ENCODER, case.head])
    assert_equal_gradients(found, expected)
    optimizer = nlp.resume_training()
    before = encoder_bytes(nlp)
    nlp.update(toys.examples(nlp), sgd=optimizer, annotates=[ENCODER])
    assert encoder_bytes(nlp) != before


@every_case
def test_step_waits_for_no_frozen_head(case, trained):
    """With an optimizer in hand, a head that is left out must not cost the encoder its step."""
    nlp = copy.deepcopy(trained(case))
    nlp.add_pipe("senter", config=stock_config("senter", toys.STOCK_LISTENER))
    with nlp.select_pipes(enable=[ENCODER, "senter"]):
        nlp.get_pipe("senter").initialize(lambda: toys.examples(nlp), nlp=nlp)
    before = nlp(toys.TEXTS[0]).tensor
    nlp.update(toys.examples(nlp), sgd=nlp.resume_training(), exclude=["senter"])
    assert not np.array_equal(nlp(toys.TEXTS[0]).tensor, before)


@every_case
def test_replaced_listeners(case, trained, tmp_path):
    nlp = copy.deepcopy(trained(case))
    expected = predictions(nlp)
    for name in case.heads:
        nlp.replace_listeners(ENCODER, name, ["model.tok2vec"])
    assert nlp.get_pipe(ENCODER).listening_components == []
    assert same(predictions(nlp), expected)
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert same(predictions(loaded), expected)
    recorder = Recorder()
    losses = loaded.update(toys.examples(loaded), sgd=recorder, losses={})
    assert losses[ENCODER] == 0.0
    assert set(recorder.calls.values()) == {1}


@every_case
def test_sourced(case, trained):
    nlp = copy.deepcopy(trained(case))
    expected = predictions(nlp)
    other = spacy.blank("en")
    other.add_pipe(ENCODER, source=nlp)
    for name in case.heads:
        other.add_pipe(name, source=nlp)
    assert other.get_pipe(ENCODER).listening_components == list(case.heads)
    assert same(predictions(other), expected)


@every_case
@pytest.mark.parametrize("name", [ENCODER, "encoder"])
def test_the_source_goes_on(case, name, trained):
    """spaCy has one component in both pipelines, linked to the listeners of the later one."""
    nlp = copy.deepcopy(trained(case))
    expected = predictions(nlp)
    other = spacy.blank("en")
    other.add_pipe(ENCODER, name=name, source=nlp)
    assert same(predictions(nlp), expected)
    assert other("Pell").has_vector


@every_reader
def test_without_the_encoder(case, trained):
    nlp = copy.deepcopy(trained(case))
    other = spacy.blank("en")
    other.add_pipe(case.head, source=nlp)
    with pytest.raises(ValueError, match="E40[78]"):
        other("Pell")
    nlp = copy.deepcopy(trained(case))
    with nlp.select_pipes(disable=[ENCODER]), pytest.raises(ValueError, match="E40[78]"):
        nlp("Pell")
    with nlp.select_pipes(disable=[case.head]):
        assert not nlp("Pell").cats and nlp("Pell").has_vector
    assert same(predictions(nlp), predictions(trained(case)))


# Configs -----------------------------------------------------------------------------------------


@every_task
def test_unknown_settings_are_named(case, tokenizer):
    nlp = toys.empty_pipeline(tokenizer)
    factory, config = case.heads[case.head]
    with pytest.raises(ValueError, match="treshold"):
        nlp.add_pipe(factory, config={**config, "treshold": 0.5})
    model = nlp.get_factory_meta(factory).default_config["model"] | config.get("model", {})
    with pytest.raises(ValueError, match="widht"):
        nlp.add_pipe(factory, config={**config, "model": {**model, "widht": 3}})


def test_unknown_settings_of_the_encoder_are_named(tokenizer):
    with pytest.raises(ValueError, match="dept"):
        toys.empty_pipeline(tokenizer, dept=2)


def test_scorer_of_the_config_knows_the_settings(tokenizer):
    nlp = toys.empty_pipeline(tokenizer)
    scorer = {"@scorers": "spacy_llm_tasks.textcat_scorer.v1"}
    nlp.add_pipe("trf_textcat", config={"exclusive": False, "scorer": scorer})
    scorer = {"@scorers": "spacy_llm_tasks.ner_scorer.v1"}
    nlp.add_pipe("trf_ner", config={"overlapping": True, "scorer": scorer})
    toys.initialize(nlp)
    scores = nlp.evaluate(toys.examples(nlp))
    assert scores["cats_score_desc"] == "macro AUC"
    assert scores["spans_trf_ner_f"] is not None


def test_settings_of_the_wrong_type_are_named(tokenizer):
    nlp = toys.empty_pipeline(tokenizer)
    with pytest.raises(ValueError, match="capitals"):
        nlp.add_pipe("toy_shout", config={"capitals": "loud"})


def test_layer_that_does_not_exist(tokenizer):
    nlp = toys.empty_pipeline(tokenizer)
    head = {"@architectures": "toy.ShoutHead.v1", "tok2vec": {**toys.LISTENER, "layer": 9}}
    nlp.add_pipe("toy_shout", config={"model": head})
    toys.initialize(nlp)
    with pytest.raises(ValueError, match="E424.*9"):
        nlp.update(toys.examples(nlp))
