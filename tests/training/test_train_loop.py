import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
import spacy
from spacy import registry
from spacy.tokens import DocBin
from spacy.training.augment import dont_augment
from spacy.training.loop import train as train_by_spacy
from toy_training import CONFIG, initialized, make_docs, weights_of, write_corpora

from spacy_llm_tasks.interrupts import TrainingStopped
from spacy_llm_tasks.training.loop import train

STREAM = CONFIG.replace(
    "max_length = 0",
    'max_length = 0\n\n[corpora.train.augmenter]\n@augmenters = "toy.drop_some.v1"',
    1,
)

VARIANTS = {
    "plain": (CONFIG, {}),
    "adam with averages": (
        CONFIG.replace("spacy_llm_tasks.AdamW.v1", "Adam.v1").replace(
            "weight_decay = 0.01", "L2 = 0.01\nuse_averages = true"
        ),
        {},
    ),
    "our averages": (
        CONFIG.replace("weight_decay = 0.01", "weight_decay = 0.01\naverage_decay = 0.9"),
        {},
    ),
    "two epochs": (CONFIG, {"training.max_epochs": 2, "training.max_steps": 0}),
    "patience": (CONFIG, {"training.patience": 2, "training.eval_frequency": 1}),
    "stream": (STREAM, {"training.max_epochs": -1}),
    "frozen and annotating": (
        CONFIG,
        {
            "training.frozen_components": ["textcat"],
            "training.annotating_components": ["ner"],
            "training.accumulate_gradient": 1,
        },
    ),
    "callbacks": (
        CONFIG.replace(
            "[training.logger]",
            "[training.before_update]\n@callbacks = "
            '"toy.before_update.v1"\n\n[training.before_to_disk]\n@callbacks = '
            '"toy.before_to_disk.v1"\n\n[training.logger]',
        ),
        {},
    ),
    "padded batches": (
        CONFIG.replace("batch_by_words.v1", "batch_by_padded.v1").replace(
            "tolerance = 0.2", "buffer = 16"
        ),
        {},
    ),
}


@registry.augmenters("toy.drop_some.v1")
def make_drop_some():
    def drop_some(nlp, example):
        if random.random() < 0.8:
            yield from dont_augment(nlp, example)

    return drop_some


@registry.callbacks("toy.before_update.v1")
def make_before_update():
    def before_update(nlp, args):
        nlp.meta.setdefault("seen", []).append([args["step"], args["epoch"]])

    return before_update


@registry.callbacks("toy.before_to_disk.v1")
def make_before_to_disk():
    def before_to_disk(nlp):
        nlp.meta["description"] = "stamped"
        return nlp

    return before_to_disk


@pytest.fixture(autouse=True)
def without_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr("spacy_llm_tasks.files.sync", lambda path: None)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return write_corpora(tmp_path_factory.mktemp("data"))


def run(trainer, config, overrides, output, **options):
    """RETURNS: the pipeline, and the rows of the log."""
    log = io.StringIO()
    output.mkdir(exist_ok=True)
    nlp = initialized(overrides, config)
    try:
        nlp, _ = trainer(nlp, output, stdout=log, stderr=log, **options)
    except TrainingStopped:
        pass
    return nlp, rows(log.getvalue())


def rows(text):
    return [line.split() for line in text.splitlines() if re.match(r"\s*\d+ ", line)]


def stop_after(step):
    def on_step(state):
        if state.step == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return on_step


def saved(path):
    """RETURNS (dict): Meta data without the speed of this machine, and the bytes of all models."""
    meta = json.loads((path / "meta.json").read_text())
    meta["performance"].pop("speed", None)
    models = {p.parent.name: p.read_bytes() for p in sorted(path.glob("*/model"))}
    assert models
    return meta, models


SLOW = ("patience", "callbacks", "padded batches", "two epochs")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in VARIANTS]
)
def test_equals_spacy_train_and_goes_on_to_the_same(name, paths, tmp_path):
    config, overrides = VARIANTS[name]
    overrides = {**paths, **overrides}
    theirs, their_rows = run(train_by_spacy, config, overrides, tmp_path / "theirs")
    ours, our_rows = run(train, config, overrides, tmp_path / "ours")
    assert weights_of(ours) == weights_of(theirs)
    assert our_rows == their_rows and len(our_rows) > 1
    for model in ("model-best", "model-last"):
        theirs_saved, ours_saved = (saved(tmp_path / side / model) for side in ("theirs", "ours"))
        assert ours_saved == theirs_saved

    # Stopped where no evaluation is due, then where one is, each time going on in new objects.
    last = int(our_rows[-1][1])
    stopped = tmp_path / "stopped"
    some_rows = []
    for stop in [last // 2, last // 2 + 2] if name == "plain" else [last // 2]:
        _, found = run(train, config, overrides, stopped, resume=True, on_step=stop_after(stop))
        some_rows += found
    resumed, found = run(train, config, overrides, stopped, resume=True)
    assert weights_of(resumed) == weights_of(theirs)
    assert some_rows + found == their_rows
    for model in ("model-best", "model-last"):
        assert saved(stopped / model) == saved(tmp_path / "theirs" / model)
    assert [p.name for p in (stopped / "checkpoints").iterdir()] == ["finished"]


def stopped_run(paths, output, step=6, **options):
    run(train, CONFIG, paths, output, on_step=stop_after(step), **options)


def test_a_second_signal_is_not_held_back(paths, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(TrainingStopped) as stop:
        train(initialized(paths), tmp_path, stdout=io.StringIO(), on_step=stop_after(3))
    assert (stop.value.signum, stop.value.step) == (signal.SIGTERM, 3)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_damaged_checkpoint_is_passed_over_aloud(paths, tmp_path):
    expected, _ = run(train, CONFIG, paths, tmp_path / "whole")
    stopped_run(paths, tmp_path / "out")
    latest = tmp_path / "out" / "checkpoints" / "step-00000006"
    with (latest / "state.safetensors").open("r+b") as file_:
        file_.seek(-1, os.SEEK_END)
        file_.write(b"!")
    log = io.StringIO()
    nlp, _ = train(initialized(paths), tmp_path / "out", resume=True, stdout=log)
    assert weights_of(nlp) == weights_of(expected)
    assert "step-00000006" in re.sub(r"\s", "", log.getvalue())
    assert "Resuming after step 4" in log.getvalue()


def test_a_changed_config_is_refused_by_key(paths, tmp_path):
    stopped_run(paths, tmp_path)
    changed = {**paths, "training.dropout": 0.3, "components.ner.model.hidden_width": 24}
    with pytest.raises(ValueError) as error:
        run(train, CONFIG, changed, tmp_path, resume=True)
    assert "training.dropout: 0.2 -> 0.3" in str(error.value)
    assert "components.ner.model.hidden_width: 16 -> 24" in str(error.value)
    assert "components.ner.factory" not in str(error.value)


def test_changed_data_is_refused_by_key(tmp_path):
    paths = write_corpora(tmp_path / "data")
    stopped_run(paths, tmp_path / "out")
    shutil.copy(paths["paths.dev"], paths["paths.train"])
    with pytest.raises(ValueError, match=r"E508[^$]*corpora\.train\.path"):
        run(train, CONFIG, paths, tmp_path / "out", resume=True)


def test_a_finished_run_has_nothing_left_to_do(paths, tmp_path):
    first, _ = run(train, CONFIG, paths, tmp_path)
    again, found = run(train, CONFIG, paths, tmp_path, resume=True)
    assert weights_of(first) == weights_of(again)
    assert found == []


def test_resuming_from_nothing_starts_at_the_beginning(paths, tmp_path):
    _, expected = run(train, CONFIG, paths, tmp_path / "a")
    _, found = run(train, CONFIG, paths, tmp_path / "b", resume=True)
    assert found == expected
    with pytest.raises(ValueError, match="--output"):
        train(initialized(paths), None, resume=True)


def test_starting_anew_says_what_it_discards(paths, tmp_path):
    stopped_run(paths, tmp_path)
    log = io.StringIO()
    train(initialized(paths), tmp_path, stdout=log)
    assert "W503" in log.getvalue()
    assert len(rows(log.getvalue())) == 4


def test_files_of_others_are_not_replaced(paths, tmp_path):
    nlp = initialized(paths)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="E532"):
        train(nlp, tmp_path / "file", stdout=io.StringIO())
    for name in ("model-best", "model-last"):
        (tmp_path / name / name).mkdir(parents=True)
        (tmp_path / name / name / "thesis.txt").write_text("mine")
        with pytest.raises(ValueError, match="E530.*thesis.txt"):
            train(nlp, tmp_path / name, stdout=io.StringIO())
        assert [path.name for path in (tmp_path / name).iterdir()] == [name]


def test_dev_data_without_gold_is_told_from_an_unknown_score(paths, tmp_path):
    bare = tmp_path / "bare.spacy"
    DocBin(docs=make_docs(3, seed=9, annotated=False)).to_disk(bare)
    config = CONFIG.replace("ents_f = 0.5", "ents_f = 0.5\nmine = 0.5")
    log = io.StringIO()
    overrides = {**paths, "paths.dev": str(bare), "training.max_steps": 1}
    train(initialized(overrides, config), stdout=log)
    warned = [line for line in log.getvalue().splitlines() if "[W50" in line]
    assert "W505" in warned[0] and "ents_f" in warned[0] and "mine" not in warned[0]
    assert "W504" in warned[1] and "mine" in warned[1] and "ents_f" not in warned[1]


def test_a_misspelt_score_is_refused_before_anything_is_made(paths, tmp_path):
    nlp = initialized(paths, CONFIG.replace("ents_f = 0.5", "ents_ff = 0.5"))
    with pytest.raises(ValueError, match="E536.*'ents_f'"):
        train(nlp, tmp_path / "out", stdout=io.StringIO())
    assert not (tmp_path / "out").exists()


def test_empty_dev_data_is_refused_before_anything_is_made(paths, tmp_path):
    empty = tmp_path / "empty.spacy"
    DocBin().to_disk(empty)
    overrides = {**paths, "paths.dev": str(empty)}
    config = re.sub(
        r"(\[corpora.dev\]\n).*\n.*\n.*\n",
        r'\1@readers = "spacy_llm_tasks.Corpus.v1"\npath = ${paths.dev}\n',
        CONFIG,
    )
    with pytest.raises(ValueError, match="E333"):
        train(initialized(overrides, config), tmp_path / "out", stdout=io.StringIO())
    assert not (tmp_path / "out").exists()


def test_a_finished_run_without_its_pipeline_says_what_to_do(paths, tmp_path):
    run(train, CONFIG, {**paths, "training.max_steps": 1}, tmp_path)
    shutil.rmtree(tmp_path / "model-last")
    with pytest.raises(ValueError, match="E537.*model-last.*without --resume"):
        run(train, CONFIG, {**paths, "training.max_steps": 1}, tmp_path, resume=True)


def test_an_empty_corpus_leaves_nothing_behind(paths, tmp_path):
    nlp = initialized(paths)
    empty = tmp_path / "empty.spacy"
    DocBin().to_disk(empty)
    nlp.config["paths"]["train"] = str(empty)
    nlp.config["corpora"]["train"]["path"] = str(empty)
    with pytest.raises(ValueError, match="E986"):
        train(nlp, tmp_path / "out", stdout=io.StringIO())
    assert list((tmp_path / "out").iterdir()) == []


def test_a_failing_step_leaves_the_last_good_pipeline(paths, tmp_path):
    def fail(state):
        if state.step == 6:
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        train(initialized(paths), tmp_path, stdout=io.StringIO(), on_step=fail)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoints", "model-best", "model-last"]
    spacy.load(tmp_path / "model-last")
    nlp, _ = run(train, CONFIG, paths, tmp_path, resume=True)
    expected, _ = run(train, CONFIG, paths, tmp_path / "whole")
    assert weights_of(nlp) == weights_of(expected)


def test_weights_for_unknown_scores_are_named(paths, tmp_path):
    log = io.StringIO()
    overrides = {**paths, "training.score_weights.mine": 1.0, "training.max_steps": 1}
    train(initialized(overrides), None, stdout=log)
    assert "names mine," in log.getvalue() and "W504" in log.getvalue()


def test_the_loggers_file_goes_on(paths, tmp_path):
    def config(name):
        logger = f'ConsoleLogger.v3"\noutput_file = "{tmp_path / name}"'
        return CONFIG.replace('ConsoleLogger.v1"', logger)

    def steps(name):
        return [json.loads(line)["step"] for line in (tmp_path / name).read_text().splitlines()]

    whole, stopped = config("whole.jsonl"), config("stopped.jsonl")
    run(train, whole, paths, tmp_path / "whole")
    run(train, stopped, paths, tmp_path / "out", on_step=stop_after(6))
    # A kill in between: half a line, and lines after the checkpoint.
    with (tmp_path / "stopped.jsonl").open("a") as file_:
        file_.write('{"step": 8}\n{"ste')
    run(train, stopped, paths, tmp_path / "out", resume=True)
    assert steps("stopped.jsonl") == steps("whole.jsonl") == [0, 4, 8, 12]
    assert (tmp_path / "stopped.jsonl").read_text() == (tmp_path / "whole.jsonl").read_text()
    run(train, stopped, paths, tmp_path / "out", resume=True)
    assert steps("stopped.jsonl") == [0, 4, 8, 12]


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 0.15, 0.4])
def test_killed_without_warning(seconds, paths, tmp_path):
    """Kill -9 somewhere after the first checkpoint is there, and go on."""
    overrides = {**paths, "training.max_steps": 60, "training.eval_frequency": 5}
    expected, _ = run(train, CONFIG, overrides, tmp_path / "whole")
    script = tmp_path / "script.py"
    script.write_text(
        "import json, sys, torch\n"
        "torch.set_num_threads(1)\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from toy_training import initialized\n"
        "from spacy_llm_tasks.training.loop import train\n"
        "train(initialized(json.loads(sys.argv[2])), Path(sys.argv[3]), resume=True)\n"
    )
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    command = [sys.executable, str(script), tests, json.dumps(overrides), str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    checkpoints = tmp_path / "out" / "checkpoints"
    while not list(checkpoints.glob("step-*")) and process.poll() is None:
        time.sleep(0.005)
    time.sleep(seconds)
    process.kill()
    assert process.wait() != 0, "it was done before it was killed"
    nlp, _ = run(train, CONFIG, overrides, tmp_path / "out", resume=True)
    assert weights_of(nlp) == weights_of(expected)
    left = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert left == ["checkpoints", "model-best", "model-last"]
