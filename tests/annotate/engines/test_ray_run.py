"""Whole runs on a Ray of this machine, of two workers."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import spacy
from spacy.language import Language

from spacy_llm_tasks.annotate import annotate_corpus
from spacy_llm_tasks.annotate.engines import ray_session

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed"),
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for workers in /proc"),
]
# Documents for every way to fail, in a pipeline that is slow enough to be killed at work.
CODE = """
import os, signal, time
from spacy.language import Language


@Language.component("ray_trouble")
def ray_trouble(doc):
    time.sleep(0.004)
    if doc.text.startswith("raise"):
        raise ValueError("cannot bear it")
    if doc.text.startswith("die"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if doc.text.startswith("sleep"):
        time.sleep(600)
    return doc
"""
ROWS, SHARD_ROWS = 20_000, 100
# By what their command lines have: of the task that reads, of actors, and of the processes below
# them in which documents are annotated.
RUN, READER, ACTOR, CHILD = "run", "ray::Read", "ray::MapWorker", "spawn_main"
KILLS = [READER, ACTOR, CHILD, RUN, ACTOR] * 4
WORDS = "Harbury Oak Mills has sold a new bridge to the old town while others slept".split()


@Language.component("ray_trouble")
def stand_in(doc):
    """The workers have the one of CODE."""
    return doc


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "code.py").write_text(CODE)
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "TOWN", "pattern": "Harbury"}])
    nlp.add_pipe("ray_trouble")
    nlp.to_disk(tmp_path / "nlp")
    return tmp_path


def write_rows(folder, texts):
    rows = ({"id": f"d{i}", "text": text, "n": i} for i, text in enumerate(texts))
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(folder, output, **options):
    return annotate_corpus(
        folder / "nlp",
        folder / "rows.jsonl",
        folder / output,
        workers=2,
        threads=1,
        code=str(folder / "code.py"),
        **{"shard_rows": 20, "batch_rows": 8, **options},
    )


def start(folder, output):
    """The command, in a process that can be killed."""
    command = [sys.executable, "-m", "spacy_llm_tasks", "annotate", folder / "nlp"]
    command += [folder / "rows.jsonl", "--output", folder / output, "--workers", "2"]
    command += ["--code", folder / "code.py", "--shard-rows", SHARD_ROWS, "--threads", "1"]
    command += ["--engine", "ray", "--resume", "--duplicate-ids", "number"]
    with (folder / "told").open("ab") as told:
        return subprocess.Popen([*map(str, command)], stdout=told, stderr=told)


def contents(output):
    names = sorted(path.name for path in output.glob("part-*")) + ["errors.jsonl"]
    return {name: (output / name).read_bytes() for name in names}


def processes():
    """Parent and command line of every process."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if fields[0] != "Z":
            found[int(path.name)] = (int(fields[1]), command)
    return found


def below(pid):
    """All processes that this one has started, and they, with their command lines."""
    everything, found, new = processes(), {}, {pid}
    while new:
        new = {child for child, (parent, _) in everything.items() if parent in new} - set(found)
        found.update({child: everything[child][1] for child in new})
    return found


def lines_of(journal):
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def listening(pid):
    """Addresses and ports at which a process listens, from /proc/PID/net."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            inodes.add(os.readlink(link))
        except OSError:
            continue
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                address, port = fields[1].split(":")
                yield address, int(port, 16)


def test_the_same_files_as_a_local_run_whatever_documents_do(folder):
    texts = [f"Harbury has {i} bridges." for i in range(90)]
    for i, text in {3: "raise", 9: "die at 9", 12: "sleep at 12"}.items():
        texts[i] = text
    write_rows(folder, texts)
    calm = run(folder, "local", seconds=2.0)
    before = signal.getsignal(signal.SIGTERM)
    seen = {}

    def look(progress):
        mine = below(os.getpid())
        if progress.rows and not seen:
            for pid, command in mine.items():
                if "ray" in command:
                    seen.update(dict.fromkeys(listening(pid), command))
                    environment = Path(f"/proc/{pid}/environ").read_bytes()
                    assert b"RAY_USAGE_STATS_ENABLED=0" in environment, command

    found = run(folder, "ray", seconds=2.0, engine="ray", on_progress=look)
    assert found.is_finished and (found.rows, found.errors) == (calm.rows, calm.errors) == (87, 3)
    assert contents(folder / "ray") == contents(folder / "local")
    assert found.labels.ents == calm.labels.ents
    assert found.memory and all(sample["workers"] for sample in found.memory)
    # Nobody else can reach it: all sockets are those of the loopback interface.
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "0" * 24 + "01000000"}
    assert len(seen) >= 4 and {address for address, _ in seen} <= loopback
    assert 8265 not in {port for _, port in seen}  # the dashboard's
    assert signal.getsignal(signal.SIGTERM) == before
    assert not set(os.environ) & {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", *ray_session.OURS}
    # A run that is finished needs no Ray, and one engine goes on with the other's work.
    again = run(folder, "ray", seconds=2.0, engine="ray", resume=True)
    assert again.is_finished and again.session_rows == 0
    (folder / "ray" / "part-00002.parquet").unlink()
    assert run(folder, "ray", seconds=2.0, resume=True).session_rows == 20
    assert contents(folder / "ray") == contents(folder / "local")


def test_a_run_that_is_stopped_goes_on(folder):
    write_rows(folder, [f"Harbury has {i} bridges." for i in range(1000)])
    rows = []
    stopped = run(
        folder,
        "ray",
        engine="ray",
        on_progress=lambda progress: rows.append(progress.rows),
        stop=lambda: bool(rows and rows[-1]),
    )
    assert not stopped.is_finished and 0 < stopped.rows < 1000
    assert run(folder, "ray", engine="ray", resume=True).rows == 1000
    run(folder, "local")
    assert contents(folder / "ray") == contents(folder / "local")
    assert list((folder / "ray" / ".run" / "temporary").iterdir()) == []


def test_a_ray_of_ours_asks_for_its_token(folder):
    write_rows(folder, [f"Harbury has {i} bridges." for i in range(400)])
    told = {}

    def look(progress):
        if progress.rows and not told:
            import ray

            address = ray.get_runtime_context().gcs_address
            for token in (ray_session._token(), "0" * 64):
                told[token] = connect(address, token)

    run(folder, "ray", engine="ray", on_progress=look)
    right, wrong = told.values()
    assert "inside" in right and "inside" not in wrong


def connect(address, token):
    """What a program prints that gets half a minute to connect to Ray."""
    script = f"import ray; ray.init(address={address!r}); print('inside', flush=True)"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    environment.update(
        RAY_AUTH_MODE="token",
        RAY_AUTH_TOKEN=token,
        RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",
        RAY_USAGE_STATS_ENABLED="0",
    )
    command = [sys.executable, "-c", script]
    try:
        return subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, text=True, timeout=30
        ).stdout
    except subprocess.TimeoutExpired as error:
        return (error.stdout or b"").decode()


GPUS = """
import sys
import ray
from spacy_llm_tasks.annotate import annotate_corpus

if __name__ == "__main__":
    # GPUs that the machine does not have, so that who gets one can be seen.
    ray.init(address="local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)
    try:
        annotate_corpus(*sys.argv[1:4], engine="ray", workers=2, threads=1, gpus_per_worker=0.5)
    except ValueError as error:
        print(error)
    print("connected:", ray.is_initialized())
"""


def test_gpus_are_asked_of_a_ray_that_is_there(folder):
    write_rows(folder, ["Harbury"])
    spacy.blank("en").to_disk(folder / "plain")
    (folder / "script.py").write_text(GPUS)
    arguments = [str(folder / name) for name in ("script.py", "plain", "rows.jsonl", "out")]
    told = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **ray_session.OURS, "RAY_AUTH_TOKEN": "0" * 64},
        capture_output=True,
        text=True,
        timeout=200,
    )
    # Two workers share the one, and find that it is none.
    assert "E844" in told.stdout and "GPU" in told.stdout, told.stderr
    assert "connected: True" in told.stdout


def test_gpus_that_are_not_there_are_told(folder):
    write_rows(folder, ["Harbury"])
    with pytest.raises(ValueError, match="E878.*need 128 GPUs"):
        run(folder, "out", engine="ray", gpus_per_worker=64.0)


def test_an_address_where_nobody_is(folder):
    write_rows(folder, ["Harbury"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ValueError, match=f"E876.*{address}"):
        run(folder, "out", engine="ray", ray_address=address)


def test_killed_runs_end_as_undisturbed_ones(folder):
    """Kills at any moment of everything that a run consists of."""
    draw = random.Random(5)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(1, 40))) for _ in range(ROWS)]
    write_rows(folder, texts)
    with (folder / "rows.jsonl").open("a") as file:
        file.write('{broken\n{"id": "d7", "text": "twice"}\n')
    calm = run(folder, "calm", shard_rows=SHARD_ROWS, batch_rows=128, duplicate_ids="number")
    output = folder / "killed"
    journal = output / ".run" / "journal.jsonl"
    process = None
    for kind in KILLS:
        if process is None:
            process = start(folder, "killed")
        # What reads is there for a short time only, and killed as soon as it is seen.
        wanted = 0 if kind == READER else lines_of(journal) + draw.choice([1, 2, 4])
        until = time.monotonic() + 180
        while lines_of(journal) < wanted and process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        victims = [process.pid] if kind == RUN else []
        while not victims and process.poll() is None and time.monotonic() < until:
            victims = [pid for pid, command in below(process.pid).items() if kind in command]
        time.sleep(0 if kind == READER else draw.choice([0, 0.05, 0.3]))
        assert process.poll() is None and victims, (kind, (folder / "told").read_text())
        os.kill(draw.choice(victims), signal.SIGKILL)
        if kind == RUN:
            process.wait()
            process = None
    assert process is not None
    process.wait(timeout=600)
    assert process.returncode == 0, (folder / "told").read_text()
    table = pq.ParquetDataset(sorted(output.glob("part-*.parquet"))).read(columns=["id"])
    ids = table.column("id").to_pylist()
    assert len(ids) == len(set(ids)) == calm.rows == ROWS + 1
    assert contents(output) == contents(folder / "calm")
    summary = json.loads((output / "summary.json").read_text())
    assert (summary["rows"], summary["errors"]) == (calm.rows, calm.errors) == (ROWS + 1, 1)
    assert summary["labels"]["ents"] == dict(calm.labels.ents)
    assert [json.loads(line)["number"] for line in journal.open()].count(0) == 1
