from pathlib import Path

import pytest
from spacy.util import load_config_from_str
from toy_training import CONFIG, write_corpora

from spacy_llm_tasks import configs
from spacy_llm_tasks.training.config_check import find_problems, read_config

NER = Path(configs.__file__).with_name("ner.cfg")


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return write_corpora(tmp_path_factory.mktemp("data"))


def problems(paths, overrides=None, text=CONFIG):
    overrides = {**paths, **(overrides or {})}
    return find_problems(load_config_from_str(text, overrides=overrides, interpolate=False))


def test_a_good_config_has_no_problem(paths):
    assert problems(paths) == []


@pytest.mark.parametrize(
    "key, value, place, nearest",
    [
        ("training.max_stepz", 3, "[training]", "max_steps"),
        ("nlp.batchsize", 3, "[nlp]", "batch_size"),
        ("training.optimizer.weight_decai", 0.1, "training.optimizer", "weight_decay"),
        ("training.optimizer.learn_rate.warm_steps", 1, "learn_rate", "warmup_steps"),
        ("training.batcher.size.strt", 1, "training.batcher.size", "start"),
        ("training.batcher.@batchrs", "x", "training.batcher", "@batchers"),
        ("components.ner.mdel", 1, "components.ner", "model"),
        ("components.ner.factory", "nerr", "components.ner", "ner"),
        ("components.ner.model.hiden_width", 8, "components.ner.model", "hidden_width"),
        ("components.ner.model.tok2vec.widht", 8, "components.ner.model.tok2vec", "width"),
        ("components.ner.model.@architectures", "spacy.Tagger.v9", "model", "spacy.Tagger.v2"),
        ("corpora.train.pth", "x", "corpora.train", "path"),
        ("paths.trian", "x", "[paths]", "train"),
        ("training.frozen_components", ["nre"], "training.frozen_components", "ner"),
        ("training.annotating_components", ["tok3vec"], "annotating_components", "tok2vec"),
        ("nlp.pipeline", ["tok2vec", "nerr"], "nlp.pipeline", "ner"),
        ("training.train_corpus", "corpora.tran", "training.train_corpus", "corpora.train"),
        ("corpora.train.path", "${paths.trian}", "corpora.train.path", "train"),
    ],
)
def test_unknown_names_are_reported_with_place_and_nearest(paths, key, value, place, nearest):
    found = problems(paths, {key: value})
    assert any(place in line and f"'{nearest}'" in line for line in found), found


@pytest.mark.parametrize(
    "before, after, expected",
    [
        ("[training.logger]", "[trainin]\nx = 1\n\n[training.logger]", "section 'trainin'"),
        ("[training]\n", "[pretraining]\nmax_epoch = 1\n\n[training]\n", "'max_epoch'"),
        ("[training]\n", "[initialize]\nvector = null\n\n[training]\n", "'vector'"),
        (
            "[training]\n",
            "[initialize]\n\n[initialize.components]\n\n[initialize.components.nerr]\n\n[training]\n",
            "component 'nerr'",
        ),
        ("[corpora.dev]", "[corpora.deev]\npath = null\n\n[corpora.dev]", "corpus 'deev'"),
    ],
)
def test_unknown_sections_are_reported(paths, before, after, expected):
    found = problems(paths, text=CONFIG.replace(before, after, 1))
    assert any(expected in line for line in found), found


@pytest.mark.parametrize(
    "key, value, expected",
    [
        ("training.max_steps", "32", "training.max_steps"),
        ("components.ner.model.hidden_width", "32", "components.ner.model.hidden_width"),
        ("training.score_weights.ents_f", "1.0", "training.score_weights.ents_f"),
        ("training.eval_frequency", 0, "training.eval_frequency: is 0, expected at least 1"),
        ("training.max_steps", -5, "training.max_steps: is -5, expected at least 0"),
        ("training.max_epochs", -2, "training.max_epochs: is -2, expected at least -1"),
        ("training.patience", -1, "training.patience: is -1, expected at least 0"),
        ("training.dropout", 2.0, "training.dropout: is 2.0"),
        ("training.dropout", -0.1, "training.dropout: is -0.1"),
        ("training.batcher.size", 0, "training.batcher.size: is 0, expected at least 1"),
        ("nlp.batch_size", 0, "nlp.batch_size: is 0, expected at least 1"),
    ],
)
def test_wrong_values_are_reported(paths, key, value, expected):
    assert any(expected in line for line in problems(paths, {key: value}))


@pytest.mark.parametrize(
    "key, value",
    [
        ("training.max_steps", 0),
        ("training.max_epochs", -1),
        ("training.patience", 0),
        ("training.dropout", 0.0),
        ("training.batcher.size", 1),
    ],
)
def test_numbers_at_their_bounds_are_right(paths, key, value):
    assert problems(paths, {key: value}) == []


@pytest.mark.parametrize(
    "lang, key, expected",
    [
        ("en", "foo", ["initialize.tokenizer: unknown argument 'foo'. Known: (none)."]),
        ("zh", "pkuseg_modle", ["initialize.tokenizer: unknown argument 'pkuseg_modle'. Did you "]),
        ("zh", "pkuseg_model", []),
    ],
)
def test_settings_of_the_tokenizer_are_compared_with_it(paths, lang, key, expected):
    text = CONFIG.replace(
        "[training]\n", f'[initialize]\n\n[initialize.tokenizer]\n{key} = "x"\n\n[training]\n', 1
    )
    found = problems(paths, {"nlp.lang": lang}, text)
    assert len(found) == len(expected)
    assert all(start in line for line, start in zip(found, expected, strict=True)), found


def test_missing_files_come_with_the_variable_to_set(paths):
    (unset,) = problems(paths, {"paths.train": None})
    assert "--paths.train" in unset
    (missing,) = problems(paths, {"paths.dev": "nowhere.spacy"})
    assert "nowhere.spacy" in missing and "--paths.dev" in missing


def test_sections_of_variables_may_be_the_users_own(paths):
    text = CONFIG.replace("[system]", "[mine]\nwidth = 16\n\n[system]", 1)
    text = text.replace("width = 16\ndepth", "width = ${mine.width}\ndepth", 1)
    assert problems(paths, text=text) == []


def test_all_mistakes_are_told_at_once(paths, tmp_path):
    path = tmp_path / "train.cfg"
    path.write_text(CONFIG.replace("max_steps = 12", "max_stepz = 12").replace("upstream", "up"))
    with pytest.raises(ValueError, match="max_stepz") as error:
        read_config(path, paths)
    assert "E512" in str(error.value) and "'up'" in str(error.value)
    with pytest.raises(FileNotFoundError, match="none.cfg"):
        read_config(tmp_path / "none.cfg")
    path.write_text("[training\nx = 1")
    with pytest.raises(ValueError, match="train.cfg"):
        read_config(path)


@pytest.mark.parametrize(
    "overrides, tokenizer",
    [
        ({}, "spacy.Tokenizer.v1"),
        ({"nlp.lang": "en"}, "spacy.Tokenizer.v1"),
        ({"nlp.lang": "zh"}, "spacy.zh.ChineseTokenizer"),
        (
            {"nlp.lang": "zh", "nlp.tokenizer.@tokenizers": "spacy.Tokenizer.v1"},
            "spacy.Tokenizer.v1",
        ),
    ],
)
def test_another_language_brings_its_tokenizer(paths, tmp_path, overrides, tokenizer):
    weights = {"paths.weights": str(tmp_path)}
    config = read_config(NER, {**paths, **weights, **overrides})
    assert config["nlp"]["tokenizer"]["@tokenizers"] == tokenizer


def test_unknown_language_is_left_to_spacy(paths, tmp_path):
    weights = {"paths.weights": str(tmp_path)}
    config = read_config(NER, {**paths, **weights, "nlp.lang": "qqq"})
    assert config["nlp"]["lang"] == "qqq"
