import errno
import json
import os
import pickle
import subprocess
import sys
import textwrap
import warnings

import pytest
import torch
from safetensors import SafetensorError

from spacy_llm_tasks.pretraining import checkpoints as checkpoints_file
from spacy_llm_tasks.pretraining.checkpoints import Checkpoints


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr("spacy_llm_tasks.files.sync", lambda path: None)


def save(checkpoints, step, score=None):
    tensors = {"model": {"w": torch.full((2, 3), float(step)), "b": torch.arange(step)}}
    return checkpoints.save(step, tensors=tensors, state={"seen": step}, score=score)


def steps_in(folder):
    return sorted(int(path.name.removeprefix("step-")) for path in folder.iterdir())


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def remove(path):
    path.unlink()


def test_round_trip(tmp_path):
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints")
    assert checkpoints.load_latest() is None and checkpoints.load_best() is None
    table = torch.randn(4, 4)
    kinds = {
        "half": torch.randn(3).bfloat16(),
        "count": torch.tensor(2**40),
        "scalar": torch.tensor(0.1),
        "turned": table.T,
        "part": table[1:3],
        "table": table,
        "tied": table,
        "empty": torch.zeros(0, 3),
        "trained": torch.nn.Parameter(torch.ones(2)),
    }
    state = {"loss": 0.1 + 0.2, "none": None, "text": "ü", "list": [1, [2]]}
    path = checkpoints.save(7, tensors={"model": kinds, "no": {}}, state=state, score=-1.5)
    found = checkpoints.load_latest()
    assert (found.path, found.step, found.score, found.state) == (path, 7, -1.5, state)
    assert sorted(found.tensors) == ["model", "no"] and found.tensors["no"] == {}
    for name, tensor in found.tensors["model"].items():
        assert tensor.dtype == kinds[name].dtype and torch.equal(tensor, kinds[name].detach())
    with pytest.raises(KeyError):
        found.tensors["state"]


def test_the_last_and_the_best_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep_last=2, keep_best=2)
    kept = []
    for step, score in [(1, 0.5), (2, 0.9), (3, 0.1), (4, float("nan")), (5, None), (6, 0.6)]:
        save(checkpoints, step, score)
        kept.append(steps_in(tmp_path))
    assert kept == [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4], [1, 2, 4, 5], [2, 5, 6]]
    assert checkpoints.load_latest().step == 6
    assert checkpoints.load_best().step == 2


def test_of_equal_scores_the_newest_is_best(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep_last=1, keep_best=1)
    for step in (1, 2, 3):
        save(checkpoints, step, 0.5 if step < 3 else None)
    assert steps_in(tmp_path) == [2, 3] and checkpoints.load_best().step == 2


def test_one_that_cannot_be_read_does_not_pass_for_the_best(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep_last=1, keep_best=1)
    save(checkpoints, 1, 0.5)
    (tmp_path / "step-00000001" / "state.json").write_text("{")
    save(Checkpoints(tmp_path, keep_last=3), 2, 0.4)
    save(checkpoints, 3, 0.3)
    assert steps_in(tmp_path) == [2, 3]


def test_without_scores_the_newest_is_best(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep_last=2)
    save(checkpoints, 1)
    save(checkpoints, 2)
    assert checkpoints.load_best().step == 2


@pytest.mark.parametrize("harm", [cut, flip, remove])
@pytest.mark.parametrize("name", ["model.safetensors", "state.json"])
def test_damage_is_found_and_the_one_before_is_used(tmp_path, harm, name):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        save(checkpoints, step, score=step)
    if (name, harm) == ("state.json", cut):
        (tmp_path / "step-00000002" / name).write_text("[]")
    elif (name, harm) == ("state.json", flip):
        (tmp_path / "step-00000002" / name).write_bytes(b"\xff\x00")
    else:
        harm(tmp_path / "step-00000002" / name)
    for load in (checkpoints.load_latest, checkpoints.load_best):
        with pytest.warns(UserWarning, match=f"W740.*step-00000002.*{name}"):
            found = load()
        assert found.step == 1 and found.tensors["model"]["b"].tolist() == [0]
    (tmp_path / "step-00000001" / "state.json").unlink()
    with pytest.raises(ValueError, match="E746"), pytest.warns(UserWarning, match="W740"):
        checkpoints.load_latest()


@pytest.mark.parametrize(
    "key, value",
    [("step", 9), ("score", 2.0), ("state", {"seen": 3}), ("files", {}), ("sha256", "0" * 64)],
)
def test_a_tampered_state_is_found(tmp_path, key, value):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        save(checkpoints, step, score=0.5)
    path = tmp_path / "step-00000002" / "state.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, key: value}))
    with pytest.warns(UserWarning, match="W740.*state.json"):
        assert checkpoints.load_latest().step == 1
    # another layout of the same content is no damage
    path.write_text(json.dumps(content, indent=7))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert checkpoints.load_latest().step == 2


def test_the_only_good_one_is_never_removed(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep_last=1, keep_best=1)
    save(checkpoints, 100, score=0.1)
    for step in (200, 300):
        save(Checkpoints(tmp_path, keep_last=3), step, score=step)
        flip(tmp_path / f"step-00000{step}" / "model.safetensors")
    with pytest.warns(UserWarning, match="W740"):
        assert checkpoints.load_latest().step == 100
    # the run goes on from 100: what came after is given up, what is saved now is not
    save(checkpoints, 150, score=0.0)
    assert steps_in(tmp_path) == [100, 150]
    assert checkpoints.load_latest().step == 150 and checkpoints.load_best().step == 100


def test_what_the_disk_spoils_at_once_removes_nothing(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, keep_last=1, keep_best=0)
    save(checkpoints, 1)
    written = checkpoints_file.whole_folder

    def spoil(path):
        flip(path / "model.safetensors")

    class Spoiling:
        def __init__(self, path):
            self.path, self.context = path, written(path)

        def __enter__(self):
            return self.context.__enter__()

        def __exit__(self, *error):
            self.context.__exit__(*error)
            spoil(self.path)

    monkeypatch.setattr(checkpoints_file, "whole_folder", Spoiling)
    with pytest.warns(UserWarning, match="W741"):
        save(checkpoints, 2)
    with pytest.warns(UserWarning, match="W740"):
        assert checkpoints.load_latest().step == 1


@pytest.mark.parametrize("writer", ["save_file", "write_json", "sha256_of"])
@pytest.mark.parametrize("step", [1, 2])
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, writer, step):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def fail(*args):
        path = next(a for a in args if hasattr(a, "write_bytes"))
        if writer != "sha256_of":
            path.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints_file, writer, fail)
        with pytest.raises(OSError, match="E747.*No space left") as caught:
            save(checkpoints, step)
    assert caught.value.errno == errno.ENOSPC
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert checkpoints.load_latest().step == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on files")
def test_a_limit_that_the_writer_of_tensors_really_meets(tmp_path):
    done = run(
        """
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        save(1, 10)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            save(2, 1_000_000)
        except OSError as error:
            print("failed:", error)
            from spacy_llm_tasks.files import is_full
            print("full:", is_full(error))
        """,
        tmp_path,
    )
    assert "failed:" in done.stdout and "E747" in done.stdout, done.stderr
    assert "None" not in done.stdout and "full: True" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


# Where a process is killed: in which function of `spacy_llm_tasks.files` or above, at what call.
MOMENTS = {
    "before any tensor": ("checkpoints.save_file", 1),
    "between two files": ("checkpoints.save_file", 2),
    "before the state": ("checkpoints.write_json", 1),
    "before the flush": ("files.sync_folder", 1),
    "before the rename": ("pathlib.Path.rename", 1),
    "after the old one was moved aside": ("pathlib.Path.rename", 2),
    "before the cleaning": ("checkpoints.examine", 1),
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("step", [1, 2])
def test_a_kill_while_saving(tmp_path, moment, step):
    checkpoints = Checkpoints(tmp_path, keep_last=1, keep_best=0)
    save(checkpoints, 1)
    name, at = MOMENTS[moment]
    process = os.fork()
    if process == 0:
        _save_until_killed(checkpoints, step, name, at)
    _, status = os.waitpid(process, 0)
    # a step that is saved for the first time moves nothing aside
    killed = not (moment == "after the old one was moved aside" and step == 2)
    assert os.WIFSIGNALED(status) == killed
    found = checkpoints.load_latest()
    finished = moment == "before the cleaning" or not killed
    assert found.step == (step if finished else 1)
    assert torch.equal(found.tensors["model"]["w"], torch.full((2, 3), float(found.step)))
    save(checkpoints, 3)
    assert steps_in(tmp_path) == [3]


def _save_until_killed(checkpoints, step, name, at):
    """Runs in a child, which leaves without pytest's exit handlers whatever happens."""
    import importlib
    import signal

    where, _, function = name.rpartition(".")
    if where == "pathlib.Path":
        from pathlib import Path as owner
    else:
        room = "pretraining." if where == "checkpoints" else ""
        owner = importlib.import_module(f"spacy_llm_tasks.{room}{where}")
    original, calls = getattr(owner, function), []

    def counted(*args, **settings):
        calls.append(1)
        if len(calls) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **settings)

    setattr(owner, function, counted)
    try:
        tensors = {f: {"w": torch.full((2, 3), float(step))} for f in ("model", "optimizer")}
        checkpoints.save(step, tensors=tensors, state={})
    finally:
        os._exit(0)


def run(code, folder):
    """Run code in a process of its own, with `save(step, size)`."""
    start = """
        import sys, torch
        from pathlib import Path
        from spacy_llm_tasks.pretraining.checkpoints import Checkpoints
        def save(step, size):
            tensors = {"model": {"w": torch.zeros(size)}}
            Checkpoints(Path(sys.argv[1])).save(step, tensors=tensors, state={})
        """
    code = textwrap.dedent(start) + textwrap.dedent(code)
    command = [sys.executable, "-c", code, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_an_error_of_the_writer_is_told_as_one(tmp_path, monkeypatch):
    def fail(*args):
        raise SafetensorError("I/O error")

    monkeypatch.setattr(checkpoints_file, "save_file", fail)
    with pytest.raises(OSError, match="E747.*I/O error") as caught:
        save(Checkpoints(tmp_path), 1)
    assert "Errno" not in str(caught.value)


def test_a_reader_leaves_alone_what_is_being_written(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1)
    with checkpoints_file.whole_folder(tmp_path / "step-00000002") as part:
        (part / "model.safetensors").write_bytes(b"not yet whole")
        assert Checkpoints(tmp_path).load_latest().step == 1
        assert (part / "model.safetensors").exists()


def test_nothing_is_unpickled(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1)

    def refuse(*args, **settings):
        raise AssertionError("something is unpickled")

    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(torch, "load", refuse)
    assert checkpoints.load_latest().tensors["model"]["b"].tolist() == [0]


def test_clearing(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1)
    checkpoints.clear()
    assert checkpoints.load_latest() is None and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("settings", [{"keep_last": 0}, {"keep_best": -1}])
def test_what_is_out_of_range_is_refused(tmp_path, settings):
    with pytest.raises(ValueError, match="E741"):
        Checkpoints(tmp_path, **settings)


@pytest.mark.skipif(os.name == "nt", reason="no rights of this kind")
def test_others_may_read_what_the_umask_lets_them(tmp_path):
    before = os.umask(0o022)
    try:
        path = save(Checkpoints(tmp_path), 1)
    finally:
        os.umask(before)
    found = {path.name: path.stat().st_mode & 0o777 for path in path.iterdir() if path.is_file()}
    assert "model.safetensors" in found and set(found.values()) == {0o644}
