"""Runs that are killed at any moment, again and again, end as one that nobody disturbed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import spacy
from spacy.util import import_file

from spacy_llm_tasks.annotate import annotate_corpus

ROWS, SHARD_ROWS, KILLS = 20_000, 100, 20
# A pipeline that is slow enough to be killed at work, and leaves the machine to others.
CODE = """
import time
from spacy.language import Language


@Language.component("dawdle")
def dawdle(doc):
    time.sleep(0.003)
    return doc
"""
PATTERNS = [
    {"label": "TOWN", "pattern": "Harbury"},
    {"label": "FIRM", "pattern": [{"LOWER": "oak"}, {"LOWER": "mills"}]},
]
WORDS = "Harbury Oak Mills has sold a new bridge to the old town while others slept".split()


def write_corpus(folder):
    draw = random.Random(3)
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns(PATTERNS)
    (folder / "code.py").write_text(CODE)
    import_file("code", folder / "code.py")
    nlp.add_pipe("dawdle")
    nlp.to_disk(folder / "nlp")
    with (folder / "rows.jsonl").open("w", encoding="utf8") as file:
        for i in range(ROWS):
            text = " ".join(draw.choices(WORDS, k=draw.randint(1, 40)))
            # Some ids twice, some lines that are none: what is settled row by row must hold, too.
            row = json.dumps({"id": f"d{i - i % 50 if i % 500 == 1 else i}", "text": text, "n": i})
            file.write("{broken\n" if i % 997 == 5 else row + "\n")


def start(folder, output):
    command = [sys.executable, "-m", "spacy_llm_tasks", "annotate", str(folder / "nlp")]
    command += [str(folder / "rows.jsonl"), "--output", str(output), "--workers", "2"]
    command += [
        "--code",
        str(folder / "code.py"),
        "--shard-rows",
        str(SHARD_ROWS),
        "--duplicate-ids",
        "number",
        "--threads",
        "1",
    ]
    return subprocess.Popen(
        [*command, "--resume"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def children_of(pid):
    try:
        return [
            int(found) for found in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except OSError:
        return []


def is_worker(pid):
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def lines_of(journal):
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def contents(output):
    names = sorted(path.name for path in output.glob("part-*")) + ["errors.jsonl"]
    return {name: (output / name).read_bytes() for name in names}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for workers in /proc")
def test_killed_runs_end_as_undisturbed_ones(tmp_path):
    import pyarrow.parquet as pq

    write_corpus(tmp_path)
    calm = annotate_corpus(
        tmp_path / "nlp",
        tmp_path / "rows.jsonl",
        tmp_path / "calm",
        workers=2,
        threads=1,
        code=str(tmp_path / "code.py"),
        shard_rows=SHARD_ROWS,
        duplicate_ids="number",
    )
    assert calm.is_finished and calm.errors == len(range(5, ROWS, 997))

    draw = random.Random(11)
    output = tmp_path / "killed"
    journal = output / ".run" / "journal.jsonl"
    run, killed = None, {"run": 0, "worker": 0}
    while sum(killed.values()) < KILLS:
        if run is None:
            run = start(tmp_path, output)
        victim = draw.choice(["run", "worker"])
        # At any moment: while it starts, or some shards later, between two of them or within one.
        wanted = lines_of(journal) + draw.choice([0, 0, 1, 2, 4])
        until = time.monotonic() + 120
        while lines_of(journal) < wanted and run.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(draw.choice([0, 0.05, 0.3, 2.0]))
        workers = [pid for pid in children_of(run.pid) if is_worker(pid)]
        assert run.poll() is None, run.stderr.read()
        if victim == "run":
            run.kill()
            run.wait()
            until = time.monotonic() + 30
            while any(map(lives, workers)) and time.monotonic() < until:
                time.sleep(0.01)
            assert not any(map(lives, workers))
            run = None
        elif workers:
            os.kill(draw.choice(workers), signal.SIGKILL)
        else:
            continue
        killed[victim] += 1
    if run is not None:
        run.wait()
    assert min(killed.values()) >= 5
    last = start(tmp_path, output)
    _, told = last.communicate(timeout=600)
    assert last.returncode == 0, told

    table = pq.ParquetDataset(sorted(output.glob("part-*.parquet"))).read(columns=["id"])
    ids = table.column("id").to_pylist()
    faults = [json.loads(line)["id"] for line in (output / "errors.jsonl").open()]
    assert len(ids) == len(set(ids)) and not set(ids) & set(faults)
    assert len(ids) + len(faults) == ROWS
    assert contents(output) == contents(tmp_path / "calm")
    summary = json.loads((output / "summary.json").read_text())
    assert (summary["rows"], summary["errors"]) == (calm.rows, calm.errors)
    assert summary["labels"]["ents"] == dict(calm.labels.ents)
