import signal

import pytest
import spacy
import typer
from spacy.language import Language
from toy_training import CONFIG, weights_of, write_corpora
from typer.testing import CliRunner

from spacy_llm_tasks.cli import app
from spacy_llm_tasks.cli._config import split_arguments

QUICK = ["--training.max_steps", "3", "--training.eval_frequency", "2"]


@pytest.fixture(autouse=True)
def without_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr("spacy_llm_tasks.files.sync", lambda path: None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    write_corpora(folder)
    text = CONFIG.replace("train = null", f'train = "{folder / "train.spacy"}"')
    (folder / "train.cfg").write_text(
        text.replace("dev = null", f'dev = "{folder / "dev.spacy"}"'), encoding="utf8"
    )
    return folder


def invoke(*arguments):
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


def test_trains_with_overrides(folder, tmp_path):
    result = invoke(folder / "train.cfg", "--output", tmp_path / "new" / "out", *QUICK)
    assert result.exit_code == 0, result.output
    nlp = spacy.load(tmp_path / "new" / "out" / "model-best")
    assert nlp.config["training"]["max_steps"] == 3
    assert nlp("Orla visited Vask .").cats
    assert "ENTS_F" in result.output


def test_mistakes_are_listed_without_a_traceback(folder, tmp_path):
    result = invoke(folder / "train.cfg", "-o", tmp_path / "out", "--training.max_stepz", "3")
    assert result.exit_code == 1
    assert "unknown key 'max_stepz'. Did you mean 'max_steps'?" in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["none.cfg", "--output", "out"], "none.cfg"),
        (["{config}", "--output", "out", "--resum"], "--resume"),
        (["{config}", "--output", "out", "--code", "none.py"], "none.py"),
        (["{config}", "--output", "out", "--paths.train", "none.spacy"], "none.spacy"),
        (["{config}"], "--output"),
    ],
)
def test_wrong_calls_are_explained(folder, arguments, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke(*[a.format(config=folder / "train.cfg") for a in arguments])
    assert result.exit_code in (1, 2)
    assert expected in result.output
    assert list(tmp_path.iterdir()) == []


def test_labels_of_initialize_are_explained(folder, tmp_path):
    text = (folder / "train.cfg").read_text()
    section = (
        '[initialize]\n\n[initialize.components]\n\n[initialize.components.ner]\nlabelz = ["A"]'
    )
    config = tmp_path / "train.cfg"
    config.write_text(text.replace("[training]\n", f"{section}\n\n[training]\n", 1))
    result = invoke(config, "--output", tmp_path / "out", *QUICK)
    assert result.exit_code == 1
    assert "labelz" in result.output and "Traceback" not in result.output


CODE = """
import os, signal
from spacy import registry

@registry.callbacks("toy.stop_at.v1")
def make_stop_at(step: int):
    def before_update(nlp, args):
        if args["step"] == step and os.environ.get("TOY_STOP"):
            os.kill(os.getpid(), signal.SIGTERM)
    return before_update
"""


def test_stopped_and_resumed(folder, tmp_path, monkeypatch):
    code, config = tmp_path / "code.py", tmp_path / "train.cfg"
    code.write_text(CODE)
    callback = '[training.before_update]\n@callbacks = "toy.stop_at.v1"\nstep = 5\n\n'
    text = (folder / "train.cfg").read_text()
    config.write_text(text.replace("[training.logger]", f"{callback}[training.logger]"))
    arguments = [config, "--output", tmp_path / "out", "--code", code, "--training.max_steps", 8]
    monkeypatch.setenv("TOY_STOP", "1")
    stopped = invoke(*arguments)
    assert stopped.exit_code == 128 + signal.SIGTERM
    assert "step 5" in stopped.output and "--resume" in stopped.output
    monkeypatch.delenv("TOY_STOP")
    resumed = invoke(*arguments, "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert "Resuming after step 5" in resumed.output
    changed = invoke(*arguments, "--resume", "--training.dropout", "0.5")
    assert changed.exit_code == 1
    assert "training.dropout: 0.2 -> 0.5" in changed.output


def test_a_part_of_the_pipeline(folder, tmp_path):
    arguments = [folder / "train.cfg", "-o", tmp_path / "out", "--only", "textcat", *QUICK]
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    assert "tok2vec is kept: textcat listens to it" in result.output
    nlp = spacy.load(tmp_path / "out" / "model-best")
    assert nlp.pipe_names == ["tok2vec", "textcat"]
    assert set(nlp.config["components"]) == {"tok2vec", "textcat"}
    assert nlp.config["training"]["max_steps"] == 3
    assert nlp("Orla visited Vask .").cats
    again = invoke(*arguments, "--resume")
    assert again.exit_code == 0 and "Training was finished at step 3" in again.output
    other = invoke(*[a if a != "textcat" else "ner" for a in arguments], "--resume")
    assert other.exit_code == 1 and "E507" in other.output


def test_named_parts_must_be_there_and_the_whole_config_correct(folder, tmp_path):
    arguments = [folder / "train.cfg", "-o", tmp_path / "out", "--only", "ner, textcats"]
    unknown = invoke(*arguments)
    assert unknown.exit_code == 1
    assert "'textcats'" in unknown.output and "tok2vec, ner, textcat" in unknown.output
    config = tmp_path / "train.cfg"
    text = (folder / "train.cfg").read_text()
    config.write_text(text.replace("hidden_width", "hiden_width"))
    mistake = invoke(config, "-o", tmp_path / "out", "--only", "textcat")
    assert mistake.exit_code == 1 and "Did you mean 'hidden_width'?" in mistake.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("given", [["--only", "ner, textcat"], ["--only", "ner", "--only=textcat"]])
def test_all_parts_are_the_whole(folder, tmp_path, given):
    both = tmp_path / "both"
    for output, options in ((tmp_path / "whole", []), (both, given)):
        result = invoke(folder / "train.cfg", "-o", output, *QUICK, *options)
        assert result.exit_code == 0, result.output
    parts, whole = (spacy.load(path / "model-best") for path in (both, tmp_path / "whole"))
    assert parts.config == whole.config
    assert weights_of(parts) == weights_of(whole)


class Calibratable:
    def __init__(self):
        self.temperature = 1.0

    def __call__(self, doc):
        return doc

    def calibrate(self, examples):
        self.temperature = 2.0

    def to_disk(self, path, exclude=()):
        path.write_text(str(self.temperature))

    def from_disk(self, path, exclude=()):
        self.temperature = float(path.read_text())


@Language.factory("toy_calibratable")
def make_calibratable(nlp, name):
    return Calibratable()


@pytest.mark.parametrize(
    "flag, fails, expected",
    [("--calibrate", False, 2.0), ("--calibrate", True, 1.0), ("--no-calibrate", False, 1.0)],
)
def test_calibration_follows_training(folder, tmp_path, monkeypatch, flag, fails, expected):
    import sys
    import types

    def calibrate_pipeline(nlp, examples):
        if fails:
            raise ValueError("too few")
        nlp.get_pipe("toy").calibrate(examples)
        return f"calibrated on {len(examples)}"

    module = types.ModuleType("spacy_llm_tasks.training.calibrate")
    module.calibrate_pipeline = calibrate_pipeline
    monkeypatch.setitem(sys.modules, "spacy_llm_tasks.training.calibrate", module)
    config = tmp_path / "train.cfg"
    text = (folder / "train.cfg").read_text().replace('"textcat"]', '"textcat","toy"]')
    component = '[components.toy]\nfactory = "toy_calibratable"\n\n'
    config.write_text(text.replace("[corpora]\n", f"{component}[corpora]\n", 1))
    result = invoke(config, "--output", tmp_path / "out", *QUICK, flag)
    assert result.exit_code == 0, result.output
    assert ("calibrated on 8" in result.output) == (expected == 2.0)
    assert ("Not calibrated: too few" in result.output) == fails
    assert spacy.load(tmp_path / "out" / "model-best").get_pipe("toy").temperature == expected


def test_overrides_are_told_from_arguments(monkeypatch):
    monkeypatch.setenv("SPACY_CONFIG_OVERRIDES", "--system.seed 3")
    given = ["--a.b", "1", "x", "--c.d=x y", "--e.f", "--g.h", '["i"]', "--j.k", "-1", "y"]
    arguments, overrides = split_arguments(given, [], most=2)
    assert arguments == ["x", "y"]
    assert overrides == {
        "a.b": 1,
        "c.d": "x y",
        "e.f": True,
        "g.h": ["i"],
        "j.k": -1,
        "system.seed": 3,
    }
    with pytest.raises(typer.BadParameter, match="'y'"):
        split_arguments(given, [], most=1)


def test_help_teaches():
    result = CliRunner().invoke(app, ["train", "--help"])
    assert result.exit_code == 0
    for word in ("--resume", "--only", "--calibrate", "--training.max_steps"):
        assert word in result.output
