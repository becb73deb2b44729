import json

import pytest
from typer.testing import CliRunner

from spacy_llm_tasks.cli import app

SCORES = {
    "token_acc": 1.0,
    "ents_f": 0.5,
    "cats_score": None,
    "ents_per_type": {"ORG": {"p": 0.25, "r": 1.0, "f": 0.4}, "GPE": {"p": 1.0, "r": 1.0, "f": 1}},
    "cats_auc_per_type": {"a|b": None},
    "speed": 1234.5,
}


def report(*arguments):
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


@pytest.fixture
def metrics(tmp_path):
    (tmp_path / "one.json").write_text(json.dumps(SCORES))
    (tmp_path / "two.json").write_text(json.dumps({"cats_score": 0.875}))
    return tmp_path


def test_one_page_with_an_overview_and_every_table(metrics):
    page = metrics / "pages" / "report.md"
    result = report(metrics, "--output", page, "--title", "Mine")
    assert result.exit_code == 0, result.output
    lines = page.read_text().splitlines()
    assert lines[0] == "# Mine"
    assert "|  | ents_f | cats_score |" in lines
    assert "| one | 0.5000 | - |" in lines
    assert "| two | - | 0.8750 |" in lines
    assert "| ORG | 0.2500 | 1.0000 | 0.4000 |" in lines
    assert "| a\\|b | - |" in lines
    assert "The data has no gold for: cats_score." in lines
    assert lines.index("| GPE | 1.0000 | 1.0000 | 1 |") < lines.index(
        "| ORG | 0.2500 | 1.0000 | 0.4000 |"
    )


def test_how_fast_the_machine_was_is_no_score(metrics):
    assert "speed" not in report(metrics / "one.json").output


def test_files_of_the_same_name_are_told_apart(metrics):
    other = metrics / "other"
    other.mkdir()
    (other / "one.json").write_text("{}")
    output = report(metrics / "one.json", other / "one.json").output
    assert f"## {metrics / 'one.json'}" in output and f"## {other / 'one.json'}" in output


@pytest.mark.parametrize("text", ["[1]", "{", "null"])
def test_what_is_no_metrics_file_is_named(metrics, text):
    (metrics / "bad.json").write_text(text)
    result = report(metrics)
    assert result.exit_code == 1
    assert "E519" in result.output and "bad.json" in result.output


def test_no_file_at_all(tmp_path):
    assert "E521" in report(tmp_path).output
    missing = report(tmp_path / "none.json")
    assert missing.exit_code == 1 and "none.json" in missing.output
