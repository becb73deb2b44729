"""The same command in two processes: what they reach together is what one reaches alone."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from spacy_llm_tasks.cli import app

from .runs import fork, log_of, run, values, weights_of

ROOT = Path(__file__).parents[2]
# Dropout is each process's own, so there is none here.
CHANGES = {
    "objectives": {"masked": {"rate": 0.3}, "next_sentence": {"weight": 0.5}},
    "training__average": 0.8,
    "training__max_steps": 7,
}
COMMAND = ["pretrain"]


pytestmark = pytest.mark.usefixtures("quick")


def write_config(texts, path, **changes):
    """INI with JSON values, as users write it."""
    lines = []

    def section(name, content):
        lines.append(f"[{name}]")
        plain = {k: v for k, v in content.items() if not isinstance(v, dict)}
        lines.extend(f"{key} = {json.dumps(value)}" for key, value in plain.items())
        for key in content.keys() - plain.keys():
            section(f"{name}.{key}", content[key])

    for name, content in values(texts, **{**CHANGES, **changes}).items():
        section(name, content)
    path.write_text("\n".join(lines) + "\n", encoding="utf8")
    return path


def command(*arguments):
    app([*COMMAND, *map(str, arguments)])


def start_two(folder, *arguments):
    """What torchrun does: a process for each place. RETURNS exit codes and what they told."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    told = [folder / "told-0", folder / "told-1"]
    processes = [
        fork(command, *arguments, told=told[rank], **place, RANK=str(rank), LOCAL_RANK=str(rank))
        for rank in (0, 1)
    ]
    for process in processes:
        process.join(120)
        process.kill()
    return [p.exitcode for p in processes], [path.read_text() for path in told]


def assert_near(output, alone):
    """Losses and weights agree to rounding, which Muon magnifies; what is counted agrees."""
    for found, expected in zip(log_of(output), log_of(alone), strict=True):
        assert (found["step"], found.get("pieces")) == (expected["step"], expected.get("pieces"))
        assert found.get("rate") == expected.get("rate")
        for group in ("train", "held-out"):
            names = found.get(group, {}).keys()
            assert names == expected.get(group, {}).keys()
            for name in names - {"gradients"}:
                near = pytest.approx(expected[group][name], abs=2e-5, rel=1e-6)
                assert found[group][name] == near
    for name, tensor in weights_of(alone).items():
        torch.testing.assert_close(weights_of(output)[name], tensor, rtol=0, atol=5e-4)


@pytest.fixture(scope="module")
def alone(texts, tmp_path_factory):
    output = tmp_path_factory.mktemp("alone") / "out"
    run(texts, output, changes={**CHANGES, "training__accumulate": 2})
    return output


def test_two_processes_do_what_one_does_with_twice_the_micro_batches(texts, alone, tmp_path):
    config, output = write_config(texts, tmp_path / "run.cfg"), tmp_path / "out"
    codes, told = start_two(tmp_path, config, "--output", output, "--device", "cpu")
    assert codes == [0, 0], told
    assert "the weights after step 7" in told[0]
    assert told[1] == ""  # one speaks
    assert_near(output, alone)
    # and one process goes on with what two have left: longer, from micro-batch 14
    said = []
    longer = {**CHANGES, "training__max_steps": 9}
    assert run(texts, output, resume=True, changes=longer, say=said.append).step == 9
    assert "Going on after step 7" in said
    n_batches = log_of(alone)[-2]["epochs"] / 14
    assert log_of(output)[-2]["epochs"] == pytest.approx(16 * n_batches)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["sharded", "sum"])
def test_torchrun(texts, tmp_path, mode):
    changes = {"sharded": {"training__sharded": True}, "sum": {"training__mixture": "sum"}}[mode]
    changes = {**changes, "optimizer__name": "adamw", "optimizer__eps": 1e-5}
    config, output = write_config(texts, tmp_path / "run.cfg", **changes), tmp_path / "out"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    torchrun += ["--standalone", "-m", "spacy_llm_tasks", *COMMAND, str(config)]
    done = subprocess.run(
        [*torchrun, "--output", str(output), "--device", "cpu"],
        cwd=ROOT,
        env={**os.environ, "SPACY_LLM_TASKS_KERNEL": "plain", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    alone = {**CHANGES, **changes, "training__accumulate": 2}
    run(texts, tmp_path / "alone", changes=alone)
    assert_near(output, tmp_path / "alone")


def test_what_goes_wrong_in_one_ends_all(texts, tmp_path):
    config, output = write_config(texts, tmp_path / "run.cfg"), tmp_path / "out"
    arguments = [config, "--output", output, "--device", "cpu"]
    codes, told = start_two(tmp_path, *arguments, "--tokenizer.size", "5000")
    assert codes == [1, 1]
    assert "[E225]" in told[0] and "Traceback" not in told[0]
    assert told[1] == ""  # one speaks
    high = ["--optimizer.learn_rate", "1e30", "--optimizer.clip_norm", "0"]
    codes, told = start_two(tmp_path, *arguments, *high)
    assert codes == [1, 1]
    assert "[E765]" in told[0] and "not-a-number-" in told[0] and "Traceback" not in told[0]
    assert told[1] == ""
    assert list(output.glob("not-a-number-*.npz"))
    codes, told = start_two(tmp_path, *arguments, "--training.max_stepz", "3")
    assert codes == [1, 1]
    assert "[E760]" in told[0] and told[1] == ""
