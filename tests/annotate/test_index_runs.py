"""Runs that make a search index on the way."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest
import spacy
from pipeline import toys
from typer.testing import CliRunner

from spacy_llm_tasks.annotate import annotate_corpus
from spacy_llm_tasks.annotate.run import ENTRIES, OWN_FOLDER
from spacy_llm_tasks.cli import app
from spacy_llm_tasks.indexing import open_index, similarity_of
from spacy_llm_tasks.search import SearchIndex

ROWS, SHARD_ROWS = 400, 20
OPTIONS = {"threads": 1, "shard_rows": SHARD_ROWS, "batch_rows": 8, "index": "sent"}


def write_rows(path, n=ROWS):
    texts = [f"{toys.TEXTS[i % 2]} It is {i} . {toys.TEXTS[(i + 1) % 2]}" for i in range(n)]
    rows = [{"id": f"d{i}", "text": text, "n": i} for i, text in enumerate(texts)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    nlp = toys.empty_pipeline(toys.save_tokenizer(folder / "tokenizer"), window=30, stride=20)
    for factory in ("trf_ner", "trf_similarity"):
        nlp.add_pipe(factory)
    toys.overfit(nlp, steps=30)
    nlp.to_disk(folder / "nlp")
    write_rows(folder / "rows.jsonl")
    return folder


def contents(folder, nlp):
    with open_index(nlp, folder / "index") as index:
        queries = ["Marta sails to a bay", "It is 77 .", "Who left ?"]
        vectors = similarity_of(nlp).embed(queries)
        hits = index.search(vectors, k=5, texts=queries)
        found = [(hit.entry, hit.score, hit.cosine) for row in hits for hit in row]
        return list(index.entries()), index.vectors.tobytes(), index.rows().tolist(), found


def test_a_pipeline_without_embeddings_is_refused_before_anything_is_done(tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer", name="cutter")
    nlp.to_disk(tmp_path / "nlp")
    write_rows(tmp_path / "rows.jsonl", 3)
    arguments = (tmp_path / "nlp", tmp_path / "rows.jsonl", tmp_path / "out")
    with pytest.raises(ValueError, match="E855.*trf_similarity.*it has: cutter"):
        annotate_corpus(*arguments, index="doc")
    with pytest.raises(ValueError, match="E601.*unit.*paragraph"):
        annotate_corpus(*arguments, index="paragraph")
    with pytest.raises(ValueError, match="E601.*precision.*int2"):
        annotate_corpus(*arguments, index="doc", index_precision="int2")
    command = ["annotate", *map(str, arguments[:2]), "--output", str(tmp_path / "out"), "--index"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1 and "E855" in result.output and "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_run_that_is_stopped_goes_on_to_the_same_index(corpus, tmp_path):
    nlp = spacy.load(corpus / "nlp")
    arguments = (corpus / "nlp", corpus / "rows.jsonl")
    calm = annotate_corpus(*arguments, tmp_path / "calm", **OPTIONS)
    expected = contents(tmp_path / "calm", nlp)
    assert calm.index_entries == len(expected[0]) == 3 * ROWS
    assert list(dict.fromkeys(entry.doc_id for entry in expected[0])) == [
        f"d{i}" for i in range(ROWS)
    ]
    assert list((tmp_path / "calm" / OWN_FOLDER / ENTRIES).iterdir()) == []
    with SearchIndex.open(tmp_path / "calm" / "index") as index:
        assert [hit.entry.doc_id for hit in index.search(texts="77")[0]] == ["d77"]

    seen = []
    out = tmp_path / "out"
    stopped = annotate_corpus(
        *arguments,
        out,
        workers=2,
        on_progress=seen.append,
        stop=lambda: bool(seen and seen[-1].rows > ROWS / 4),
        **OPTIONS,
    )
    assert not stopped.is_finished and stopped.index_entries < 3 * ROWS
    with pytest.raises(ValueError, match="setting index: 'sent' -> 'doc'"):
        annotate_corpus(*arguments, out, resume=True, **{**OPTIONS, "index": "doc"})
    (out / "part-00000.parquet").unlink()  # it is made again, and is in the index already
    found = annotate_corpus(*arguments, out, resume=True, **OPTIONS)
    assert found.is_finished and found.index_entries == 3 * ROWS
    assert contents(out, nlp) == expected
    assert json.loads((out / "summary.json").read_text())["index_entries"] == 3 * ROWS
    shutil.rmtree(out / "index")
    with pytest.raises(ValueError, match="E857"):
        annotate_corpus(*arguments, out, resume=True, **OPTIONS)


def start(corpus, output):
    command = [sys.executable, "-m", "spacy_llm_tasks", "annotate", str(corpus / "nlp")]
    command += [str(corpus / "rows.jsonl"), "--output", str(output), "--workers", "1", "--resume"]
    command += ["--threads", "1", "--shard-rows", str(SHARD_ROWS), "--batch-rows", "8"]
    return subprocess.Popen(
        [*command, "--index", "--index-unit", "sent"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills processes")
def test_killed_while_it_writes_the_index(corpus, tmp_path):
    nlp = spacy.load(corpus / "nlp")
    calm, out = tmp_path / "calm", tmp_path / "out"
    annotate_corpus(corpus / "nlp", corpus / "rows.jsonl", calm, **OPTIONS)
    journal = out / OWN_FOLDER / "journal.jsonl"
    # SQLite has this file while it changes the other one.
    changing = out / "index" / "entries.sqlite-journal"
    within = 0
    for n_shards in (0, 4, 8):
        run = start(corpus, out)
        until = time.monotonic() + 120
        while not (lines_of(journal) >= n_shards and changing.exists()):
            assert time.monotonic() < until and run.poll() is None, run.stderr.read()
        run.kill()
        run.wait()
        within += changing.exists()
    assert within and lines_of(journal) < ROWS / SHARD_ROWS
    last = start(corpus, out)
    _, told = last.communicate(timeout=300)
    assert last.returncode == 0, told
    assert contents(out, nlp) == contents(calm, nlp)
    for part in sorted(calm.glob("part-*")):
        assert (out / part.name).read_bytes() == part.read_bytes()


def lines_of(journal):
    return journal.read_bytes().count(b"\n") if journal.exists() else 0
