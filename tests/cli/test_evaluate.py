import json

import pytest
from spacy.tokens import DocBin
from spacy.training.loop import train
from toy_training import CONFIG, initialized, make_docs, write_corpora
from typer.testing import CliRunner

from spacy_llm_tasks.cli import app
from spacy_llm_tasks.cli.evaluate import to_json


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    import io

    folder = tmp_path_factory.mktemp("evaluate")
    overrides = {**write_corpora(folder), "training.max_steps": 8, "training.patience": 0}
    nlp, _ = train(initialized(overrides), None, stdout=io.StringIO())
    nlp.to_disk(folder / "model")
    return folder


def invoke(*arguments):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def scores_of(folder, *arguments):
    output = folder / "metrics" / "scores.json"
    result = invoke(folder / "model", *arguments, "--output", output)
    assert result.exit_code == 0, result.output
    return json.loads(output.read_text()), result.output


def test_scores_by_the_configs_reader(folder):
    scores, printed = scores_of(folder)
    assert isinstance(scores["ents_f"], float) and isinstance(scores["cats_score"], float)
    assert set(scores["ents_per_type"]) <= {"PERSON", "GPE"}
    assert "8 documents" in printed
    for name in ("ents_f", "cats_score", "cats_f_per_type", "TRAVEL"):
        assert name in printed


def test_a_file_replaces_the_path_of_the_reader(folder):
    path = folder / "other.spacy"
    DocBin(docs=make_docs(5, seed=9)).to_disk(path)
    assert "5 documents" in scores_of(folder, path)[1]
    assert "5 documents" in scores_of(folder, "--paths.dev", path)[1]


def test_jsonl_is_read_too(folder):
    path = folder / "other.jsonl"
    lines = [{"text": "Orla visited Vask .", "ents": [[0, 4, "PERSON"]]}] * 3
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    scores, printed = scores_of(folder, path)
    assert "3 documents" in printed
    assert scores["cats_score"] is None or isinstance(scores["cats_score"], float)


def test_scores_without_gold_are_null(folder):
    path = folder / "bare.spacy"
    DocBin(docs=make_docs(3, seed=9, annotated=False)).to_disk(path)
    scores, printed = scores_of(folder, path)
    assert scores["ents_f"] is None and "ents_f" in printed


def test_another_config_and_split(folder):
    config = folder / "other.cfg"
    section = CONFIG[CONFIG.index("[corpora]\n") : CONFIG.index("[corpora.dev]")]
    path = folder / "test.spacy"
    DocBin(docs=make_docs(4, seed=3)).to_disk(path)
    config.write_text(
        section.replace("[corpora.train]", "[corpora.test]").replace("${paths.train}", f'"{path}"')
    )
    assert "4 documents" in scores_of(folder, "--config", config, "--split", "test")[1]


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--split", "devv"], "Did you mean 'dev'?"),
        (["none.spacy"], "none.spacy"),
        (["--paths.dev", "gone.spacy"], "gone.spacy"),
        (["--paths.devv", "other.spacy"], "Did you mean 'dev'?"),
        (["--nlp.batchsize", "8"], "Did you mean 'batch_size'?"),
        (["--spliit", "dev"], "--split"),
        (["--output", "{folder}/model/config.cfg/scores.json"], "E531"),
    ],
)
def test_wrong_calls_are_explained(folder, arguments, expected):
    result = invoke(folder / "model", *[word.format(folder=folder) for word in arguments])
    assert result.exit_code in (1, 2)
    assert expected in result.output


def test_an_empty_corpus_is_an_error(folder):
    path = folder / "empty.spacy"
    DocBin().to_disk(path)
    result = invoke(folder / "model", path)
    assert result.exit_code == 1
    assert "no example" in result.output


def test_a_missing_pipeline_is_an_error(folder):
    result = invoke(folder / "nothing")
    assert result.exit_code == 1 and "nothing" in result.output


def test_what_is_no_number_becomes_null():
    assert to_json({"a": float("nan"), "b": None, "c": {1: (2,)}}) == {
        "a": None,
        "b": None,
        "c": {"1": [2]},
    }
