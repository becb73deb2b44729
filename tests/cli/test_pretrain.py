"""The command: its config, its options, and what it shows."""

import io
import json
import random
import re
import signal
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from spacy_llm_tasks.cli import app
from spacy_llm_tasks.cli import pretrain as module
from spacy_llm_tasks.cli.pretrain import _Bar, describe, pretrain_config, read_config
from spacy_llm_tasks.nn import kernels

CONFIG = """
[paths]
corpus = null
size = 80

[corpus]
paths = ["${paths.corpus}"]
txt_documents = "line"
held_out = 0.2

[tokenizer]
kind = "wordpiece"
size = ${paths.size}

[model]
size = "tiny"

[model.overrides]
width = 16
depth = 1
n_heads = 2
max_length = 32

[data]
length = 20
min_pieces = 4
batch_pieces = 100

[objectives]

[objectives.masked]
rate = 0.3

[training]
max_steps = 4
precision = "fp32"
log_steps = 2
eval_steps = 4
"""
WORDS = ["barge", "copper", "drifts", "empties", "ferry", "granite", "hollow", "ink", "jetty"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(kernels, "_chosen", "plain")
    monkeypatch.setattr("spacy_llm_tasks.files.sync", lambda path: None)
    # the allocator of the tests is theirs, and so are their threads
    monkeypatch.setattr(
        "spacy_llm_tasks.pretraining.optimisation.allocator.keep_memory", lambda: False
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrain")
    draw = random.Random(1)
    lines = [" ".join(draw.choices(WORDS, k=draw.randint(5, 30))) for _ in range(40)]
    (folder / "texts.txt").write_text("\n".join(lines) + "\n", encoding="utf8")
    (folder / "run.cfg").write_text(CONFIG, encoding="utf8")
    return folder


def invoke(folder, *arguments, device="cpu"):
    arguments = [folder / "run.cfg", "--paths.corpus", folder / "texts.txt", *arguments]
    return CliRunner().invoke(app, ["pretrain", *map(str, arguments), "--device", device])


def test_from_text_to_a_model(folder, tmp_path):
    output = tmp_path / "new" / "out"
    result = invoke(folder, "--output", output, "--model.overrides.depth", "2", "--training.seed=3")
    assert result.exit_code == 0, result.output
    settings = json.loads((output / "settings.json").read_text())
    assert settings["model"]["overrides"]["depth"] == 2
    assert (settings["training"]["seed"], settings["tokenizer"]["size"]) == (3, 80)
    assert settings["corpus"]["paths"] == [str(folder / "texts.txt")]
    assert "paths" not in settings
    assert json.loads((output / "model" / "config.json").read_text())["num_hidden_layers"] == 2
    # plain lines where there is no terminal
    lines = result.stdout.splitlines()
    assert lines[0] == "Training a tokenizer of 80 pieces"
    train = [line for line in lines if " train masked: " in line]
    assert len(train) == 2
    assert re.fullmatch(
        r"step +2  train masked: loss [\d.]+ accuracy [\d.]+  [\d,]+ pieces/s  [\d.]+ min left",
        train[0],
    )
    (held_out,) = (line for line in lines if "held-out masked: loss" in line)
    assert "perplexity" in held_out and held_out.endswith("(best)")
    assert lines[-1] == f"Wrote {output / 'model'}: the weights after step 4"
    assert "%" not in result.stderr


def test_options_for_length(folder, tmp_path):
    output = tmp_path / "out"
    result = invoke(folder, "-o", output, "--max-minutes", "7.5", "--max-steps", "2")
    assert result.exit_code == 0, result.output
    training = json.loads((output / "settings.json").read_text())["training"]
    assert (training["max_minutes"], training["max_steps"]) == (7.5, 2)
    again = invoke(folder, "-o", output)
    assert again.exit_code == 1 and "[E771]" in again.stderr and "--resume" in again.stderr
    longer = invoke(folder, "-o", output, "--resume", "--max-steps", "3", "--max-minutes", "8")
    assert longer.exit_code == 0, longer.output
    assert "Going on after step 2" in longer.stdout
    other = invoke(folder, "-o", output, "--resume", "--data.length", "12")
    assert other.exit_code == 1 and "[E772]" in other.stderr and "data.length" in other.stderr


def test_minutes_of_the_config_hold_beside_steps_unless_lifted(folder, tmp_path):
    text = (folder / "run.cfg").read_text(encoding="utf8")
    config = tmp_path / "short.cfg"
    config.write_text(text.replace("max_steps = 4", "max_minutes = 0.005"), encoding="utf8")
    steps, many = [], 1_000_000
    for output, *more in (["held", many], ["lifted", 3, "--training.max_minutes", "null"]):
        arguments = ["pretrain", config, "--paths.corpus", folder / "texts.txt", "--device", "cpu"]
        arguments += ["-o", tmp_path / output, "--max-steps", *more]
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.output
        steps.append(int(re.search(r"the weights after step (\d+)", result.stdout)[1]))
    assert steps[0] < many and steps[1] == 3


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--training.max_stepz", "3"], ["training.max_stepz", "max_steps"]),
        (["--trianing.max_steps", "3"], ["trianing", "'training'"]),
        (["--objectives.maskd.rate", "0.2"], ["maskd", "masked"]),
        (["--objectives.masked.ratte", "0.2"], ["ratte", "'rate'"]),
        (["--objectives.masked", "0.2"], ["objectives.masked", "a section"]),
        (["--data.length.more", "3"], ["--data.length.more", "'length'", "no section"]),
        (["--training.log_steps", "0"], ["training.log_steps", "0"]),
        (["--training.eval_steps", "0"], ["training.eval_steps", "0"]),
        (["--training.max_steps", "null"], ["max_steps", "max_minutes"]),
        (["--max-minutes", "0"], ["training.max_minutes", "above 0"]),
        (["--training.precision", "bf61"], ["bf61", "bf16"]),
        (["--tokenizer.kind", "bpee"], ["tokenizer.kind", "bpee", "wordpiece"]),
        (["--tokenizer.size", "${paths.sise}"], ["run.cfg", "paths"]),
        (["--corpus.paths", "[3]"], ["corpus.paths", "Sequence[str]", "[3]"]),
        (["--resum"], ["--resum", "--resume"]),
        (["--optimizer.clip_norm", "-1"], ["optimizer.clip_norm", "-1"]),
        (["--data.min_pieces", "21"], ["20", "21", "data"]),
        (["more.cfg"], ["more.cfg"]),
    ],
)
def test_wrong_calls_are_explained(folder, tmp_path, arguments, expected):
    result = invoke(folder, "--output", tmp_path / "out", *arguments)
    assert result.exit_code in (1, 2)
    for words in expected:
        assert words in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_what_is_missing_is_named(tmp_path):
    for config, words in ((tmp_path / "none.cfg", "no such file"), (tmp_path / "odd.cfg", "odd")):
        if config.stem == "odd":
            config.write_text("training = 3\n[", encoding="utf8")
        arguments = ["pretrain", str(config), "--output", str(tmp_path / "out")]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 1 and "[E766]" in result.stderr and words in result.stderr
    assert CliRunner().invoke(app, ["pretrain", "--output", "x"]).exit_code == 2


def test_a_config_is_read_with_its_references(folder):
    overrides = {"paths.corpus": "mine/*.txt", "corpus.scrub": ["EMAIL"], "schedule.floor": 0.1}
    found = read_config(folder / "run.cfg", overrides)
    assert found["corpus"]["paths"] == ["mine/*.txt"] and found["corpus"]["scrub"] == ["EMAIL"]
    assert found["tokenizer"]["size"] == 80 and found["schedule"] == {"floor": 0.1}


def test_stopped_and_resumed(folder, tmp_path, monkeypatch):
    output = tmp_path / "out"
    whole = invoke(folder, "--output", tmp_path / "whole")
    assert whole.exit_code == 0

    def interrupt(self, line, share):
        if line["step"] == 2:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(_Bar, "show", interrupt)
        stopped = invoke(folder, "--output", output)
    assert stopped.exit_code == 128 + signal.SIGTERM
    assert "Stopped after step" in stopped.stdout and "--resume" in stopped.stdout
    assert not (output / "model").exists()
    assert invoke(folder, "--output", output, "--resume").exit_code == 0
    weights = [path / "model" / "model.safetensors" for path in (output, tmp_path / "whole")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_on_a_terminal(folder, tmp_path, monkeypatch):
    shown, said = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setattr(sys, "stdout", said)
    overrides = {"paths.corpus": str(folder / "texts.txt"), "training.log_steps": 1}
    pretrain_config(folder / "run.cfg", tmp_path / "out", overrides=overrides, device="cpu")
    bar = shown.getvalue()
    for percent, step in ((25, 1), (50, 2), (75, 3), (100, 4)):
        assert re.search(
            rf"\r *{percent}%\|.*step +{step}  train masked: loss [\d.]+ .*pieces/s.*min left", bar
        )
    # lines are left for what was held out and for what happens
    lines = said.getvalue().splitlines()
    assert sum("held-out masked" in line for line in lines) == 1
    assert not any("train masked" in line for line in lines)
    assert lines[-1].startswith("Wrote ")


def test_a_line_for_people():
    line = {"step": 12, "train": {"masked": {"loss": 2.34567}, "gradients": {"left_out": 0.0}}}
    assert describe(line) == "step     12  train masked: loss 2.346"
    line["train"]["gradients"]["left_out"] = 0.25
    assert "25 % of the steps left out" in describe(line)
    held_out = {"step": 9, "held-out": {"causal": {"loss": 3.0, "bits_per_byte": 1.5}}}
    expected = "step      9  held-out causal: loss 3 bits_per_byte 1.5"
    assert describe(held_out) == expected
    assert describe({**held_out, "best": True}) == expected + "  (best)"


def test_tensorboard_is_asked_for_at_once(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    result = invoke(folder, "-o", tmp_path / "out", "--tensorboard", tmp_path / "board")
    assert result.exit_code == 1 and "[E707]" in result.stderr
    for words in ("pip install tensorboard", "spacy-llm-tasks[pretrain]"):
        assert words in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("device", ["tpu", "gpu", "mps", "cuda:", "cuda:x", "cuda:-1", "CPU", ""])
def test_other_devices_are_refused(folder, tmp_path, device):
    result = invoke(folder, "--output", tmp_path / "out", device=device)
    assert result.exit_code == 1 and "[E706] --device" in result.stderr
    assert "auto, cpu, cuda or cuda:N" in result.stderr and "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_a_gpu_that_is_not_there(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    for device in ("cuda", "cuda:1", "cuda:99"):
        result = invoke(folder, "--output", tmp_path / "out", device=device)
        assert result.exit_code == 1 and f"[E750] There is no device {device}" in result.stderr


def test_tensorboard_gets_the_curves(folder, tmp_path, monkeypatch):
    class Writer:
        written = []

        def __init__(self, folder):
            self.written.append(folder)

        def add_scalar(self, name, value, step):
            self.written.append((name, step))

        def close(self):
            self.written.append("closed")

    class Stub:
        SummaryWriter = Writer

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", Stub)
    result = invoke(folder, "-o", tmp_path / "out", "--tensorboard", tmp_path / "board")
    assert result.exit_code == 0, result.output
    written = Writer.written
    assert written[0] == str(tmp_path / "board") and written[-1] == "closed"
    for expected in (("train/masked/loss", 2), ("rate", 4), ("held-out/masked/perplexity", 4)):
        assert expected in written


def test_docs_of_spacy_are_text_too(folder, tmp_path):
    spacy = pytest.importorskip("spacy")
    nlp = spacy.blank("en")
    lines = (folder / "texts.txt").read_text().splitlines()
    spacy.tokens.DocBin(docs=map(nlp, lines)).to_disk(tmp_path / "texts.spacy")
    arguments = ["--paths.corpus", tmp_path / "texts.spacy", "--max-steps", "1"]
    result = invoke(folder, "-o", tmp_path / "out", *arguments)
    assert result.exit_code == 0, result.output


def test_the_second_process_is_silent_when_stopped(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    overrides = {"paths.corpus": str(folder / "texts.txt")}
    monkeypatch.setattr(module._Bar, "show", lambda *line: signal.raise_signal(signal.SIGINT))
    with pytest.raises(typer.Exit) as stop:
        pretrain_config(folder / "run.cfg", Path(tmp_path), overrides=overrides, device="cpu")
    assert stop.value.exit_code == 128 + signal.SIGINT
    assert "Stopped" not in capsys.readouterr().out


def test_help_teaches():
    result = CliRunner().invoke(app, ["pretrain", "--help"])
    assert result.exit_code == 0
    for words in ("--resume", "--max-minutes", "torchrun", "--training", "log.jsonl"):
        assert words in result.output
