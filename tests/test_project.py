"""project.yml and .ci/run: what they call exists, and what they make is ignored by git."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import srsly
import yaml
from spacy.util import load_config
from typer.main import get_command
from weasel.cli.run import load_project_config

from spacy_llm_tasks.cli import app

ROOT = Path(__file__).parent.parent
PROJECT = yaml.safe_load((ROOT / "project.yml").read_text(encoding="utf8"))
COMMANDS = {command["name"]: command for command in PROJECT["commands"]}


def filled(text):
    return re.sub(r"\$\{vars\.(\w+)\}", lambda m: str(PROJECT["vars"][m.group(1)]), text)


def test_workflows_name_commands():
    benches = {f"bench-{name}" for name in ("ner", "textcat", "relation", "similarity", "qa", "zh")}
    assert set(PROJECT["workflows"]) == {"all", "scratch", "sharing", *benches}
    for steps in PROJECT["workflows"].values():
        assert set(steps) <= set(COMMANDS)
    assert PROJECT["workflows"]["all"][0] == "weights"


def test_each_task_is_trained_alone_as_it_is_together():
    """On the same data, for as many steps, and scored on the same test data."""
    steps = PROJECT["workflows"]["sharing"]
    assert steps[:6] == PROJECT["workflows"]["all"][:6] and steps[-1] == "report-sharing"
    together = [script for name in ("train", "evaluate") for script in COMMANDS[name]["script"]]
    tasks = []
    for step in steps[6:-1]:
        task = COMMANDS[step]["script"][0].split("--only ")[1].split()[0]
        alone = [script.replace(f" --only {task}", "") for script in COMMANDS[step]["script"]]
        assert f"metrics/single/{task}.json" in alone[1].split()
        assert [script.replace(f"single/{task}", "${vars.name}") for script in alone] == together
        tasks.append(task)
    pipeline = load_config(ROOT / PROJECT["vars"]["config"])["nlp"]["pipeline"]
    assert tasks == pipeline[1:]


@pytest.mark.parametrize("name", COMMANDS)
def test_scripts_call_commands_that_exist(name):
    known = get_command(app).commands
    for script in COMMANDS[name]["script"]:
        words = shlex.split(filled(script))
        assert words[0] == "python"
        if words[1:3] != ["-m", "spacy_llm_tasks"]:
            assert words[1:4] == ["-m", "spacy", "apply"] or (ROOT / words[1]).is_file()
            continue
        command = known[words[3]]
        rest = words[4:]
        if words[3] in ("weights", "tokenizer"):
            command, rest = command.commands[rest[0]], rest[1:]
        options = {option for param in command.params for option in param.opts}
        for word in rest:
            if word.startswith("--") and "." not in word:
                assert word in options, f"{name}: {word}"


def test_documented_runs_name_the_folder_before_settings():
    """Without it, `spacy project run` takes the first setting for the folder of the project."""
    texts = [(ROOT / name).read_text(encoding="utf8") for name in ("README.md", "CONTRIBUTING.md")]
    runs = re.findall(
        r"project run ([^`\n]*--vars[^`]*)", "\n".join([*texts, PROJECT["description"]])
    )
    assert len(runs) >= 2
    for run in runs:
        workflow, folder, first = run.split()[:3]
        assert folder == "." and first.startswith("--vars."), run


def test_files_are_read_as_they_are_meant():
    """Filled in by what runs the project, and by hand."""
    for command in load_project_config(ROOT)["commands"]:
        for kind in ("deps", "outputs"):
            meant = [filled(path) for path in COMMANDS[command["name"]].get(kind, [])]
            assert command.get(kind, []) == meant


def test_every_variable_is_used_and_set():
    text = (ROOT / "project.yml").read_text(encoding="utf8")
    used = set(re.findall(r"\$\{vars\.(\w+)\}", text))
    assert used == set(PROJECT["vars"])


def test_what_is_shipped_is_there():
    for name in ("config", "sample"):
        assert (ROOT / PROJECT["vars"][name]).is_file()
    for line in srsly.read_jsonl(ROOT / PROJECT["vars"]["sample"]):
        assert line["text"]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a clone")
def test_everything_a_run_makes_is_ignored_by_git():
    made = [filled(path) for c in COMMANDS.values() for path in c.get("outputs", [])]
    made += [f"{folder}/x" for folder in PROJECT["directories"]]
    made += ["project.lock", "packages/x", "training/tasks/checkpoints/x"]
    found = subprocess.run(
        ["git", "check-ignore", "--stdin"],
        input="\n".join(made),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert set(found.stdout.split("\n")) - {""} == set(made)


def test_the_checks_of_a_clean_clone():
    path = ROOT / ".ci" / "run"
    assert os.access(path, os.X_OK)
    text = path.read_text(encoding="utf8")
    assert "set -euo pipefail" in text
    for piece in ('pip install -q -c constraints.txt -e ".[dev]"', "ruff check", "mypy", "pytest"):
        assert piece in text
    assert "../shared" not in text
    if shutil.which("bash"):
        subprocess.run(["bash", "-n", str(path)], check=True)


@pytest.mark.slow
def test_the_quick_start_at_a_small_size(tmp_path):
    """Needs the weights: from the cache, from weights/minilm-l6 here, or from the network."""
    copied = ("project.yml", "pyproject.toml", "constraints.txt", "assets", "spacy_llm_tasks")
    for name in copied:
        source, target = ROOT / name, tmp_path / name
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    if (ROOT / "weights" / "minilm-l6").is_dir():
        shutil.copytree(ROOT / "weights" / "minilm-l6", tmp_path / "weights" / "minilm-l6")
    sizes = ["--vars.max_steps", "4", "--vars.eval_frequency", "2"]
    sizes += ["--vars.continued_steps", "2", "--vars.probe_steps", "2"]
    run = [sys.executable, "-m", "spacy", "project", "run", "all", str(tmp_path), *sizes]
    subprocess.run(run, cwd=tmp_path, check=True)
    scores = srsly.read_json(tmp_path / "metrics" / "tasks.json")
    assert {"ents_f", "cats_score"} <= set(scores)
    assert "ents_f" in (tmp_path / "metrics" / "report.md").read_text(encoding="utf8")
    n_sample = len(list(srsly.read_jsonl(ROOT / PROJECT["vars"]["sample"])))
    assert len(list(srsly.read_jsonl(tmp_path / "output" / "tasks.jsonl"))) == n_sample
    again = subprocess.run(run, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert again.stdout.count("nothing changed") == 8
    subprocess.run(["sharing" if word == "all" else word for word in run], cwd=tmp_path, check=True)
    page = (tmp_path / "metrics" / "sharing.md").read_text(encoding="utf8")
    for task in ("trf_ner", "trf_relation", "trf_textcat", "trf_similarity", "trf_qa"):
        assert f"| {task} |" in page
