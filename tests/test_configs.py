"""The shipped configs: complete, correct, and trainable as they stand."""

import subprocess
import sys
from pathlib import Path

import pytest
import spacy
from pipeline import toys
from spacy.tokens import DocBin
from spacy.training.initialize import init_nlp
from spacy.util import load_config, load_model_from_config

import spacy_llm_tasks
from spacy_llm_tasks.training.config_check import read_config

FOLDER = Path(spacy_llm_tasks.__file__).parent / "configs"
NAMES = [
    "ner.cfg",
    "ner_relation.cfg",
    "qa.cfg",
    "relation.cfg",
    "similarity.cfg",
    "tasks.cfg",
    "textcat.cfg",
    "textcat_multilabel.cfg",
]


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    nlp = spacy.blank("en")
    docs = [toys.gold_doc(nlp, i) for i in range(2)]
    DocBin(docs=docs, store_user_data=True).to_disk(folder / "two.spacy")
    tokenizer = toys.save_tokenizer(folder / "tokenizer")
    return {
        "paths.train": str(folder / "two.spacy"),
        "paths.dev": str(folder / "two.spacy"),
        "initialize.components.transformer.tokenizer": str(tokenizer),
    }


def sizes():
    return {
        f"components.transformer.model.{key}": value
        for key, value in {**toys.ENCODER, "window": 30, "stride": 20}.items()
        if not key.startswith("@")
    }


def test_these_are_all():
    assert sorted(path.name for path in FOLDER.glob("*.cfg")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_left_to_defaults(name):
    config = load_config(FOLDER / name, interpolate=False)
    filled = load_model_from_config(config, auto_fill=True).config
    assert {**filled} == {**config}


@pytest.mark.parametrize("name", NAMES)
def test_our_own_check_accepts_them(name, paths):
    read_config(FOLDER / name, paths)


@pytest.mark.parametrize("name", NAMES)
def test_names_that_other_tools_rely_on(name):
    config = load_config(FOLDER / name, interpolate=True)
    assert config["components"]["transformer"]["factory"] == "trf_encoder"
    assert config["initialize"]["components"]["transformer"]["weights"] is None
    assert {"train", "dev", "test", "weights"} <= set(config["paths"])
    assert {"train", "dev", "test"} == set(config["corpora"])
    optimizer = config["training"]["optimizer"]
    assert optimizer["@optimizers"] == "spacy_llm_tasks.AdamW.v1"
    assert optimizer["learn_rate"]["total_steps"] == config["training"]["max_steps"]


@pytest.mark.parametrize("name", NAMES)
def test_a_pipeline_initializes_and_learns(name, paths):
    config = read_config(FOLDER / name, {**paths, **sizes()})
    nlp = init_nlp(config)
    losses = {}
    nlp.update(toys.examples(nlp), sgd=toys.make_adamw(learn_rate=0.01), losses=losses)
    heads = [component for component in nlp.pipe_names if component != "transformer"]
    assert heads and all(losses[component] > 0 for component in heads)


def test_init_labels_of_spacy(paths, tmp_path):
    """What the command writes for a shipped config is what its training would collect."""
    overrides = [x for key, value in paths.items() for x in (f"--{key}", value)]
    overrides += [x for key, value in sizes().items() for x in (f"--{key}", str(value))]
    command = [sys.executable, "-m", "spacy", "init", "labels", str(FOLDER / "tasks.cfg")]
    subprocess.run([*command, str(tmp_path), *overrides], check=True, timeout=300)
    config = read_config(FOLDER / "tasks.cfg", {**paths, **sizes()})
    expected = init_nlp(config)
    for name in ("trf_ner", "trf_textcat"):
        reader = {"@readers": "spacy.read_labels.v1", "path": str(tmp_path / f"{name}.json")}
        config["initialize"]["components"][name] = {"labels": {**reader, "require": True}}
    found = init_nlp(config)
    for name in ("trf_ner", "trf_textcat"):
        assert found.get_pipe(name).labels == expected.get_pipe(name).labels != ()
