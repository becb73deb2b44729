"""The scripts that train the peers, as far as they need no library of a peer."""

import json
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.training import Example
from spacy.util import fix_random_seed
from thinc.api import Adam

from spacy_llm_tasks.annotations import GoldAnswer, Question, get_relations
from spacy_llm_tasks.bench import plan, records
from spacy_llm_tasks.bench.loop import Outcome
from spacy_llm_tasks.bench.sets import SETS

from . import data

SCRIPTS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return import_module


def test_help_names_the_sets(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["peers.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        script("peers").main()
    assert ended.value.code == 0
    assert "semeval, conll04, stsb, squad1, squad2" in " ".join(capsys.readouterr().out.split())


def test_every_scripted_task_has_its_module(script):
    peers = script("peers")
    assert {SETS[name].task for name in peers.KNOWN} == set(peers.PEERS)
    for module in peers.PEERS.values():
        assert callable(script(module).run)


def test_a_missing_library_is_named_with_its_command(script):
    with pytest.raises(SystemExit, match="pip install .*no-such-library"):
        script("trained").need("no-such-library")


@pytest.fixture
def called(script, monkeypatch, tmp_path):
    """Calls the script on a peer that trains nothing; gives what was asked of it."""
    asked = []

    def run(item, key, **options):
        asked.append((item.name, key.seed, key.learn_rate, item.updates))
        outcome = Outcome({item.score: 0.5}, {"train_cpu": 1.0})
        return script("trained").Trained(outcome, {"library": "toy"}, [], [], {"toy": "1"})

    monkeypatch.setattr(script("peer_similarity"), "run", run)
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "model.safetensors").write_bytes(b"stands for weights")
    args = ["peers.py", "--data", tmp_path, "--weights", weights, "--results", tmp_path / "results"]

    def call(*more):
        asked.clear()
        monkeypatch.setattr(sys, "argv", [str(arg) for arg in (*args, *more)])
        script("peers").main()
        return list(asked)

    return call


def test_results_are_saved_found_and_not_repeated(called, tmp_path, capsys):
    options = ("--sets", "stsb", "--rates", "1e-4", "--seeds", "0,1")
    assert called(*options) == [("stsb", 0, 1e-4, 720), ("stsb", 1, 1e-4, 720)]
    assert called(*options) == []
    body = json.loads((tmp_path / "results/peer-stsb-seed1-lr0.0001.json").read_text())
    assert body["settings"]["updates"] == 720 and body["settings"]["batch_docs"] == 32
    assert body["about"]["versions"]["toy"] == "1"
    item = SETS["stsb"]
    job = plan.Job(
        data=tmp_path,
        weights=tmp_path / "weights",
        results=tmp_path / "results",
        sides=("ours", "peer"),
        sets=(item,),
        seeds=(0, 1),
        rates=(1e-4,),
    )
    assert [record.key.side for record in plan.collect(job)] == ["peer", "peer"]
    assert records.load_all(job.results) == plan.collect(job)
    assert plan.collect(replace(job, sets=(replace(item, updates=10),))) == []


def test_rates_are_chosen_as_on_our_side(called):
    asked = called("--sets", "stsb", "--seeds", "0")
    assert asked == [("stsb", 0, 5e-5, 720), ("stsb", 0, 1e-4, 720)]


def test_a_trial_is_not_saved(called, tmp_path, capsys):
    assert called("--sets", "stsb", "--updates", "3") == [("stsb", 0, 1e-4, 3)]
    assert "not saved" in capsys.readouterr().out
    assert not (tmp_path / "results").exists()


def test_sets_without_a_script_are_named(called):
    with pytest.raises(SystemExit, match="on wnut17, squad1-deferred"):
        called("--sets", "stsb,wnut17,squad1-deferred")


# Relations ---------------------------------------------------------------------------------------

TOK2VEC = {
    "@architectures": "spacy.HashEmbedCNN.v2",
    "pretrained_vectors": None,
    "width": 16,
    "depth": 1,
    "embed_size": 100,
    "window_size": 1,
    "maxout_pieces": 2,
    "subword_features": True,
}


def test_relations_are_learned_in_their_direction(script, tmp_path):
    script("peer_relation")
    nlp = spacy.blank("en")
    fix_random_seed(0)
    pipe = nlp.add_pipe("peer_relation", config={"tok2vec": TOK2VEC})
    (tmp_path / "train.txt").write_text(data.semeval(12))
    item = replace(SETS["semeval"], train="train.txt")
    train, _ = item.read(tmp_path, nlp, seed=0)
    examples = item.kind.examples(train)
    nlp.initialize(lambda: examples)
    assert pipe.labels == ("Cause-Effect",)
    optimizer, losses = Adam(0.01), {}
    for _ in range(60):
        losses = {}
        nlp.update(examples, sgd=optimizer, losses=losses)
    assert losses["peer_relation"] < 0.05
    found = item.kind.scores(nlp, item.kind.predictions(nlp, train))
    assert found["semeval_acc"] == 1.0
    empty = nlp.make_doc("Nothing stands here.")
    assert get_relations(nlp(empty)) == []
    nlp.update([Example(nlp.make_doc("Nothing."), nlp.make_doc("Nothing."))], sgd=optimizer)


def test_gradient_of_pairs_is_that_of_finite_differences(script):
    layer = script("pair_rows")
    nlp = spacy.blank("en")
    tok2vec = spacy.registry.resolve({"model": TOK2VEC})["model"]
    doc = nlp.make_doc("Ada built old engines in Pell")
    candidates = layer.Candidates(doc, [(0, 1), (2, 4), (5, 6)], [(0, 1), (1, 0), (1, 2)])
    model = layer.pair_rows(tok2vec)
    rows = np.random.default_rng(0).normal(size=(len(doc), 4)).astype("float32")
    seen = []
    tok2vec._func = lambda model, X, is_train: ([rows], lambda d: seen.extend(d) or X)
    pairs, backprop = model([candidates], True)
    assert pairs.shape == (3, 8)
    assert pairs[0, :4] == pytest.approx(rows[0])
    assert pairs[0, 4:] == pytest.approx(rows[2:4].mean(axis=0))
    weight = np.random.default_rng(1).normal(size=pairs.shape).astype("float32")
    backprop(weight)
    for token in range(len(doc)):
        rows[token, 1] += 0.5
        moved, _ = model([candidates], True)
        rows[token, 1] -= 0.5
        expected = ((moved - pairs) * weight).sum() / 0.5
        assert seen[0][token, 1] == pytest.approx(expected, abs=1e-5)


# Questions ---------------------------------------------------------------------------------------


def window(script, *, places):
    return script("peer_qa").Window(0, {}, places)


def test_an_answer_is_placed_in_the_windows_that_hold_it(script):
    peer = script("peer_qa")
    question = Question("a", "Who?", (GoldAnswer("Ada Lund", 4),))
    whole = window(script, places=[None, None, (0, 3), (4, 7), (8, 12), None])
    half = window(script, places=[None, (8, 12), (13, 15), None])
    assert peer.answer_pieces(whole, question) == (3, 4)
    assert peer.answer_pieces(half, question) == (0, 0)
    assert peer.answer_pieces(whole, Question("b", "Who?")) == (0, 0)


def test_the_best_span_lies_in_the_text_and_is_not_too_long(script):
    peer = script("peer_qa")
    places = [None, None, *((2 * i, 2 * i + 1) for i in range(60))]
    one = window(script, places=places)
    starts, ends = np.zeros(62), np.zeros(62)
    starts[1], ends[1] = 9.0, 9.0  # of the question
    starts[10], ends[50], ends[20], ends[5] = 5.0, 4.0, 3.0, 4.5
    score, span = peer.best_span(one, starts, ends)
    assert (score, span) == (8.0, (16, 37))
    score, span = peer.best_span(window(script, places=[None] * 62), starts, ends)
    assert span is None


def test_refusals_are_scored_as_in_squad2(script):
    peer = script("peer_qa")
    questions = [Question("a", "Who?", (GoldAnswer("Ada", 0),)), Question("a", "Where?")]
    found = [peer.Found("Ada", 3.0, 1.0), peer.Found("Pell", 1.0, 2.0)]
    assert peer.scores_of(questions, found, may_refuse=True)["qa_f1"] == 1.0
    sure = [peer.Found("Ada", 3.0, 4.0), peer.Found("Pell", 1.0, 5.0)]
    scores = peer.scores_of(questions, sure, may_refuse=True)
    assert (scores["qa_f1"], scores["qa_best_f1"]) == (0.5, 1.0)
    assert peer.scores_of(questions[:1], sure[:1], may_refuse=False)["qa_em"] == 1.0
