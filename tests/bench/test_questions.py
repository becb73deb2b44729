"""The speed of answering: what is asked of whom, and what comes out."""

import json

import pytest

from spacy_llm_tasks.bench import questions

from .data import write_weights


class Pipe:
    def __init__(self, layers, asked):
        self.layers, self.asked = layers, asked

    def get_pipe(self, name):
        return self

    def make_doc(self, text):
        return text

    def answer(self, docs, lists):
        self.asked.append((self.layers, list(docs), [len(few) for few in lists]))


def test_turn_about_with_new_texts_each_round():
    asked = []
    pipes = {layers: Pipe(layers, asked) for layers in (0, 3)}
    names = [f"q{i}" for i in range(6)]
    found = questions.measure(pipes, ["a", "b"], names, per_text=3, rounds=2)
    assert set(found) == {0, 3} and all(rate > 0 for rate in found.values())
    assert [layers for layers, _, _ in asked] == [0, 3, 0, 3, 3, 0]
    assert all(sizes == [3] * len(docs) for _, docs, sizes in asked)
    read = [tuple(docs) for layers, docs, _ in asked if layers == 3]
    assert len(set(read)) == len(read)  # nothing is remembered from an earlier round


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = write_weights(tmp_path_factory.mktemp("weights"))
    options = {"deferred": [1], "per_text": [1, 2], "n_texts": 2, "rounds": 1}
    return questions.report(folder, **options, threads=1, seed=0)


def test_report(found):
    rows = json.loads(json.dumps(found))["results"]
    keys = [(row["questions_per_text"], row["deferred_layers"]) for row in rows]
    assert keys == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert [row["ratio"] for row in rows if row["deferred_layers"] == 0] == [1.0, 1.0]
    assert found["n_texts"] == 2


def test_report_as_table(found):
    text = questions.render(found)
    assert "| 2 | 1 |" in text and "2 texts" in text
