import errno
import json

import pytest
import spacy
from typer.testing import CliRunner

from spacy_llm_tasks.cli import app
from spacy_llm_tasks.corpora.files import write_docs
from spacy_llm_tasks.pretraining.texts.corpus import Corpus


@pytest.fixture
def run(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    rows = [f"A sentence about the number of the day, which is {i}." for i in range(60)]
    lines = [json.dumps({"body": row}) for row in [*rows, rows[3], "write to me@example.org now"]]
    (source / "a.jsonl").write_text("\n".join([*lines, "{broken"]), encoding="utf-8")
    write_docs(
        source / "b.spacy", [spacy.blank("en").make_doc("A document that spaCy has stored.")]
    )

    def run(*arguments):
        command = ["corpus", str(source), "--output", str(tmp_path / "out"), *arguments]
        return CliRunner().invoke(app, command), tmp_path / "out"

    return run


def test_a_corpus_and_its_report(run):
    result, folder = run("--text-column", "body", "--scrub", "EMAIL, IP", "--held-out", "0.2")
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    assert any(line.startswith("read 63 ") for line in lines)
    assert "dropped: duplicate 1" in lines and "unusable: line that is no JSON 1" in lines
    assert "replaced by <EMAIL> 1" in lines
    assert any(".jsonl:63: " in line for line in lines)
    corpus = Corpus.open(folder)
    texts = {*corpus.train(), *corpus.held_out()}
    assert (
        len(texts) == 62 and {"write to <EMAIL> now", "A document that spaCy has stored."} < texts
    )
    result, _ = run("--text-column", "body", "--scrub", "EMAIL, IP", "--held-out", "0.2")
    assert "settings and inputs are the same" in result.output


def test_json(run):
    result, folder = run("--text-column", "body", "--held-out", "0.2", "--json")
    report = json.loads(result.stdout)
    assert report == json.loads((folder / "corpus.json").read_text())["report"]
    assert report["dropped"] == {"duplicate": 1}


def test_errors_are_one_message(run):
    result, folder = run()
    assert result.exit_code == 1 and "E704" in result.output and "body" in result.output
    assert not folder.exists()
    result, _ = run("--scrub", "names")
    assert result.exit_code == 1 and "E706" in result.output


def test_a_threshold_without_what_it_is_for_is_refused(run):
    for value in ("0.3", "0.8"):
        result, folder = run("--text-column", "body", "--near-threshold", value)
        assert result.exit_code == 2 and "--near-duplicates" in result.output
        assert not folder.exists()
    found = {}
    for value in (None, "0.3"):
        options = [] if value is None else ["--near-threshold", value]
        options += ["--text-column", "body", "--held-out", "0", "--json"]
        result, folder = run("--near-duplicates", *options)
        assert result.exit_code == 0, result.output
        found[value] = json.loads((folder / "corpus.json").read_text())
    thresholds = [f["made_from"]["settings"]["near_threshold"] for f in found.values()]
    assert thresholds == [0.8, 0.3]
    assert found["0.3"]["report"]["dropped"]["near duplicate"] > 50


def test_a_full_disk_names_the_folder(run, monkeypatch):
    def fail(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("spacy_llm_tasks.pretraining.texts.text_store.TextWriter.write", fail)
    result, folder = run("--text-column", "body")
    assert result.exit_code == 1 and not folder.exists()
    assert f"Error: {folder}: No space left on device. " in result.stderr
    assert "Free some space" in result.stderr
