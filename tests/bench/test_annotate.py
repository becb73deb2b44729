"""Speed of whole corpora: what is counted, and the sides with their own processes."""

import json
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from spacy_llm_tasks.bench import annotate, annotate_sides
from spacy_llm_tasks.bench.annotate_sides import CorpusRun
from spacy_llm_tasks.bench.workers import Reading
from spacy_llm_tasks.cli.bench import app

from .data import write_weights

N_ROWS = {True: 100, False: 10}


def readings(*seconds):
    return [Reading(wall, 0.0, {"cpu_s": cpu}) for wall, cpu in seconds]


def test_rates_are_without_what_comes_before_the_first_row():
    found = {
        ("ours", True): readings((14.0, 18.0), (9.0, 20.0), (12.0, 19.0)),
        ("ours", False): readings((3.0, 10.0), (30.0, 9.0), (2.0, 10.0)),
        ("peer", True): readings((41.0, 60.0)) * 3,
        ("peer", False): readings((5.0, 6.0)) * 3,
    }
    ours, peer = annotate.compare(found, n_rows=N_ROWS, workers=2)
    assert (ours.rows_per_s, ours.rows_per_cpu_s) == (10.0, 10.0)
    assert ours.whole_rows_per_s == round(100 / 12, 1)
    assert (ours.ratio, ours.ratio_cpu) == (4.0, 6.0) and ours.ratio_one is None
    assert ours.ratio_whole == round(41 / 12, 3) and peer.ratio == 1.0
    assert (ours.wall_s, ours.short_cpu_s) == ([14.0, 9.0, 12.0], [10.0, 9.0, 10.0])
    assert peer.workers == 2


def test_two_workers_against_one():
    found = {
        ("ours", True): readings((10.0, 1.0)),
        ("ours", False): readings((1.0, 0.5)),
        ("one", True): readings((19.0, 1.0)),
        ("one", False): readings((1.0, 0.5)),
    }
    ours, one = annotate.compare(found, n_rows=N_ROWS, workers=2)
    assert (ours.ratio_one, one.ratio_one, one.workers) == (2.0, 1.0, 1)
    assert ours.ratio is None
    found["one", True] = readings((1.0, 1.0))
    with pytest.raises(ValueError, match="E591.*'one'.*more words"):
        annotate.compare(found, n_rows=N_ROWS, workers=2)


class Pretended:
    """A worker whose run takes as long as its side and corpus say."""

    runs: list[CorpusRun] = []

    def __init__(self, name, make, run):
        self.run = make(run)
        self.runs.append(run)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def __call__(self, n):
        with open(self.run.corpus) as file:
            rows = [json.loads(line) for line in file]
        assert len({row["id"] for row in rows}) == len(rows) and all(row["text"] for row in rows)
        seconds = 1 + len(rows) / (4 if self.run.side == "ours" else 1)
        return Reading(seconds, 0.0, {"rows": len(rows), "cpu_s": seconds})


@pytest.fixture
def pretended(monkeypatch):
    monkeypatch.setattr(annotate, "Worker", Pretended)
    monkeypatch.setattr(Pretended, "runs", [])


def test_command(tmp_path, pretended):
    folder = write_weights(tmp_path)
    call = ["annotate", "--weights", str(folder), "--words", "800", "--rounds", "2"]
    result = CliRunner().invoke(app, [*call, "--sides", "ours,one", "--format", "json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [row["side"] for row in found["results"]] == ["ours", "one"]
    assert found["results"][0]["ratio_one"] == 4.0
    assert found["n_rows"] // 10 == found["n_rows_short"] and found["n_words"] >= 800
    runs = [(run.side, run.workers, "True" in run.corpus) for run in Pretended.runs]
    once = [("ours", 2, True), ("ours", 2, False), ("one", 1, True), ("one", 1, False)]
    assert runs == once + once[::-1]
    table = annotate.render(found)
    assert "| ours | 2 | " in table and " | 4.00 | " in table and "2 interleaved runs" in table
    result = CliRunner().invoke(app, [*call, "--sides", "theirs"])
    assert result.exit_code == 1 and "E583" in result.output


def test_rows_that_are_lost_are_noticed(tmp_path, pretended, monkeypatch):
    folder = write_weights(tmp_path)
    lost = Reading(1.0, 0.0, {"rows": 3, "cpu_s": 1.0})
    monkeypatch.setattr(Pretended, "__call__", lambda self, n: lost)
    with pytest.raises(ValueError, match="E591.*3 of .* rows came out"):
        annotate.report(
            ["ours"], folder, kind="sentences", n_words=400, workers=2, rounds=1, seed=0
        )


@pytest.mark.slow
def test_both_sides_read_everything_in_processes_of_their_own(tmp_path):
    folder = write_weights(tmp_path)
    found = annotate.report(
        ["ours"], folder, kind="sentences", n_words=2000, workers=2, rounds=1, seed=0
    )
    (row,) = found["results"]
    assert row["rows_per_s"] > 0 and row["cpu_s"][0] > row["short_cpu_s"][0] > 0


BURN = "import time\nwhile time.process_time() < 0.3: pass"


def test_cpu_seconds_are_also_those_of_processes_that_were_started():
    before, own = annotate_sides.cpu_seconds(), time.process_time()
    subprocess.run([sys.executable, "-c", BURN], check=True)
    found = annotate_sides.cpu_seconds() - before
    assert found - (time.process_time() - own) >= 0.29
