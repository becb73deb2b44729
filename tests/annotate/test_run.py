"""Whole runs, with worker processes."""

import json
import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
import spacy
from pipeline import toys
from spacy.util import import_file

from spacy_llm_tasks.annotate import annotate_corpus

# A component with a document for every way to fail. "once" kills only the first worker.
CODE = """
import os, signal, time
from pathlib import Path
from spacy.language import Language


@Language.component("trouble")
def trouble(doc):
    mark = Path(__file__).parent / "mark"
    if doc.text.startswith("raise"):
        raise ValueError("cannot bear it")
    if doc.text.startswith("die"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if doc.text.startswith("once") and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if doc.text.startswith("sleep"):
        time.sleep(600)
    return doc
"""


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "code.py").write_text(CODE)
    import_file("code", tmp_path / "code.py")
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "TOWN", "pattern": "Harbury"}])
    nlp.add_pipe("trouble")
    nlp.to_disk(tmp_path / "nlp")

    def write(texts, name="rows.jsonl"):
        rows = ({"id": f"d{i}", "text": text} for i, text in enumerate(texts))
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    write([f"Harbury has {i} bridges." for i in range(50)])
    (tmp_path / "write").mkdir()
    return write


def run(tmp_path, output="out", **options):
    defaults = {"shard_rows": 20, "batch_rows": 8, "threads": 1, "code": str(tmp_path / "code.py")}
    return annotate_corpus(
        tmp_path / "nlp", tmp_path / "rows.jsonl", tmp_path / output, **{**defaults, **options}
    )


def ids_in(folder):
    return [
        name
        for part in sorted(folder.glob("part-*.parquet"))
        for name in pq.read_table(part, columns=["id"]).column("id").to_pylist()
    ]


def faults_in(folder):
    return [json.loads(line) for line in (folder / "errors.jsonl").read_text("utf8").splitlines()]


def test_a_run_that_is_stopped_goes_on(corpus, tmp_path):
    seen = []
    out = tmp_path / "out"
    stopped = run(tmp_path, on_progress=seen.append, stop=lambda: bool(seen and seen[-1].rows))
    assert not stopped.is_finished and 0 < stopped.shards < 3
    assert len(ids_in(out)) == stopped.rows < 50
    with pytest.raises(ValueError, match="E852"):
        run(tmp_path)
    with pytest.raises(ValueError, match="setting batch_rows: 8 -> 9"):
        run(tmp_path, resume=True, batch_rows=9)
    # A file that was lost is made again, one that a killed worker left is cleared away.
    lost = (out / "part-00000.parquet").read_bytes()
    (out / "part-00000.parquet").unlink()
    (out / ".run" / "temporary" / "1-ab-part-00000.parquet").write_text("half")
    found = run(tmp_path, resume=True, on_progress=seen.append)
    assert found.is_finished and (found.rows, found.errors, found.shards) == (50, 0, 3)
    assert ids_in(out) == [f"d{i}" for i in range(50)] and faults_in(out) == []
    assert (out / "part-00000.parquet").read_bytes() == lost
    assert list((out / ".run" / "temporary").iterdir()) == []
    assert (seen[-1].rows, seen[-1].total) == (50, 50)
    told = json.loads((out / "summary.json").read_text())
    assert told["labels"]["ents"] == {"TOWN": 50} and told["rows"] == 50
    assert [sample["share"] for sample in told["memory"]] in ([0.1, 0.5, 1.0], [])
    assert "TOWN" in (out / "report.html").read_text("utf8")
    # All is done, so nothing is loaded now.
    again = run(tmp_path, resume=True)
    assert again.is_finished and again.rows == 50 and again.session_rows == 0
    corpus(["other texts"] * 50)
    with pytest.raises(ValueError, match="input file rows.jsonl: differs"):
        run(tmp_path, resume=True)


@pytest.mark.slow
def test_documents_that_fail_kill_or_hang_cost_no_others(corpus, tmp_path):
    texts = [f"Harbury has {i} bridges." for i in range(40)]
    trouble = {3: "raise", 9: "die at 9", 12: "sleep at 12", 30: "once at 30"}
    for i, text in trouble.items():
        texts[i] = text
    corpus(texts)
    summary = run(tmp_path, seconds=1.0)
    assert summary.is_finished and (summary.rows, summary.errors) == (37, 3)
    assert ids_in(tmp_path / "out") == [f"d{i}" for i in range(40) if i not in (3, 9, 12)]
    found = {
        fault["id"]: (fault["component"], fault["error"]) for fault in faults_in(tmp_path / "out")
    }
    assert found == {
        "d3": ("trouble", "ValueError"),
        "d9": ("worker", "died"),
        "d12": ("worker", "too slow"),
    }
    assert [fault["number"] for fault in faults_in(tmp_path / "out")] == [4, 10, 13]


def test_what_cannot_be_done_is_told_before_anything_is(corpus, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="E850"):
        annotate_corpus(tmp_path / "none", tmp_path / "rows.jsonl", tmp_path / "out")
    with pytest.raises(ValueError, match="E848.*shard_row"):
        run(tmp_path, shard_row=3)
    with pytest.raises(ValueError, match="E806.*workers"):
        run(tmp_path, workers=0)
    with pytest.raises(ValueError, match="E806.*batch_rows"):
        run(tmp_path, batch_rows=0)
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "pyarrow.parquet", None)
        with pytest.raises(ImportError, match=r"E854.*spacy-llm-tasks\[annotate\]"):
            run(tmp_path)
    assert not (tmp_path / "out").exists()
    (tmp_path / "write" / "letter.txt").write_text("mine")
    with pytest.raises(ValueError, match="E853.*letter.txt"):
        run(tmp_path, "write")


@pytest.mark.slow
def test_a_pipeline_that_cannot_be_loaded_is_told(corpus, tmp_path):
    with pytest.raises(ValueError, match="E844.*trouble"):
        run(tmp_path, code=None)


def test_ids_that_are_there_twice(corpus, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"id": "a", "text": "x"}\n' * 2)
    with pytest.raises(ValueError, match="E812"):
        run(tmp_path)


SCRIPT = """
import sys
from spacy_llm_tasks.annotate import annotate_corpus

annotate_corpus(*sys.argv[1:4])
"""


@pytest.mark.slow
def test_a_script_that_starts_itself_again_is_told(corpus, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    nlp = spacy.blank("en")
    nlp.to_disk(tmp_path / "plain")
    arguments = [str(tmp_path / name) for name in ("plain", "rows.jsonl", "out")]
    found = subprocess.run(
        [sys.executable, str(tmp_path / "script.py"), *arguments], capture_output=True, text=True
    )
    assert found.returncode == 1 and "E851" in found.stderr and "E845" in found.stderr


@pytest.mark.slow
def test_a_run_that_was_refused_its_corpus_may_begin_anew(corpus, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"id": "a", "text": "x"}\n' * 2)
    with pytest.raises(ValueError, match="E812"):
        run(tmp_path)
    assert run(tmp_path, duplicate_ids="number").is_finished
    assert ids_in(tmp_path / "out") == ["a", "a#2"]


@pytest.mark.slow
def test_our_own_components_give_the_same_bytes_however_many_workers(tmp_path):
    nlp = toys.empty_pipeline(toys.save_tokenizer(tmp_path / "tokenizer"), window=30, stride=20)
    for factory in ("trf_ner", "trf_similarity", "trf_qa"):
        nlp.add_pipe(factory)
    toys.overfit(nlp, steps=30)
    nlp.to_disk(tmp_path / "model")
    rows = ({"id": f"d{i}", "text": f"{toys.TEXTS[i % len(toys.TEXTS)]} {i}"} for i in range(90))
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = {}
    for workers in (1, 2):
        out = tmp_path / f"out{workers}"
        summary = annotate_corpus(
            tmp_path / "model",
            tmp_path / "rows.jsonl",
            out,
            workers=workers,
            threads=1,
            shard_rows=20,
            batch_rows=8,
            questions=("Who?",),
        )
        assert (summary.rows, summary.errors) == (90, 0)
        found[workers] = [path.read_bytes() for path in sorted(out.glob("part-*"))]
    assert found[1] == found[2]
    manifest = json.loads((tmp_path / "out1" / "manifest.json").read_text())
    assert manifest["settings"]["kernel"] in ("onednn", "plain")
    table = pq.read_table(tmp_path / "out1" / "part-00004.parquet")
    doc = nlp(table.column("text")[3].as_py())
    assert table.column("embedding")[3].as_py() == pytest.approx(doc._.embedding, abs=1e-4)
    ents = [(ent["start"], ent["end"], ent["label"]) for ent in table.column("ents")[3].as_py()]
    assert ents == [(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents]
    assert table.column("answers")[3][0]["text"].as_py() == doc._.ask("Who?").text


def test_a_run_that_has_done_nothing_may_begin_anew_with_other_options(corpus, tmp_path):
    # The component is in no module that a worker knows.
    with pytest.raises(ValueError, match="E844.*trouble"):
        run(tmp_path, code=None)
    assert (tmp_path / "out" / "manifest.json").exists()
    found = run(tmp_path, resume=True)
    assert found.is_finished and found.rows == 50
    with pytest.raises(ValueError, match="E852"):
        run(tmp_path)


def test_stopped_before_anything_is_done(corpus, tmp_path):
    for _ in range(2):  # and the folder stays as good as new
        stopped = run(tmp_path, stop=lambda: True)
        assert not stopped.is_finished and (stopped.rows, stopped.shards) == (0, 0)
        assert [path.name for path in (tmp_path / "out").iterdir()] == [".run"]


def test_what_a_finished_run_has_told_stays(corpus, tmp_path):
    run(tmp_path)
    summary = (tmp_path / "out" / "summary.json").read_bytes()
    again = run(tmp_path, resume=True)
    assert again.session_rows == 0 and again.rows_per_second > 0
    assert again.labels.ents == {"TOWN": 50}
    assert (tmp_path / "out" / "summary.json").read_bytes() == summary


def run_piped(tmp_path, piped, **options):
    """A run on the standard input; None: a pipe on which nothing ever comes."""
    reading, writing = os.pipe()
    if piped is not None:
        os.write(writing, piped)
        os.close(writing)
    before, sys.stdin = sys.stdin, open(reading)  # noqa: SIM115
    try:
        options = {"threads": 1, "code": str(tmp_path / "code.py"), "shard_rows": 20, **options}
        return annotate_corpus(tmp_path / "nlp", "-", tmp_path / "out", **options)
    finally:
        sys.stdin.close()
        sys.stdin = before
        if piped is None:
            os.close(writing)


def test_the_standard_input_of_a_run_that_goes_on(corpus, tmp_path):
    rows = (tmp_path / "rows.jsonl").read_bytes()
    asked = []

    def soon():
        asked.append(1)
        return len(asked) > 3

    assert not run_piped(tmp_path, None, stop=soon).is_finished  # though nobody ever writes to it
    seen = []
    stop = {"on_progress": seen.append, "stop": lambda: bool(seen and seen[-1].rows)}
    assert not run_piped(tmp_path, rows, **stop).is_finished
    for others in (rows[:-9], rows + b"{}\n", b"{}\n"):
        with pytest.raises(ValueError, match="E858"):
            run_piped(tmp_path, others, resume=True)
    assert (tmp_path / "out" / ".run" / "stdin.jsonl").read_bytes() == rows
    assert run_piped(tmp_path, b"", resume=True).rows == 50
    assert run_piped(tmp_path, rows, resume=True).session_rows == 0


def test_files_of_other_kinds_are_told(corpus, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("a.jsonl", "b.pdf", "c.pdf", "d.bz2"):
        (folder / name).write_bytes((tmp_path / "rows.jsonl").read_bytes())
    options = {"threads": 1, "code": str(tmp_path / "code.py")}
    found = annotate_corpus(tmp_path / "nlp", folder, tmp_path / "out", **options)
    assert found.rows == 50 and found.passed_by == {".pdf": 2, ".bz2": 1}
