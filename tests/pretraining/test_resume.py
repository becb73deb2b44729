"""A run that was stopped, killed or full goes on to what an undisturbed one reaches, to the bit."""

import random
import resource
import shutil
import signal
import time

import numpy as np
import pytest
import torch

from spacy_llm_tasks.pretraining.pieces.piece_store import PieceStore

from .runs import after, fork, log_of, run, steps_of, weights_of

# All that a run can forget: dropout, two objectives in turn, accumulation, an average, momentum.
CHANGES = {
    "model__overrides": {
        "width": 16,
        "depth": 2,
        "n_heads": 2,
        "max_length": 32,
        "dropout": 0.1,
        "attention_dropout": 0.1,
    },
    "objectives": {"masked": {"rate": 0.3, "rate_end": 0.15}, "contrastive": {"weight": 0.7}},
    "training__accumulate": 2,
    "training__average": 0.8,
    "training__max_steps": 14,
    "training__log_steps": 3,
}


pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def undisturbed(texts, tmp_path_factory):
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    run(texts, output, changes=CHANGES)
    return output


def assert_same(output, undisturbed):
    assert log_of(output) == log_of(undisturbed)
    expected, found = weights_of(undisturbed), weights_of(output)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def test_the_undisturbed_run_draws_from_everything(undisturbed):
    lines = log_of(undisturbed)
    trained = [line["train"] for line in lines if "train" in line]
    assert {name for groups in trained for name in groups} == {"masked", "contrastive", "gradients"}
    assert all(line["held-out"].keys() == {"masked", "contrastive"} for line in lines[2:3])
    losses = [groups[name]["loss"] for groups in trained for name in groups if name != "gradients"]
    assert len(set(losses)) == len(losses)


@pytest.mark.parametrize("n", [1, 3, 4, 7, 13])
def test_stopped_after_some_steps(texts, undisturbed, tmp_path, n):
    # between two lines of the log, at one, at an evaluation
    stopped = run(texts, tmp_path, changes=CHANGES, stop=after(n))
    assert (stopped.step, stopped.is_over) == (n, False)
    assert steps_of(tmp_path)[-1] == n
    torch.manual_seed(99)  # another process comes with other numbers
    assert run(texts, tmp_path, resume=True, changes=CHANGES).is_over
    assert_same(tmp_path, undisturbed)


def test_stopped_after_every_step(texts, undisturbed, tmp_path):
    result = None
    while result is None or not result.is_over:
        result = run(texts, tmp_path, resume=True, changes=CHANGES, stop=after(1))
    assert_same(tmp_path, undisturbed)


def test_without_a_whole_checkpoint_the_advice_of_the_error_works(texts, undisturbed, tmp_path):
    output = tmp_path / "out"
    run(texts, output, changes=CHANGES, stop=after(5))
    for state in (output / "checkpoints").glob("*/state.json"):
        state.write_text("{")
    advice = r"E746.*checkpoints is whole\. Remove that folder and start again with --resume"
    with pytest.raises(ValueError, match=advice), pytest.warns(UserWarning, match="W740"):
        run(texts, output, resume=True, changes=CHANGES)
    shutil.rmtree(output / "checkpoints")
    assert run(texts, output, resume=True, changes=CHANGES).is_over
    assert_same(output, undisturbed)


def run_slowly(texts, output):
    run(texts, output, changes=CHANGES, stop=lambda: time.sleep(0.02))


def test_killed_at_any_moment(texts, undisturbed, tmp_path):
    output = tmp_path / "out"
    process = fork(run_slowly, texts, output)
    try:
        deadline = time.monotonic() + 120
        while not list(output.glob("checkpoints/step-*")):
            assert process.is_alive() and time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(random.uniform(0, 0.15))
    finally:
        process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not (output / "model").exists()
    assert steps_of(output)[0] >= 4
    run(texts, output, resume=True, changes=CHANGES)
    assert_same(output, undisturbed)
    assert not list(output.rglob(".part-*"))


def test_killed_before_the_first_checkpoint(texts, undisturbed, tmp_path):
    run(texts, tmp_path, changes=CHANGES, stop=after(2))
    (tmp_path / "checkpoints" / "step-00000002").rename(
        tmp_path / "checkpoints" / ".part-step-00000002"
    )
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"step": 3, "train"')
    run(texts, tmp_path, resume=True, changes=CHANGES)
    assert_same(tmp_path, undisturbed)


def test_a_torn_checkpoint_is_passed_over(texts, undisturbed, tmp_path):
    run(texts, tmp_path, changes=CHANGES, stop=after(10))
    assert steps_of(tmp_path) == [8, 10]
    newest = tmp_path / "checkpoints" / "step-00000010" / "optimizer.safetensors"
    newest.write_bytes(newest.read_bytes()[:-9])
    said = []
    with pytest.warns(UserWarning, match="W740.*step-00000010.*optimizer"):
        run(texts, tmp_path, resume=True, changes=CHANGES, say=said.append)
    assert "Going on after step 8" in said
    assert_same(tmp_path, undisturbed)


def test_a_full_disk_leaves_the_checkpoint_before(texts, undisturbed, tmp_path):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    steps = iter(range(1, 100))

    def fill():  # after step 5, no file can grow beyond 20 kB
        if next(steps) == 5:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limit[1]))
        return False

    try:
        with pytest.raises(OSError, match="E747.*step-00000008.*--resume"):
            run(texts, tmp_path, changes=CHANGES, stop=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert steps_of(tmp_path) == [4] and not list(tmp_path.rglob(".part-*"))
    run(texts, tmp_path, resume=True, changes=CHANGES)
    assert_same(tmp_path, undisturbed)


def test_a_loss_that_is_no_number_ends_the_run(texts, undisturbed, tmp_path, monkeypatch):
    wrong = {**CHANGES, "optimizer__learn_rate": 1e30, "optimizer__clip_norm": 0.0}
    with pytest.raises(ValueError, match="E765") as error:
        run(texts, tmp_path, changes=wrong)
    path = tmp_path / "not-a-number.npz"
    assert str(path) in str(error.value) and "--resume" in str(error.value)
    with np.load(path) as batch:
        names = set(batch.keys())
        objective = next(iter(names)).split("/")[0]
        assert f"The loss of {objective} " in str(error.value)
        assert {f"{objective}/0/pieces", f"{objective}/1/lengths"} <= names
        assert batch[f"{objective}/0/pieces"].max() < 120
    assert not (tmp_path / "model").exists()
    # what the message says to do
    careful = {**CHANGES, "training__max_steps": 5}
    assert run(texts, tmp_path, resume=True, changes=careful).is_over


def test_text_is_not_read_again(texts, undisturbed, tmp_path):
    own = tmp_path / "texts.txt"
    own.write_bytes(texts.read_bytes())
    run(own, tmp_path / "out", changes=CHANGES, stop=after(5))
    own.write_text("something else\n")
    digest = PieceStore.open(tmp_path / "out" / "pieces" / "train").tokenizer_hash
    run(own, tmp_path / "out", resume=True, changes=CHANGES)
    assert_same(tmp_path / "out", undisturbed)
    assert PieceStore.open(tmp_path / "out" / "pieces" / "train").tokenizer_hash == digest


def test_text_that_must_be_read_again_must_be_the_same(texts, undisturbed, tmp_path):
    own, output = tmp_path / "texts.txt", tmp_path / "out"
    own.write_bytes(texts.read_bytes())
    run(own, output, changes=CHANGES, stop=after(5))
    for split in ("train", "held_out"):
        (output / "pieces" / split / "pieces.bin").unlink()
    own.write_text("\n".join(own.read_text().splitlines()[:-3]))
    with pytest.raises(ValueError, match="E774.*(tokenizer|pieces)"):
        run(own, output, resume=True, changes=CHANGES)
    own.write_bytes(texts.read_bytes())
    run(own, output, resume=True, changes=CHANGES)
    assert_same(output, undisturbed)


def test_a_run_that_was_never_saved_leaves_nothing_to_read(texts, tmp_path):
    """Stopped while it read its text, and begun again with other settings."""
    one = {**CHANGES, "tokenizer__size": 100, "objectives": {"masked": {}}, "data__length": 22}

    class Stop(Exception):
        pass

    def stop(text):
        if text.startswith("train:"):
            raise Stop

    with pytest.raises(Stop):
        run(texts, tmp_path / "out", changes=one, say=stop)
    run(texts, tmp_path / "out", changes=CHANGES)
    run(texts, tmp_path / "plain", changes=CHANGES)
    assert_same(tmp_path / "out", tmp_path / "plain")
