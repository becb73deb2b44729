import json

import pytest

from spacy_llm_tasks.corpora.formats import FORMATS, Options, detect_format, read_any
from spacy_llm_tasks.corpora.report import Report

SEMEVAL = '1\t"<e1>a</e1> <e2>b</e2>"\nOther\nComment:\n'
CONLL04 = "#doc 1\n0\tOban\tB-Loc\t['N']\t[0]\n"
TOOL = json.dumps({"text": "a", "tokens": [{"text": "a", "ws": False}], "spans": []})
SQUAD = json.dumps({"data": [{"paragraphs": [{"context": "a", "qas": []}]}]})
STS = "news\twire\t2031\t1\t5.0\ta b\tc d\n"


@pytest.mark.parametrize(
    "name, text, wanted",
    [
        ("a.txt", SEMEVAL, "semeval2010"),
        ("a.txt", CONLL04, "conll04"),
        ("a.conll", CONLL04, "conll04"),
        ("a.jsonl", TOOL, "tool-jsonl"),
        ("a.json", SQUAD, "squad"),
        ("a.json", json.dumps(json.loads(SQUAD), indent=2), "squad"),
        ("a.tsv", STS, "pairs"),
        ("a.csv", STS, "pairs"),
        ("a.ann", "", "brat"),
        ("a.tsv", "1\tfine\n", "labels"),
        ("a.csv", "a,b\n", "labels"),
        ("a.conll", "Oban B-LOC\n", "columns"),
        ("a.txt", "Oban B-LOC\n", "columns"),
        ("a.jsonl", '{"text": "a"}\n', "jsonl"),
        ("a.dat", '{"text": "a"}\n', "jsonl"),
        ("a.dat", "## x\nOban.\n", "markup"),
        ("a.spacy", "", "spacy"),
    ],
)
def test_formats_are_told_by_layout_then_name_then_content(tmp_path, name, text, wanted):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert detect_format(path) == wanted


def test_folders(tmp_path):
    (tmp_path / "a.txt").write_text("## x\nOban.\n")
    assert detect_format(tmp_path) == "markup"
    (tmp_path / "a.ann").write_text("")
    assert detect_format(tmp_path) == "brat"


@pytest.mark.parametrize(
    "name, form",
    [
        ("x.jsonl", '{"text": "TEXT"}\n'),
        ("x.tsv", "label\ttext\n1\tTEXT\n"),
        ("x.json", '{"data": [{"paragraphs": [{"context": "TEXT", "qas": []}]}]}'),
        ("x.txt", "TEXT"),
    ],
)
def test_texts_of_any_length_are_read(tmp_path, name, form):
    (tmp_path / name).write_text(form.replace("TEXT", "word " * 200_000 + "end"))
    if name == "x.txt":
        (tmp_path / "x.ann").write_text("T1\tP 1000000 1000003\tend\n")
        name = "x.ann"
    doc = next(read_any(tmp_path / name, Options(), Report(tmp_path / name)))
    assert len(doc) == 200_001


def test_what_cannot_be_told_names_all_formats(tmp_path):
    (tmp_path / "a.dat").write_text("words only\n")
    with pytest.raises(ValueError, match="E317.*semeval2010, .*pairs, spacy"):
        detect_format(tmp_path / "a.dat")
    with pytest.raises(ValueError, match="E310"):
        detect_format(tmp_path / "b.dat")


@pytest.mark.parametrize("name", ["csv", "_spacy"])
def test_unknown_formats_are_errors(tmp_path, name):
    with pytest.raises(ValueError, match="E313.*'auto', 'columns'"):
        list(read_any(tmp_path, Options(format=name), Report(tmp_path)))


def test_every_format_can_be_named(tmp_path):
    (tmp_path / "a.dat").write_text("")
    for name in FORMATS:
        with pytest.raises(ValueError, match="E31|E32"):
            list(read_any(tmp_path / "a.dat", Options(format=name), Report(tmp_path)))
