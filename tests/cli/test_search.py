"""`search` and `ask`: from files to an index, and from a question to texts and answers."""

import json

import pytest
from pipeline import toys
from typer.testing import CliRunner

from spacy_llm_tasks.cli import app

TEXTS = [*toys.TEXTS, "The bay is old .", "Ivo and Marta met in Vask ."]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    nlp = toys.empty_pipeline(toys.save_tokenizer(folder / "tokenizer"), window=30, stride=20)
    for factory in ("trf_ner", "trf_similarity", "trf_qa"):
        nlp.add_pipe(factory)
    toys.overfit(nlp, steps=30)
    nlp.to_disk(folder / "model")
    return folder / "model"


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.jsonl"
    rows = [{"id": f"t{i}", "text": text, "year": 1990 + i} for i, text in enumerate(TEXTS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf8")
    return path


def run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def rows(output):
    return [json.loads(line) for line in output.splitlines()]


def test_a_text_finds_itself(pipeline, texts, tmp_path):
    index = tmp_path / "my.index"
    assert "has 4" in run("search", "add", pipeline, index, texts)
    for options in ([], ["--hybrid"], ["--exact"]):
        found = rows(run("search", "query", pipeline, index, TEXTS[1], "-k", 2, "--json", *options))
        assert len(found) == 2 and found[0]["id"] == "t1"
        assert found[0]["text"] == TEXTS[1] and found[0]["cosine"] == pytest.approx(1.0, abs=1e-4)


def test_a_document_of_the_same_id_is_replaced(pipeline, texts, tmp_path):
    index = tmp_path / "my.index"
    run("search", "add", pipeline, index, texts)
    texts.write_text(json.dumps({"id": "t2", "text": "Brandt left ."}) + "\n", encoding="utf8")
    assert "has 4" in run("search", "add", pipeline, index, texts)
    assert "Brandt left" in run("search", "query", pipeline, index, "Brandt left .", "-k", 1)


@pytest.mark.parametrize("unit, least", [("sent", 4), ("ent", 5)])
def test_sentences_and_entities(pipeline, texts, tmp_path, unit, least):
    index = tmp_path / "my.index"
    run("search", "add", pipeline, index, texts, "--unit", unit)
    found = rows(run("search", "query", pipeline, index, "Ivo", "-k", 50, "--json"))
    assert len(found) >= least and all(":" in row["id"] for row in found)


def test_filters(pipeline, texts, tmp_path):
    index = tmp_path / "my.index"
    run("search", "add", pipeline, index, texts)
    found = rows(
        run("search", "query", pipeline, index, "bay", "--label", "PERSON=Ivo Brandt", "--json")
    )
    assert [row["id"] for row in found] == ["t1"]


def test_near_copies(pipeline, tmp_path):
    for name, text in (("a", TEXTS[0]), ("b", TEXTS[0]), ("c", TEXTS[1])):
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf8")
    index = tmp_path / "my.index"
    run("search", "add", pipeline, index, *(tmp_path / f"{name}.txt" for name in "abc"))
    assert run("search", "mine", index, "--threshold", 0.9999).split()[1:3] == ["a", "b"]
    assert run("search", "mine", index, "--threshold", 0.9999, "--groups").split() == ["a", "b"]


def test_an_index_of_another_pipeline_is_refused(pipeline, texts, tmp_path):
    import spacy

    index = tmp_path / "my.index"
    run("search", "add", pipeline, index, texts)
    nlp = spacy.load(pipeline)
    nlp.update(toys.examples(nlp), sgd=nlp.resume_training())
    nlp.to_disk(tmp_path / "other")
    result = CliRunner().invoke(app, ["search", "query", str(tmp_path / "other"), str(index), "x"])
    assert result.exit_code == 1 and "E607" in result.output


def test_ask_files_and_an_index(pipeline, texts, tmp_path):
    question = toys.QUESTIONS[0][0][1]
    found = rows(run("ask", pipeline, question, texts, "--json", "--top", 50))
    assert {"Lorne Bay"} <= {row["text"] for row in found}
    for row in found:
        text = TEXTS[int(row["id"][1:])]
        assert text[row["start_char"] : row["end_char"]] == row["text"]
    assert [row["score"] for row in found] == sorted((r["score"] for r in found), reverse=True)
    index = tmp_path / "my.index"
    run("search", "add", pipeline, index, texts)
    narrow = rows(run("ask", pipeline, question, "--corpus", index, "--retrieve", 2, "--json"))
    assert len(narrow) <= 2 and {row["id"] for row in narrow} <= {row["id"] for row in found}


@pytest.mark.parametrize(
    "arguments, code",
    [
        (["why ?"], "E526"),
        (["", "{texts}"], "E435"),
        (["why ?", "missing.jsonl"], "E310"),
    ],
)
def test_bad_requests_are_explained(pipeline, texts, arguments, code):
    filled = [argument.format(texts=texts) for argument in arguments]
    result = CliRunner().invoke(app, ["ask", str(pipeline), *filled])
    assert result.exit_code == 1 and code in result.output


def test_a_bad_line_is_named(pipeline, tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "one"}\n{"words": "two"}\n', encoding="utf8")
    result = CliRunner().invoke(app, ["ask", str(pipeline), "why ?", str(path)])
    assert result.exit_code == 1 and "E525" in result.output and "line 2" in result.output
