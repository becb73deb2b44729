"""`calibrate`."""

import json

import pytest
import spacy
from pipeline import toys
from spacy.tokens import DocBin
from typer.testing import CliRunner

from spacy_llm_tasks.cli import app


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A trained pipeline and dev data."""
    folder = tmp_path_factory.mktemp("calibrate")
    nlp = toys.empty_pipeline(toys.save_tokenizer(folder / "tokenizer"))
    nlp.add_pipe("trf_textcat")
    toys.overfit(nlp, steps=5)
    nlp.to_disk(folder / "model")
    docs = [toys.gold_doc(nlp, i % 2) for i in range(8)]
    DocBin(docs=docs, store_user_data=True).to_disk(folder / "dev.spacy")
    (folder / "file").write_text("mine")
    return folder


def invoke(folder, *options):
    words = ["calibrate", folder / "model", folder / "dev.spacy", *options]
    return CliRunner().invoke(app, list(map(str, words)))


def test_to_another_folder_twice(folder, tmp_path):
    for _ in range(2):
        options = ("-o", tmp_path / "new", "--report", tmp_path / "new" / "report.json")
        result = invoke(folder, *options)
        assert result.exit_code == 0, result.output
        assert json.loads((tmp_path / "new" / "report.json").read_text("utf8"))["rows"]
        assert spacy.load(tmp_path / "new").pipe_names == ["transformer", "trf_textcat"]


def test_files_of_others_are_not_replaced(folder, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    for output in (tmp_path, tmp_path / "thesis.txt"):
        result = invoke(folder, "-o", output)
        assert result.exit_code == 1 and "E530" in result.output
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_report_that_cannot_be_written_is_told_before_anything_changes(folder):
    before = {p: p.stat().st_mtime_ns for p in (folder / "model").rglob("*")}
    result = invoke(folder, "--report", folder / "file" / "report.json")
    assert result.exit_code == 1 and "E531" in result.output
    assert {p: p.stat().st_mtime_ns for p in (folder / "model").rglob("*")} == before
