import json
import xml.etree.ElementTree as ET

import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span
from typer.testing import CliRunner

from spacy_llm_tasks.annotations import set_relations
from spacy_llm_tasks.cli import app

TEXT = "Ida left Brask ."


def render(*arguments):
    return CliRunner().invoke(app, ["render", *map(str, arguments)])


@pytest.fixture
def spacy_file(tmp_path):
    vocab = spacy.blank("en").vocab
    box = DocBin(store_user_data=True)
    for _ in range(3):
        doc = Doc(vocab, words=TEXT.split())
        doc.ents = [Span(doc, 0, 1, label="PERSON"), Span(doc, 2, 3, label="ORG")]
        doc.spans["more"] = [Span(doc, 0, 3, label="EVENT")]
        set_relations(doc, [(doc.ents[0], doc.ents[1], "LEFT", 0.8)])
        box.add(doc)
    box.to_disk(tmp_path / "docs.spacy")
    return tmp_path / "docs.spacy"


@pytest.fixture
def jsonl_file(tmp_path):
    record = {
        "text": TEXT,
        "ents": [[0, 3, "PERSON"], [9, 14, "ORG"]],
        "relations": [{"head": 0, "tail": 1, "label": "LEFT"}],
    }
    path = tmp_path / "docs.jsonl"
    path.write_text(f"{json.dumps(record)}\n{{\n", encoding="utf-8")
    return path


def n_relations(text):
    return sum(e.get("class") == "relation" for e in ET.fromstring(text).iter())


def test_pages(spacy_file, jsonl_file, tmp_path):
    page = tmp_path / "pages" / "docs.html"
    result = render(spacy_file, "--output", page)
    assert result.exit_code == 0, result.output
    assert f"Drew 3 documents in {page}" in result.output
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>") and n_relations(text) == 3
    assert "docs.spacy" in text and "EVENT" not in text
    result = render(jsonl_file, "-o", page, "--title", "A & B", "--width", 300)
    assert result.exit_code == 0 and "1 x line that is no JSON" in result.output
    text = page.read_text(encoding="utf-8")
    assert "A &amp; B" in text and n_relations(text) == 1 and 'width="300"' in text


def test_pictures(spacy_file, tmp_path):
    picture = tmp_path / "docs.svg"
    assert render(spacy_file, "-o", picture, "--limit", 2, "--spans-key", "more").exit_code == 0
    text = picture.read_text(encoding="utf-8")
    assert text.startswith("<svg") and n_relations(text) == 2 and "EVENT" in text
    result = render(spacy_file, "--format", "svg", "--limit", 0)
    assert result.exit_code == 0 and n_relations(result.output) == 3
    assert n_relations(render(spacy_file).output) == 3


def test_bad_input(spacy_file, tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n", encoding="utf-8")
    DocBin().to_disk(tmp_path / "none.spacy")
    for arguments, expected in [
        ((tmp_path / "nothing.spacy",), "E310"),
        ((tmp_path / "empty.jsonl",), "E311"),
        ((tmp_path / "none.spacy",), "E517"),
        ((tmp_path / "text.txt",), "E437"),
        ((spacy_file, "--output", tmp_path), f"E531] {tmp_path} cannot be written"),
        ((spacy_file, "--format", "pdf"), "E313"),
        ((spacy_file, "--limit", "-1"), "E313"),
        ((spacy_file, "--width", "10"), "E313"),
        ((spacy_file, "--lang", "nowhere"), "E313"),
    ]:
        result = render(*arguments)
        assert result.exit_code == 1 and expected in result.output, result.output
