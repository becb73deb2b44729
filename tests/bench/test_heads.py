"""What tasks cost: that the heads find as much as is promised, and what is compared with what."""

import json

import numpy as np
import pytest
import torch

from spacy_llm_tasks.annotations import get_relations
from spacy_llm_tasks.bench import heads, texts

from .data import write_weights
from .test_command import call


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"))


def test_ratios_are_of_the_same_round():
    seconds = {
        "encoder": ([1.0, 2.0, 4.0], [1.0, 1.0, 2.0]),
        "all four": ([2.0, 2.0, 5.0], [1.0, 1.5, 4.0]),
    }
    alone, every = heads.compare(seconds, n_words=100, n_texts=10)
    assert (alone.ratio, alone.ratio_cpu) == (1.0, 1.0)
    assert (every.ratio, every.ratio_cpu) == (1.25, 1.5)
    assert (alone.words_per_s, alone.words_per_cpu_s) == (50.0, 100.0)
    assert every.ms_per_text == 150.0


@pytest.mark.parametrize("n, expected", [(0, 0), (2, 2), (4, 4), (9, 4)])
def test_a_cut_lets_so_many_through(n, expected):
    scores = np.array([0.5, -3.0, 2.0, 1.0])
    assert (scores > heads._cut(scores, n)).sum() == expected
    assert heads._cut(np.zeros(0), 3) > 0


def test_random_heads_find_what_is_promised(weights):
    nlp = heads.pipeline(weights, heads.ROWS[heads.ALL], seed=0)
    docs = texts.generate("paragraphs", n_words=600, seed=0)
    heads.settle(nlp, docs)
    read = list(nlp.pipe(docs))
    n_entities = sum(len(doc.ents) for doc in read)
    assert n_entities == pytest.approx(sum(map(len, read)) / 12, abs=3)
    n_relations = sum(len(get_relations(doc)) for doc in read)
    assert n_relations == pytest.approx(n_entities / 2, abs=3)
    assert all(len(doc.cats) == 6 and doc._.embedding is not None for doc in read)
    assert len(nlp.get_pipe("trf_ner").labels) == len(nlp.get_pipe("trf_relation").labels) == 6


@pytest.fixture(scope="module")
def found(weights):
    job = {"kind": "sentences", "n_words": 100, "rounds": 1, "seed": 0}
    return heads.report(weights, threads=torch.get_num_threads(), **job)


def test_report(found):
    rows = {row["tasks"]: row for row in json.loads(json.dumps(found))["results"]}
    assert list(rows) == [*heads.ROWS, "trf_qa"]
    assert rows["encoder"]["ratio_cpu"] == 1.0
    assert all(row["ms_per_text"] > 0 and len(row["cpu_s"]) == 1 for row in rows.values())
    assert found["n_words"] >= 100 and found["n_entities"] > 0


def test_report_as_table(found):
    text = heads.render(found)
    assert "| none: the encoder alone |" in text and "| all four |" in text
    assert "a question about each text" in text and "sentences" in text


def test_command(monkeypatch, weights):
    monkeypatch.setattr(heads, "report", lambda weights, **job: job)
    options = ("--texts", "mix", "--words", 50, "--format", "json")
    result = call("heads", "--weights", weights, *options)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["kind"], found["n_words"], found["rounds"]) == ("mix", 50, 5)
