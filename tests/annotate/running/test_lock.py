import json
import os
import signal
import subprocess
import sys

import pytest

from spacy_llm_tasks.annotate.running import lock
from spacy_llm_tasks.annotate.running.lock import FolderLock, start_time

HOLD = """
import sys
from pathlib import Path
from spacy_llm_tasks.annotate.running.lock import FolderLock

with FolderLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_another_process_is_refused_until_the_owner_is_dead(tmp_path, holder):
    path = tmp_path / "lock"
    with pytest.raises(ValueError, match=rf"E840.*process {holder.pid} on"):
        with FolderLock(path):
            pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert json.loads(path.read_text())["pid"] == holder.pid  # it had no time to tidy up
    with FolderLock(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert path.read_text() == ""
    with FolderLock(path):
        pass


def test_one_process_takes_it_once(tmp_path):
    with FolderLock(tmp_path / "lock"):
        with pytest.raises(ValueError, match="E840"):
            with FolderLock(tmp_path / "lock"):
                pass


def test_without_locks_of_the_system_the_owner_in_the_file_counts(tmp_path, monkeypatch, holder):
    fcntl = pytest.importorskip("fcntl")

    def unsupported(file, how):
        raise OSError(lock.errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    path = tmp_path / "lock"
    with pytest.raises(ValueError, match=f"process {holder.pid}"):
        with FolderLock(path):
            pass
    owner = json.loads(path.read_text())
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(json.dumps({**owner, "host": "another-machine"}))
    with pytest.raises(ValueError, match="another-machine"):
        with FolderLock(elsewhere):
            pass
    # A later process of the same number is not the owner.
    reused = tmp_path / "reused"
    reused.write_text(json.dumps({**owner, "started": owner["started"] - 1}))
    with FolderLock(reused):
        pass
    holder.kill()
    holder.wait()
    with FolderLock(path):
        pass
    (tmp_path / "torn").write_text('{"host": "ano')
    with FolderLock(tmp_path / "torn"):
        pass


def test_start_time(tmp_path):
    assert start_time(os.getpid()) == start_time(os.getpid()) is not None
    assert start_time(2**30) is None
