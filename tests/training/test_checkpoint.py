import json
import os

import numpy as np
import pytest

from spacy_llm_tasks.files import clean_parts, whole_folder, write_json
from spacy_llm_tasks.training.checkpoint import Checkpoints, damage


def save(checkpoints, step):
    def save_pipeline(path):
        path.mkdir()
        (path / "weights").write_bytes(b"w" * step)

    arrays = {"a": np.arange(step), "b": np.full((2, 2), 0.1, dtype="float32")}
    return checkpoints.save(step, save_pipeline, {"step": step}, arrays)


def test_round_trip(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 5)
    checkpoint = checkpoints.latest(print)
    assert checkpoint.numbers == {"step": 5}
    assert checkpoint.arrays["a"].tolist() == [0, 1, 2, 3, 4]
    assert checkpoint.arrays["b"].dtype == np.float32
    assert (checkpoint.pipeline / "weights").read_bytes() == b"wwwww"


def test_the_two_latest_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.latest(print) is None
    for step in (1, 2, 3, 10):
        save(checkpoints, step)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000003", "step-00000010"]
    checkpoints.finish({"step": 10})
    assert [p.name for p in tmp_path.iterdir()] == ["finished"]
    assert checkpoints.latest(print).is_finished


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def change(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("harm", [cut, change, lambda path: path.unlink()])
@pytest.mark.parametrize(
    "name", ["state.json", "state.safetensors", "pipeline/weights", "manifest.json"]
)
def test_damage_is_found_and_the_one_before_is_used(tmp_path, harm, name):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        save(checkpoints, step)
    if name == "manifest.json" and harm is cut:
        (tmp_path / "step-00000002" / name).write_text("{}")
    elif name == "manifest.json" and harm is change:
        (tmp_path / "step-00000002" / name).write_text("[1]")
    else:
        harm(tmp_path / "step-00000002" / name)
    told = []
    assert checkpoints.latest(told.append).numbers == {"step": 1}
    assert len(told) == 1 and "step-00000002" in told[0] and name in told[0]
    harm(tmp_path / "step-00000001" / "state.json")
    with pytest.raises(ValueError, match="E506"):
        checkpoints.latest(told.append)


def test_a_failed_save_leaves_what_was_there(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1)

    def fail(path):
        path.mkdir()
        raise RuntimeError("disk full")

    for step in (1, 2):
        with pytest.raises(RuntimeError):
            checkpoints.save(step, fail, {}, {})
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000001"]
    assert damage(tmp_path / "step-00000001") is None


def test_a_kill_between_the_two_renames_is_undone(tmp_path):
    with whole_folder(tmp_path / "model") as part:
        (part / "x").write_text("old")
    (tmp_path / "model").rename(tmp_path / ".part-old-model")
    (tmp_path / ".part-model").mkdir()
    clean_parts(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "x").read_text() == "old"


def test_json_is_whole_or_old(tmp_path):
    path = tmp_path / "metrics" / "scores.json"
    write_json(path, {"a": None})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": None}
    assert [p.name for p in path.parent.iterdir()] == ["scores.json"]


@pytest.mark.skipif(os.name == "nt", reason="no rights of this kind")
def test_others_may_read_what_the_umask_lets_them(tmp_path):
    before = os.umask(0o022)
    try:
        path = save(Checkpoints(tmp_path), 5)
    finally:
        os.umask(before)
    found = {path.name: path.stat().st_mode & 0o777 for path in path.iterdir() if path.is_file()}
    assert "state.safetensors" in found and set(found.values()) == {0o644}


def test_clearing_leaves_what_is_not_a_checkpoint(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1)
    checkpoints.finish({"step": 1})
    save(checkpoints, 2)
    (tmp_path / ".part-step-00000003").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    checkpoints.clear()
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]
