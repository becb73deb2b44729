import json

import pytest

from spacy_llm_tasks.bench import records
from spacy_llm_tasks.bench.records import Record, RunKey


def make(side="peer", name="wnut17", seed=0, rate=1e-4, score=0.5, **scores):
    return Record(
        key=RunKey(side, name, seed, rate),
        score=score,
        scores={"ents_f": score, "accuracy": score, **scores},
        updates=10,
        seconds={"train_wall": 3.0, "train_cpu": 2.0},
        settings={"dropout": 0.1, "sizes": [1, 2]},
        about={"threads": 1},
    )


def test_round_trip(tmp_path):
    path = records.save(tmp_path / "new" / "folder", make())
    assert path.name == "peer-wnut17-seed0-lr0.0001.json"
    assert records.load(path) == make()
    assert json.loads(path.read_text())["set"] == "wnut17"


def test_nothing_half_written_stays(tmp_path):
    broken = make()
    broken.about["bad"] = object()
    with pytest.raises(TypeError):
        records.save(tmp_path, broken)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_result(tmp_path):
    path = records.save(tmp_path, make())
    broken = make(score=0.9)
    broken.about["bad"] = object()
    with pytest.raises(TypeError):
        records.save(tmp_path, broken)
    assert records.load(path).score == 0.5


def test_found_only_with_equal_settings(tmp_path):
    record = make()
    records.save(tmp_path, record)
    same = {"dropout": 0.1, "sizes": (1, 2)}  # a tuple is a list once it was in a file
    assert records.find(tmp_path, record.key, same) == record
    assert records.find(tmp_path, record.key, {**same, "dropout": 0.2}) is None
    assert records.find(tmp_path, RunKey("peer", "wnut17", 1, 1e-4), same) is None


def test_settings_may_be_read_in_another_way(tmp_path):
    record = make()
    records.save(tmp_path, record)
    wanted = {"dropout": 0.1}
    assert records.find(tmp_path, record.key, wanted) is None
    found = records.find(tmp_path, record.key, wanted, read=lambda held: {"dropout": 0.1})
    assert found == record
    assert records.find(tmp_path, record.key, wanted, read=lambda held: {}) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"side": "peer"}', '{"side":1,"set":2,"x":3}'])
def test_a_damaged_file_is_named(tmp_path, text):
    path = tmp_path / "peer-wnut17-seed0-lr0.0001.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"E585.*peer-wnut17"):
        records.load(path)


def test_fingerprint_follows_the_weights(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"abc")
    first = records.fingerprint(tmp_path)
    assert first.startswith("ba7816bf")  # the published sha256 of "abc"
    (tmp_path / "model.safetensors").write_bytes(b"abd")
    assert records.fingerprint(tmp_path) != first


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(ValueError, match="E586"):
        records.fingerprint(tmp_path)
