import json
import signal

import pytest
import spacy
from typer.testing import CliRunner

from spacy_llm_tasks.annotate.running.progress import Progress
from spacy_llm_tasks.cli import annotate, app


@pytest.fixture
def run(tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "TOWN", "pattern": "Harbury"}])
    nlp.to_disk(tmp_path / "nlp")
    rows = "".join(
        json.dumps({"name": f"d{i}", "body": f"Harbury {i}", "n": i}) + "\n" for i in range(6)
    )

    def run(*arguments, given=None):
        command = ["annotate", str(tmp_path / "nlp"), "-", "--output", str(tmp_path / "out")]
        command += ["--text-column", "body", "--id-column", "name", "--threads", "1"]
        return CliRunner().invoke(app, [*command, *arguments], input=given), tmp_path / "out"

    return run, rows


def test_standard_input_to_json_lines(run):
    run, rows = run
    result, out = run("--format", "jsonl", "--parts", "text, ents", "--json", given=rows + "{\n")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert (summary["rows"], summary["errors"], summary["is_finished"]) == (6, 1, True)
    found = [json.loads(line) for line in (out / "part-00000.jsonl").read_text().splitlines()]
    assert found[3] == {"id": "d3", "text": "Harbury 3", "n": 3, "ents": [[0, 7, "TOWN"]]}
    # The standard input is kept, so the run goes on without it.
    result, out = run("--format", "jsonl", "--parts", "text, ents", "--resume", given="")
    assert result.exit_code == 0, result.output
    told = " ".join(result.output.split())
    assert "documents 6" in told and "TOWN 6" in told
    result, out = run("--format", "jsonl", "--parts", "text", "--resume", given="")
    assert result.exit_code == 1 and "setting parts: ['text', 'ents'] -> ['text']" in result.output


@pytest.mark.parametrize(
    "arguments, code",
    [
        (["--format", "xml"], "E806"),
        (["--parts", "text,entities"], "E806"),
        (["--seconds", "0"], "E806"),
        (["--encoding-errors", "loud"], "E806"),
        (["--stdin-format", "parquet"], "E806"),
        (["--engine", "spark"], "E806"),
        (["--ray-address", "auto"], "E871"),
        (["--engine", "ray", "--ray-address", "ray://host:10001"], "E872"),
    ],
)
def test_bad_options_are_one_message(run, arguments, code):
    run, rows = run
    result, out = run(*arguments, given=rows)
    assert result.exit_code == 1 and code in result.output and not out.exists()


def test_a_signal_stops_it(run, monkeypatch):
    run, rows = run

    def annotate_corpus(*arguments, stop, **options):
        assert not stop()
        signal.raise_signal(signal.SIGTERM)
        assert stop()
        raise ValueError("as far as here")

    monkeypatch.setattr("spacy_llm_tasks.annotate.run.annotate_corpus", annotate_corpus)
    result, _ = run(given=rows)
    assert result.exit_code == 1 and "as far as here" in result.output


def test_progress_for_people():
    shown = annotate.describe(Progress(1500, 2, 5000, 10.0, 150.0))
    assert shown == "1,500 of 5,000 rows, 150 rows/s, 0:00:23 left, 2 errors"
    assert annotate.describe(Progress(0, 0, None, 0.0, 0.0)) == "0 rows, 0 rows/s, 0 errors"
