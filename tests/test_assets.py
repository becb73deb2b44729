import importlib.util
import json
from pathlib import Path

import pytest
import spacy
from typer.testing import CliRunner

from spacy_llm_tasks import annotations
from spacy_llm_tasks.corpora.files import read_docs

ROOT = Path(__file__).parent.parent / "assets"


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("assets_build", ROOT / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def corpus(build):
    return build.load(ROOT / "corpus")


def document(topic, number, text=None):
    text = (
        text
        or f"[Ida Moss|PERSON#1] runs [Moss {topic}|ORG#2] well. Day {number} passed. All is quiet."
    )
    return (
        f"## {topic}-{number:02}\ntopic: {topic}\n{text}\n@rel 1 WORKS_FOR 2\n"
        f"@q Who runs it? => Ida Moss\n@q What passed? => Day {number}\n@pair 0.1 Rain fell.\n\n"
    )


@pytest.fixture
def small(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    for topic in ("arts", "business"):
        text = "".join(document(topic, number) for number in range(1, 10))
        (folder / f"{topic}.txt").write_text(text)
    return folder


def run(build, *arguments):
    import typer

    app = typer.Typer()
    app.command()(build.main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_corpus_has_no_mistake(corpus):
    assert [str(problem) for problem in corpus[1]] == []


def test_the_corpus_is_whole(build, corpus):
    documents = corpus[0]
    assert len(documents) >= 240
    parts = build.split(documents)
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 160,
        "dev": 40,
        "test": 40,
    }
    for name, part in parts.items():
        assert {document.topic for document in part} == set(build.TOPICS), name
        labels = {relation.label for document in part for relation in document.relations}
        assert labels == set(build.SCHEMA.relations), name
    heights = [score for document in documents for score, _, _ in document.pairs]
    assert min(heights) <= 0.2 and max(heights) >= 0.8 and any(0.3 <= s <= 0.7 for s in heights)


def test_an_incomplete_corpus_is_split_by_topic_and_number(build, small, tmp_path):
    output = tmp_path / "out"
    result = run(build, "--corpus", small, "--output", output)
    assert result.exit_code == 0, result.output
    texts = {
        name: [json.loads(line)["text"] for line in (output / f"{name}.jsonl").open()]
        for name in ("train", "dev", "test")
    }
    assert {name: len(part) for name, part in texts.items()} == {"train": 12, "dev": 3, "test": 3}
    # business comes before arts, whatever the names of the files
    assert "Moss business well. Day 3 " in texts["dev"][0]
    assert "Moss arts well. Day 3 " in texts["test"][1]
    docs = list(read_docs(output / "train.spacy", spacy.blank("en").vocab))
    assert [doc.text for doc in docs] == texts["train"]
    for doc in docs:
        assert [relation.label for relation in doc._.relations] == ["WORKS_FOR"]
        assert len(doc.cats) == 6 and sum(doc.cats.values()) == 1.0
        for question in annotations.get_questions(doc):
            assert doc.text.startswith(question.answers[0].text, question.answers[0].start)
    assert "relation WORKS_FOR" in result.output and "topic arts" in result.output


def test_check_writes_nothing(build, small, tmp_path):
    result = run(build, "--corpus", small, "--output", tmp_path / "out", "--check")
    assert result.exit_code == 0 and not (tmp_path / "out").exists()


def test_a_mistake_stops_the_build(build, small, tmp_path):
    (small / "sports.txt").write_text(
        document("sports", 1, "[Ida Moss|PERSON#1] [X|ORG#2]. One. Ida Moss.")
    )
    result = run(build, "--corpus", small, "--output", tmp_path / "out")
    assert result.exit_code == 1 and not (tmp_path / "out").exists()
    assert f"{small / 'sports.txt'}:3: 'Ida Moss' is marked PERSON elsewhere" in result.output


def test_no_texts_is_an_error(build, tmp_path):
    result = run(build, "--corpus", tmp_path)
    assert result.exit_code == 1 and "No .txt file" in result.output
