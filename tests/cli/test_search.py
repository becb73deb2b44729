"""`search` and `ask`: from files to an index, and from a question to texts and answers."""

import json
from pathlib import Path

import pytest
import spacy
from pipeline import toys
from typer.testing import CliRunner

from spacy_llm_tasks.cli import app
from spacy_llm_tasks.indexing import fingerprint
from spacy_llm_tasks.search import SearchIndex

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
    facts = [{"id": f"t{i}", "text": text, "year": 1990 + i} for i, text in enumerate(TEXTS)]
    return write_rows(path, *facts)


def run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    return " ".join(result.output.split())


def write_rows(path, *rows):
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf8")
    return path


def entries(index):
    with SearchIndex.open(index) as found:
        return list(found.entries())


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
    copies = [(tmp_path / f"{name}.txt").as_posix() for name in "ab"]
    assert run("search", "mine", index, "--threshold", 0.9999).split()[1:3] == copies
    assert run("search", "mine", index, "--threshold", 0.9999, "--groups").split() == copies


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


def test_files_of_the_same_name_are_documents_of_their_own(pipeline, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder, text in zip("ab", TEXTS, strict=False):
        Path(folder).mkdir()
        Path(folder, "x.txt").write_text(text, encoding="utf8")
        write_rows(Path(folder, "t.jsonl"), {"text": text}, {"id": None, "text": text})
        # a blank line does not change what the lines after it are called
        with open(f"{folder}/t.jsonl", "a", encoding="utf8") as file:
            file.write('\n{"id": "", "text": "Ivo"}\n')
    files = ["a/x.txt", "b/x.txt", "a/t.jsonl", "b/t.jsonl"]
    assert "Wrote 8 entries; the index ix has 8" in run("search", "add", pipeline, "ix", *files)
    expected = ["a/x.txt", "b/x.txt"]
    expected += [f"{folder}/t.jsonl:{line}" for folder in "ab" for line in (1, 2, 4)]
    assert [entry.id for entry in entries("ix")] == expected
    assert "has 8" in run("search", "add", pipeline, "ix", *reversed(files), "./a/x.txt")


@pytest.mark.parametrize("unit", ["doc", "sent"])
@pytest.mark.parametrize("docs_per_write", [1, 2, 256])
def test_of_documents_with_the_same_id_the_last_stays(
    pipeline, tmp_path, monkeypatch, unit, docs_per_write
):
    monkeypatch.setattr("spacy_llm_tasks.indexing.DOCS_PER_WRITE", docs_per_write)
    first, last = {"id": 1, "text": "Marta left . Ivo left ."}, {"id": "1", "text": "Vask ."}
    path = write_rows(tmp_path / "a.jsonl", first, {"id": "b", "text": "Pell ."}, first, last)
    found = run("search", "add", pipeline, tmp_path / "ix", path, "--unit", unit)
    assert "Wrote 2 entries" in found and "has 2" in found and "same id: 2" in found
    assert {(entry.doc_id, entry.text) for entry in entries(tmp_path / "ix")} == {
        ("1", "Vask ."),
        ("b", "Pell ."),
    }


def test_places_are_those_in_the_file(pipeline, tmp_path):
    path = tmp_path / "crlf.txt"
    text = TEXTS[0].replace(" from", "\r\nfrom")
    path.write_bytes(text.encode())
    (found,) = rows(run("ask", pipeline, toys.QUESTIONS[0][0][1], path, "--json", "--top", 1))
    assert found["start_char"] > text.index("\r\n")
    assert text[found["start_char"] : found["end_char"]] == found["text"]


def test_a_byte_order_mark_is_no_part_of_a_line(pipeline, tmp_path):
    path = tmp_path / "bom.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps({"id": "x", "text": TEXTS[0]}).encode())
    run("search", "add", pipeline, tmp_path / "ix", path)
    assert [(entry.id, entry.text) for entry in entries(tmp_path / "ix")] == [("x", TEXTS[0])]


@pytest.mark.parametrize(
    "name, data, said",
    [
        ("a.jsonl", b'{"text": "one"}\n{"text": "tw\n', ["E525", "a.jsonl, line 2:", "line 1"]),
        ("a.jsonl", b'{"text": "one"}\n{"text": "K\xf6ln"}\n', ["E525", "a.jsonl, line 2"]),
        ("a.jsonl", b'{"text": "one", "id": [1]}\n', ["E525", "a.jsonl, line 1"]),
        ("a.jsonl", b'{"text": "one", "id": true}\n', ["E525", "a.jsonl, line 1"]),
        ("a.txt", b"K\xf6ln", ["E312", "a.txt"]),
        ("a.txt", b"", ["E311", "a.txt"]),
        ("a.jsonl", b"\n", ["E620", "'sent'"]),
    ],
)
def test_nothing_is_left_of_a_new_index_without_entries(
    pipeline, texts, tmp_path, monkeypatch, name, data, said
):
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(data)
    found = refused("search", "add", pipeline, "ix", name, "--unit", "sent")
    assert all(part in found for part in said)
    assert not Path("ix").exists()
    run("search", "add", pipeline, "ix", texts)
    refused("search", "add", pipeline, "ix", name, "missing.txt")
    assert len(entries("ix")) == len(TEXTS)


@pytest.mark.parametrize(
    "option, other, default", [("--unit", "sent", "doc"), ("--precision", "int8", "float32")]
)
def test_unit_and_precision_of_an_index_stay(pipeline, texts, tmp_path, option, other, default):
    index = tmp_path / "my.index"
    run("search", "add", pipeline, index, texts, option, other)
    run("search", "add", pipeline, index, texts)
    run("search", "add", pipeline, index, texts, option, other)
    found = refused("search", "add", pipeline, index, texts, option, default)
    assert "E621" in found and repr(other) in found and repr(default) in found


def test_a_graph_stays(pipeline, texts, tmp_path, monkeypatch):
    pytest.importorskip("usearch")
    index = tmp_path / "my.index"
    found = run("search", "add", pipeline, index, texts, "--graph")
    assert "No graph was built" in found and "Recall" not in found
    monkeypatch.setitem(SearchIndex.open.__func__.__kwdefaults__, "exact_below", 2)
    assert "Recall" in run("search", "add", pipeline, index, texts, "--graph")
    (graph,) = index.glob("graph-*")
    more = write_rows(tmp_path / "more.jsonl", {"id": "m", "text": "Pell ."})
    found = run("search", "add", pipeline, index, more)
    assert "covers 4 of 5" in found and "Recall" in found and graph.exists()
    assert "covers" not in run("search", "add", pipeline, index, more, "--graph")
    assert "Recall" not in run("search", "add", pipeline, index, more, "--no-graph")
    assert not list(index.glob("graph-*"))


def test_settings_that_change_vectors_change_the_fingerprint(pipeline):
    import spacy

    def of(**settings):
        return fingerprint(spacy.load(pipeline, config=settings))

    known = of()
    assert of() == known
    for changing in (
        {"components.trf_similarity.model.pooling": "cls"},
        {"components.trf_similarity.keep": 8},
        {"components.transformer.model.window": 20},
    ):
        assert of(**changing) != known
    for harmless in (
        {"components.trf_similarity.model.dropout": 0.3},
        {"components.transformer.model.precision": "int8"},
    ):
        assert of(**harmless) == known


def test_answers_out_of_an_index_have_their_place_in_the_document(pipeline, tmp_path):
    text = f"Ivo left . {TEXTS[0]}"
    path = write_rows(tmp_path / "a.jsonl", {"id": "d", "text": text})
    index = tmp_path / "my.index"
    run("search", "add", pipeline, index, path, "--unit", "sent")
    question = toys.QUESTIONS[0][0][1]
    found = rows(run("ask", pipeline, question, "--corpus", index, "--json"))
    assert any(row["start_char"] > len("Ivo left .") for row in found)
    for row in found:
        assert row["id"] == "d"
        assert text[row["start_char"] : row["end_char"]] == row["text"]


def test_entities_are_not_asked(pipeline, texts, tmp_path):
    run("search", "add", pipeline, tmp_path / "ix", texts, "--unit", "ent")
    assert "E622" in refused("ask", pipeline, "Who ?", "--corpus", tmp_path / "ix")


def test_a_category_without_a_number(pipeline, texts, tmp_path):
    run("search", "add", pipeline, tmp_path / "ix", texts)
    found = refused("search", "query", pipeline, tmp_path / "ix", "bay", "--cat", "story=abc")
    assert "E612" in found and "'story'" in found and "'abc'" in found


def test_texts_of_any_length(pipeline, texts, tmp_path, monkeypatch):
    """spaCy's limit on characters is there for other parsers."""
    load = spacy.load

    def load_with_limit(*args, **kwargs):
        nlp = load(*args, **kwargs)
        nlp.max_length = 5
        return nlp

    monkeypatch.setattr(spacy, "load", load_with_limit)
    assert "entries" in run("search", "add", pipeline, tmp_path / "index", texts)
    run("ask", pipeline, "Who sails ?", texts)


def test_documents_are_removed(pipeline, texts, tmp_path):
    index = tmp_path / "my.index"
    run("search", "add", pipeline, index, texts, "--unit", "sent")
    assert {entry.doc_id for entry in entries(index)} == {"t0", "t1", "t2", "t3"}
    found = refused("search", "remove", index, "t1", "t9")
    assert "E623" in found and "'t9'" in found and len(entries(index)) == 4
    (one,) = (entry.id for entry in entries(index) if entry.doc_id == "t3")
    assert "Removed 2 entries" in run("search", "remove", index, "t1", one, "t1")
    assert {entry.doc_id for entry in entries(index)} == {"t0", "t2"}
