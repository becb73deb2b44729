"""The README: its commands exist, its examples run, and what it shows is what they print."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import spacy
from pipeline import toys
from typer.main import get_command
from typer.testing import CliRunner

from spacy_llm_tasks.cli import app

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf8")
MODEL = ROOT / "training" / "tasks" / "model-best"
INSTALL = [
    "pip install -c constraints.txt -e . && spacy project run all",
    'pip install -c constraints.txt -e ".[dev]" && pytest',
]


def block(name):
    """The code block below the comment that carries a name."""
    found = re.search(rf"<!-- {name} -->\n```\w*\n(.*?)```", TEXT, re.S)
    assert found, f"README.md has no block '{name}'"
    return found.group(1)


def test_the_two_commands_stand_on_lines_of_their_own():
    lines = [line.strip() for line in TEXT.splitlines()]
    assert [line for line in lines if line.startswith("pip install -c") and "&&" in line] == INSTALL


def test_the_commands_exist():
    known = get_command(app).commands
    lines = re.findall(r"^    python -m spacy_llm_tasks (.+)$", TEXT, re.M)
    assert len(lines) >= 6
    for line in lines:
        words = shlex.split(line)
        command, rest = known[words[0]], words[1:]
        if hasattr(command, "commands"):
            command, rest = command.commands[rest[0]], rest[1:]
        options = {option for param in command.params for option in param.opts}
        for word in rest:
            if word.startswith("--") and "." not in word:
                assert word in options, line


def test_the_files_exist():
    for name in re.findall(r"\]\((\w[\w./]*)\)", TEXT):
        assert (ROOT / name).is_file(), name
    for name in re.findall(r"^\| `(\w+\.cfg)`", TEXT, re.M):
        assert (ROOT / "spacy_llm_tasks" / "configs" / name).is_file(), name


def test_the_factories_exist():
    nlp = spacy.blank("en")
    names = re.findall(r"^\| `(trf_\w+)`", TEXT, re.M)
    assert names == [
        "trf_encoder",
        "trf_ner",
        "trf_relation",
        "trf_textcat",
        "trf_similarity",
        "trf_qa",
    ]
    assert all(nlp.has_factory(name) for name in names)


@pytest.mark.parametrize("name", ["example", "task", "annotate", "annotate in Python"])
def test_the_examples_compile(name):
    compile(block(name), name, "exec")


def test_the_example_is_short_and_shows_its_output():
    code = [line for line in block("example").splitlines() if line.strip()]
    assert len(code) <= 12
    assert block("output").strip()


def test_the_task_learns(tmp_path):
    """The class as it stands there, on a small pipeline in place of the trained one."""
    module = {"__name__": "urgency"}
    exec(compile(block("task"), "urgency", "exec"), module)
    nlp = toys.empty_pipeline(toys.save_tokenizer(tmp_path))
    nlp.add_pipe("urgency", config={"near": 0.1})
    examples = toys.examples(nlp)
    for gold, example in zip((0.9, 0.1), examples, strict=True):
        example.reference._.urgency = gold
    optimizer = toys.initialize(nlp, lambda: examples)
    for _ in range(40):
        nlp.update(examples, sgd=optimizer)
    assert nlp.evaluate(examples)["urgency_near"] == 1.0


@pytest.mark.slow
def test_a_corpus_is_annotated_as_shown(tmp_path, monkeypatch, capsys):
    """All of that section, on a small pipeline and two texts."""
    nlp = toys.empty_pipeline(toys.save_tokenizer(tmp_path / "tokenizer"))
    for factory in ("trf_ner", "trf_similarity"):
        nlp.add_pipe(factory)
    toys.overfit(nlp, steps=30)
    (tmp_path / "training" / "mine").mkdir(parents=True)
    nlp.to_disk(tmp_path / "training" / "mine" / "model-best")
    (tmp_path / "texts").mkdir()
    for i, text in enumerate(toys.TEXTS):
        (tmp_path / "texts" / f"{i}.txt").write_text(text, encoding="utf8")
    monkeypatch.chdir(tmp_path)
    section = TEXT.partition("## Annotate a corpus")[2].partition("\n## ")[0]
    lines = re.findall(r"^    python -m spacy_llm_tasks ((?:annotate|search) .+)$", section, re.M)
    here = [line for line in lines if "HOST" not in line]  # a cluster is needed for the other one
    assert len(here) == 4 and len(lines) == 5
    for line in here:
        result = CliRunner().invoke(app, shlex.split(line))
        assert result.exit_code == 0, result.output
    assert "0.txt:0-" in result.output  # what the search has found
    for name in ("summary.json", "report.html", "errors.jsonl", "part-00000.parquet"):
        assert (tmp_path / "annotated" / name).is_file()
    capsys.readouterr()
    exec(compile(block("annotate"), "annotate", "exec"), {})
    shown = capsys.readouterr().out
    assert shown.startswith("0.txt [") and "('Lorne Bay', 'PLACE')" in shown
    (tmp_path / "count.py").write_text(block("annotate in Python"))
    done = subprocess.run([sys.executable, "count.py"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("2 0 {'P"), done.stderr


def run(code):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not MODEL.is_dir(), reason="needs `spacy project run all`")
def test_the_example_prints_what_the_readme_shows():
    assert run(block("example")) == block("output")


@pytest.mark.slow
@pytest.mark.skipif(not MODEL.is_dir(), reason="needs `spacy project run all`")
def test_the_task_runs_on_the_trained_pipeline():
    assert run(block("task")).strip() == "1.0"
