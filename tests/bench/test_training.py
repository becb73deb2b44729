"""The speed of training: that both sides take the same steps, and what is made of the readings."""

import json
from dataclasses import replace

import pytest
import torch

from spacy_llm_tasks.bench import training
from spacy_llm_tasks.bench.training_sides import Job, Trainer
from spacy_llm_tasks.bench.workers import Reading

from .data import write_weights
from .test_command import call

COLUMNS = "Anna\tB-PER\nBell\tI-PER\nsang\tO\n\nRain\tO\nfell\tO\nin\tO\nOslo\tB-LOC\n\n" * 6


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    weights = write_weights(tmp_path_factory.mktemp("weights"))
    return Job(weights=weights, batch=3, updates=4, threads=torch.get_num_threads())


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    (folder / "ner/wnut17").mkdir(parents=True)
    for name in ("train.conll", "dev.conll"):
        (folder / "ner/wnut17" / name).write_text(COLUMNS)
    return folder


def reading(wall, cpu, words=100, **found):
    return Reading(wall, cpu, {"words": words, "loss": 1.0, "memory_mb": 100.0, **found})


def test_rates_are_medians_of_rounds_and_the_peer_is_one():
    rounds = {
        "ours": [reading(w, 1.0, words=100 * w, memory_mb=w) for w in (1, 4, 2)],
        "peer": [reading(w, 3.0) for w in (4, 5, 6)],
    }
    ours, peer = training.compare(rounds, steps=2)
    assert (ours.updates_per_s, peer.updates_per_s) == (1.0, 0.4)
    assert (ours.ratio, ours.ratio_cpu) == (2.5, 3.0)
    assert (peer.ratio, peer.ratio_cpu) == (1.0, 1.0)
    assert (ours.words_per_s, ours.memory_mb) == (100.0, 4)
    (alone,) = training.compare({"ours": rounds["ours"]}, steps=2)
    assert alone.ratio is None and alone.ratio_cpu is None


def test_no_document_comes_twice_and_the_batches_are_those_of_the_seed(job):
    trainer = Trainer("ours", job)
    docs = [example.text for example in trainer.examples]
    assert len(docs) == job.batch * job.updates
    assert any(example.reference.ents for example in trainer.examples)
    seen = [i for batch in trainer.order for i in batch]
    assert sorted(seen) == list(range(len(docs)))
    assert [i for batch in Trainer("ours", job).order for i in batch] == seen


def test_a_step_changes_encoder_and_head(job):
    trainer = Trainer("ours", replace(job, updates=2))
    modules = [trainer.nlp.get_pipe(name).model.shims[0].module for name in ("trf_ner",)]
    encoder = trainer.nlp.get_pipe("transformer").model
    modules += [shim.encoder for layer in encoder.walk() for shim in layer.shims]
    before = [{n: p.detach().clone() for n, p in m.named_parameters()} for m in modules]
    found = trainer(2)
    for module, old in zip(modules, before, strict=True):
        assert any(not torch.equal(p, old[n]) for n, p in module.named_parameters())
    assert found["words"] == sum(len(example.text.split()) for example in trainer.examples)
    assert found["loss"] > 0 and found["memory_mb"] > 10


def test_a_set_is_read_from_the_data_folder(job, data):
    trainer = Trainer("ours", replace(job, data=data, set="wnut17"))
    assert trainer.nlp.get_pipe("trf_ner").labels == ("LOC", "PER")
    assert trainer(1)["words"] in (10, 11)


@pytest.mark.parametrize(
    "changed, code",
    [
        ({"set": "poems"}, "E582.*wnut17, bc5cdr"),
        ({"set": "sst2"}, "E594.*'sst2'.*'textcat'.*wnut17, bc5cdr"),
        ({"set": "wnut17"}, "E587.*--data"),
    ],
)
def test_wrong_sets(job, changed, code):
    with pytest.raises(ValueError, match=code):
        training.report(replace(job, **changed), ["ours"], rounds=1, steps=1)


def test_wrong_sides(job):
    with pytest.raises(ValueError, match="E583.*'curated'.*ours, ours-bf16, peer"):
        training.report(job, ["curated"], rounds=1, steps=1)


class Started:
    """Work in this process, in place of a worker."""

    def __init__(self, name, make, *arguments):
        self.work = make(*arguments)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def __call__(self, n):
        return Reading(2.0, 1.0, self.work(n))


@pytest.mark.parametrize("side", ["ours", "peer"])
def test_report(job, side):
    if side == "peer":
        pytest.importorskip("spacy_transformers")
    told = []
    found = training.report(job, [side], rounds=2, steps=1, start=Started, say=told.append)
    (row,) = json.loads(json.dumps(found))["results"]
    assert row["side"] == side and len(row["wall_s"]) == 2 and row["loss"] > 0
    assert found["updates"] == 3 and found["words"] > 2 * 3 * 4
    assert told == [f"Starting {side}", "2 rounds of 1 steps"]
    text = training.render(found)
    assert f"| {side} | 0.50 | 1.00 |" in text and "sentences with random entities" in text


def test_command(monkeypatch, job):
    def report(job, sides, **options):
        return {"job": job.about(), "sides": sides, "rounds": options["rounds"]}

    monkeypatch.setattr(training, "report", report)
    options = ("--texts", "paragraphs", "--batch", 8, "--sides", "ours", "--format", "json")
    result = call("training", "--weights", job.weights, *options)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["job"]["kind"], found["job"]["batch"], found["sides"]) == (
        "paragraphs",
        8,
        ["ours"],
    )
