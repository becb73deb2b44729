from pathlib import Path

import pytest
from thinc.api import Config

import spacy_llm_tasks
from spacy_llm_tasks.pretraining.objectives import make_objective
from spacy_llm_tasks.pretraining.settings import Settings

FOLDER = Path(spacy_llm_tasks.__file__).parent / "configs" / "pretraining"
SMALLEST = {
    "corpus": {"paths": ["texts"]},
    "objectives": {"masked": {"weight": 2.0}},
    "training": {"max_steps": 3},
}


def changed(section, **values):
    return {**SMALLEST, section: {**SMALLEST.get(section, {}), **values}}


def test_what_is_left_out_has_defaults_and_all_of_it_round_trips():
    settings = Settings.from_dict(SMALLEST)
    assert settings.training.max_steps == 3
    assert settings.objectives == {"masked": {"weight": 2.0}}
    assert settings.model.kind == "encoder"
    assert Settings.from_dict(settings.to_dict()) == settings


@pytest.mark.parametrize(
    "values, words",
    [
        (changed("training", max_stepz=3), ["training.max_stepz", "max_steps"]),
        (changed("tokenizr"), ["tokenizr", "'tokenizer'"]),
        (changed("model", size=3), ["model.size", "3"]),
        (changed("training", seed=True), ["training.seed", "True"]),
        (changed("training", max_steps=1.5), ["training.max_steps", "1.5"]),
        (changed("corpus", paths="texts"), ["paths", "'texts'"]),
        ({**SMALLEST, "objectives": {}}, ["no objective"]),
        (changed("training", max_steps=None), ["max_minutes"]),
        ({key: SMALLEST[key] for key in ("corpus", "training")}, ["objectives"]),
        ({**SMALLEST, "corpus": {}}, ["corpus.paths"]),
    ],
)
def test_mistakes_are_named(values, words):
    with pytest.raises(ValueError) as error:
        Settings.from_dict(values)
    assert all(word in str(error.value) for word in words)


def test_a_whole_number_is_a_number_and_paths_are_for_references_only():
    values = {**changed("training", max_minutes=2), "paths": {"mine": "texts"}}
    assert Settings.from_dict(values).training.max_minutes == 2


@pytest.mark.parametrize("name", ["encoder", "decoder", "seq2seq"])
def test_shipped_configs_are_correct(name):
    config = Config().from_disk(FOLDER / f"{name}.cfg").interpolate()
    settings = Settings.from_dict(config)
    assert settings.model.kind == name
    assert settings.corpus.paths == ["pydoc:"]
    for objective, values in settings.objectives.items():
        assert make_objective(objective, values).kind == name


def test_the_config_for_continued_pretraining_asks_for_a_checkpoint_and_a_corpus():
    config = Config().from_disk(FOLDER / "continued.cfg", interpolate=False)
    config["paths"] = {"corpus": "texts", "init": "weights/mine"}
    settings = Settings.from_dict(Config(config).interpolate())
    assert settings.model.init == "weights/mine" and settings.corpus.paths == ["texts"]
    assert settings.tokenizer.path is None  # the checkpoint's


def test_these_are_all():
    names = sorted(path.name for path in FOLDER.glob("*.cfg"))
    assert names == ["continued.cfg", "decoder.cfg", "encoder.cfg", "seq2seq.cfg"]
