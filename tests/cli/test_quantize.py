"""`quantize` and `precision`."""

import json

import pytest
import spacy
from pipeline import toys
from spacy.tokens import DocBin
from typer.testing import CliRunner

from spacy_llm_tasks.cli import app
from spacy_llm_tasks.errors import Errors
from spacy_llm_tasks.training import precision_scores
from spacy_llm_tasks.training.precision_scores import Measured


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A trained pipeline and dev data."""
    folder = tmp_path_factory.mktemp("quantize")
    nlp = toys.empty_pipeline(toys.save_tokenizer(folder / "tokenizer"))
    nlp.add_pipe("trf_textcat")
    toys.overfit(nlp, steps=40)
    nlp.to_disk(folder / "model")
    DocBin(docs=[toys.gold_doc(nlp, i) for i in range(2)]).to_disk(folder / "dev.spacy")
    return folder


def invoke(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def stored(path):
    values = json.loads((path / "transformer" / "encoder" / "encoder.json").read_text("utf8"))
    return values.get("stored")


@pytest.mark.parametrize(
    "options, expected",
    [
        ((), {"linear": "int8", "embeddings": "int8"}),
        (("--precision", "bf16"), {"linear": "bf16", "embeddings": "bf16"}),
        (("--embeddings", "fp32"), {"linear": "int8", "embeddings": "fp32"}),
    ],
)
def test_quantize(folder, tmp_path, options, expected):
    result = invoke("quantize", folder / "model", tmp_path / "small", *options)
    assert result.exit_code == 0, result.output
    assert stored(tmp_path / "small") == expected
    for part in expected.values():
        assert part in result.output
    assert spacy.load(tmp_path / "small")(toys.TEXTS[0]).cats["story"] > 0.5
    assert stored(folder / "model") is None


def test_the_table_keeps_what_the_scores_need(folder, tmp_path, monkeypatch):
    lost = {"fp32": 0.0, "int8, int8 table": 3.0, "int8, bf16 table": 0.4}

    def measure(nlp, examples, setting, base):
        scores = {"cats_score": 1 - lost[setting.name] / 100}
        return Measured(setting.name, 1, 0.0, scores, {"cats_score": -lost[setting.name]})

    monkeypatch.setattr(precision_scores, "_measure", measure)
    arguments = ("quantize", folder / "model", tmp_path / "small", "--dev", folder / "dev.spacy")
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    assert stored(tmp_path / "small") == {"linear": "int8", "embeddings": "bf16"}
    result = invoke(*arguments[:2], tmp_path / "other", *arguments[3:], "--embeddings", "int8")
    assert result.exit_code == 1 and "E445" in result.output and "3.00" in result.output
    assert not (tmp_path / "other").exists()


def test_with_dev_data(folder, tmp_path):
    arguments = ("quantize", folder / "model", tmp_path / "small", "--dev", folder / "dev.spacy")
    result = invoke(*arguments, "--at-most", 100)
    assert result.exit_code == 0, result.output
    assert "cats_score" in result.output and "2 documents" in result.output
    assert stored(tmp_path / "small") == {"linear": "int8", "embeddings": "int8"}


def test_a_reduced_pipeline_is_refused(folder, tmp_path):
    assert invoke("quantize", folder / "model", tmp_path / "small").exit_code == 0
    for precision in ("int8", "bf16"):
        again = ("quantize", tmp_path / "small", tmp_path / "again", "--precision", precision)
        result = invoke(*again)
        assert result.exit_code == 1 and "E461" in result.output
    assert "E461" in invoke("precision", tmp_path / "small", folder / "dev.spacy").output
    assert not (tmp_path / "again").exists()


def test_precision(folder, tmp_path):
    output = tmp_path / "scores" / "precision.json"
    result = invoke("precision", folder / "model", folder / "dev.spacy", "--output", output)
    assert result.exit_code == 0, result.output
    found = json.loads(output.read_text("utf8"))
    names = [row["setting"] for row in found["results"]]
    assert names == ["fp32", "bf16", "int8", "bf16, bf16 table", "int8, int8 table"]
    assert found["n_docs"] == 2 and found["pipeline"] == str(folder / "model")
    assert all(name in result.output for name in names)


def test_precision_as_json(folder):
    options = ("--precisions", "int8", "--not-reduced", "--json")
    result = invoke("precision", folder / "model", folder / "dev.spacy", *options)
    rows = json.loads(result.stdout)["results"]
    assert [row["setting"] for row in rows] == ["fp32", "int8"]
    assert set(rows[1]["change"]) == {"cats_score"}


@pytest.mark.parametrize("names", ["", ",", "fp32", "bf16,int4"])
def test_precisions_that_do_not_exist(folder, names):
    result = invoke("precision", folder / "model", folder / "dev.spacy", "--precisions", names)
    assert result.exit_code == 2 and "--precisions" in result.output


def test_a_precision_that_this_machine_lacks(folder, monkeypatch):
    def refuse(self, examples, **options):
        if self.config["components"]["transformer"]["model"].get("precision") == "bf16":
            raise ValueError(Errors.E124.format(device="cpu"))
        return evaluate(self, examples, **options)

    evaluate = spacy.Language.evaluate
    monkeypatch.setattr(spacy.Language, "evaluate", refuse)
    options = ("--not-reduced",)
    result = invoke("precision", folder / "model", folder / "dev.spacy", *options)
    assert result.exit_code == 0, result.output
    assert "bf16 is not available: [E124]" in result.output
    assert "int8" in result.output and "int8 is not" not in result.output
    rows = json.loads(
        invoke("precision", folder / "model", folder / "dev.spacy", *options, "--json").stdout
    )["results"]
    assert [bool(row["unavailable"]) for row in rows] == [False, True, False]
    assert rows[1]["scores"] == {"cats_score": None}
    arguments = ("quantize", folder / "model", folder / "none", "--precision", "bf16")
    result = invoke(*arguments, "--dev", folder / "dev.spacy")
    assert result.exit_code == 1 and "E124" in result.output
    assert not (folder / "none").exists()


def test_precision_of_nothing(folder, tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.to_disk(tmp_path)
    result = invoke("precision", tmp_path, folder / "dev.spacy")
    assert result.exit_code == 1 and "E444" in result.output


def test_files_of_others_are_not_replaced(folder, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    result = invoke("quantize", folder / "model", tmp_path)
    assert result.exit_code == 1 and "E530" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_original_is_not_replaced(folder):
    before = (folder / "model" / "config.cfg").stat().st_mtime_ns
    result = invoke("quantize", folder / "model", folder / "model" / ".." / "model")
    assert result.exit_code == 1 and "E539" in result.output
    assert (folder / "model" / "config.cfg").stat().st_mtime_ns == before
