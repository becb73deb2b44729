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


JOINT = {
    "ents_f": 0.85,
    "rel_micro_f": 0.3472,
    "rel_gold_f": 0.5,
    "rel_macro_f": 0.9,
    "cats_score": 1.0,
    "sim_spearman": None,
    "qa_f1": 0.6,
}
ALONE = {
    "trf_relation": {"ents_f": 0.8, "rel_micro_f": 0.4, "rel_gold_f": 0.4996, "rel_macro_f": 0.1},
    "trf_ner": {"ents_f": 0.875},
    "trf_textcat": {"cats_score": 1, "cats_acc": 1.0},
    "trf_similarity": {"sim_spearman": 0.7},
    "trf_qa": {"qa_f1": None, "qa_em": 0.5},
}


@pytest.fixture
def single(tmp_path):
    """A folder of metrics of tasks alone; those of the joint pipeline lie beside it."""
    folder = tmp_path / "single"
    folder.mkdir()
    for name, scores in ALONE.items():
        (folder / f"{name}.json").write_text(json.dumps(scores))
    (tmp_path / "joint.json").write_text(json.dumps(JOINT))
    return folder


def test_what_sharing_costs(single):
    result = report(single.parent / "joint.json", "--single", single)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    start = lines.index("## What sharing costs")
    assert lines[start + 2] == "| component | score | joint | alone | difference in points |"
    assert lines[start + 4 : start + 9] == [
        "| trf_ner | ents_f | 0.8500 | 0.8750 | -2.5 |",
        "| trf_relation | rel_micro_f | 0.3472 | 0.4000 | -5.3 |",
        "| trf_relation | rel_gold_f | 0.5000 | 0.4996 | +0.0 |",
        "| trf_textcat | cats_score | 1.0000 | 1 | +0.0 |",
        "",
    ]
    assert start < lines.index("## joint")
    assert "What sharing costs" not in report(single.parent / "joint.json").output


def test_a_difference_that_rounds_to_nothing_has_no_minus(single):
    (single / "trf_ner.json").write_text('{"ents_f": 0.8501}')
    output = report(single.parent / "joint.json", "--single", single).output
    assert "| 0.8500 | 0.8501 | +0.0 |" in output


def test_entities_beside_relations_count_where_they_are_not_alone(single):
    (single / "trf_ner.json").unlink()
    output = report(single.parent / "joint.json", "--single", single).output
    assert "| trf_relation | ents_f | 0.8500 | 0.8000 | +5.0 |" in output


def test_one_joint_pipeline_is_compared(single):
    (single.parent / "other.json").write_text("{}")
    several = report(single.parent, "--single", single)
    assert several.exit_code == 1 and "E523" in several.output and "joint, other" in several.output
    nothing = report(single.parent / "other.json", "--single", single)
    assert nothing.exit_code == 1 and "E524" in nothing.output and "other" in nothing.output
    missing = report(single.parent / "joint.json", "--single", single / "none")
    assert missing.exit_code == 1 and "none" in missing.output


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
