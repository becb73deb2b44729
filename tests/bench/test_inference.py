import json

import pytest
import spacy

from spacy_llm_tasks.bench import inference


def test_ratio_is_of_the_medians_and_the_peer_is_one():
    seconds = {"ours": ([1.0, 9.0, 2.0], [1.0, 1.0, 1.0]), "peer": ([4.0, 5.0, 6.0], [3.0] * 3)}
    ours, peer = inference.compare(seconds, n_words=100)
    assert (ours.words_per_s, peer.words_per_s) == (50.0, 20.0)
    assert (ours.ratio, peer.ratio) == (2.5, 1.0)
    assert (ours.ratio_cpu, peer.ratio_cpu) == (3.0, 1.0)


def test_without_the_peer_there_is_no_ratio():
    (ours,) = inference.compare({"ours": ([1.0], [1.0])}, n_words=10)
    assert ours.ratio is None and ours.ratio_cpu is None


def test_sides_take_turns_and_both_read_everything():
    read = []

    class Reader:
        def __init__(self, side):
            self.side = side

        def pipe(self, docs):
            read.append((self.side, len(docs)))
            return iter(docs)

    found = inference.measure({s: Reader(s) for s in ("ours", "peer")}, ["a b"] * 8, rounds=3)
    assert [speed.side for speed in found] == ["ours", "peer"]
    warm_up = [("ours", 2), ("peer", 2)]
    rounds = ["ours", "peer", "peer", "ours", "ours", "peer"]
    assert read == warm_up + [(side, 8) for side in rounds]


@pytest.fixture
def found(monkeypatch, tmp_path):
    monkeypatch.setattr(inference, "pipeline", lambda side, weights, *, seed: spacy.blank("en"))
    return inference.report(
        ["peer"], tmp_path, kind="sentences", n_words=50, rounds=2, threads=1, seed=0
    )


def test_report_is_json_with_the_promised_keys(found):
    (row,) = json.loads(json.dumps(found))["results"]
    assert {"side", "precision", "ratio", "words_per_s"} <= set(row)
    assert row["ratio"] == 1.0 and row["precision"] == "float32" and len(row["wall_s"]) == 2
    assert found["n_words"] >= 50 and found["threads"] == 1


def test_report_as_table(found):
    text = inference.render(found)
    assert "| peer | float32 |" in text and "2 interleaved rounds" in text
    assert "difference" not in text
    assert "1.0e-06" in inference.render({**found, "max_abs_difference": 1e-6})
