import json

import pytest
import spacy
from typer.testing import CliRunner

from spacy_llm_tasks.cli import app
from spacy_llm_tasks.corpora.files import read_docs


@pytest.fixture
def convert(tmp_path):
    def run(text, *arguments, name="in.txt", output="out.spacy"):
        source = tmp_path / name
        if text is not None:
            source.write_text(text, encoding="utf-8")
        target = tmp_path / output
        result = CliRunner().invoke(app, ["convert", str(source), str(target), *arguments])
        return result, target

    return run


def docs_of(path):
    return list(read_docs(path, spacy.blank("en").vocab))


def rows(result):
    return [" ".join(line.split()) for line in result.output.splitlines()]


def test_columns_with_their_repairs(convert):
    text = "Ana\tB-PER\nsat\tO\n\nRome\tI-LOC\nx\t?\n\n"
    result, target = convert(text, "--format", "columns", "--scheme", "bio")
    assert result.exit_code == 0, result.output
    assert [[ent.text for ent in doc.ents] for doc in docs_of(target)] == [["Ana"], ["Rome"]]
    lines = rows(result)
    assert "documents 2" in lines and "PER 1" in lines and "LOC 1" in lines
    assert "repaired inside tag without a first tag 1" in lines
    assert "unusable illegal tag (token kept, entity unknown) 1" in lines
    assert any(line.endswith("in.txt:5: x '?' is no tag of scheme bio") for line in lines)


@pytest.mark.parametrize(
    "name, text, n",
    [
        ("a.conll", "Ana B-PER\n\nsat O\n", 2),
        ("a.tsv", "Ana\tB-PER\n\nsat\tO\n", 2),
        ("a.tsv", "1\tfine day\n0\tbad day\n1\tgood\n", 3),
        ("a.csv", "text,label\nfine,1\nbad,0\nworse,0\n", 3),
        ("a.txt", "1 fine day\n0 bad day\n1 good day\n", 3),
        ("a.jsonl", '{"text": "fine"}\n', 1),
        ("a.json.lines", '{"text": "fine"}\n', 1),
        ("a.txt", "## x-1\n[Ana|PER] sat.\n", 1),
    ],
)
def test_formats_are_detected(convert, name, text, n):
    result, target = convert(text, name=name)
    assert result.exit_code == 0, result.output
    assert len(docs_of(target)) == n


def test_labels_to_jsonl_and_back_to_docs(convert, tmp_path):
    text = "0\tcold soup\n1\tfine soup\n1\twarm bread\n"
    result, target = convert(
        text, "--labels", "0=bad,1=good", output="deep/out.jsonl", name="a.tsv"
    )
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert lines[0] == {"text": "cold soup", "cats": {"bad": 1.0, "good": 0.0}}
    result, target = convert(None, name="deep/out.jsonl")
    assert [doc.cats["good"] for doc in docs_of(target)] == [0.0, 1.0, 1.0]
    result, again = convert(None, name="out.spacy", output="again.jsonl")
    assert [json.loads(line) for line in again.read_text().splitlines()] == lines


def test_every_nth_document_is_held_out(convert, tmp_path):
    text = "".join(f'{{"text": "number {i}"}}\n' for i in range(10))
    held = tmp_path / "dev.spacy"
    result, target = convert(text, "--hold-out", str(held), "--every", "4", name="a.jsonl")
    assert result.exit_code == 0, result.output
    assert [doc.text for doc in docs_of(held)] == ["number 0", "number 4", "number 8"]
    assert len(docs_of(target)) == 7
    result, target = convert(text, "--limit", "2", name="a.jsonl")
    assert len(docs_of(target)) == 2


def test_numbered_examples_are_held_out_by_their_number(convert, tmp_path):
    one = '{0}\t"The <e1>lid</e1> of pot {0} <e2>rusts</e2>."\nOther\nComment:\n\n'
    held = tmp_path / "dev.spacy"
    text = "".join(one.format(number) for number in (7, 8, 9, 12, 13))
    result, target = convert(text, "--hold-out", str(held), "--every", "4")
    assert result.exit_code == 0, result.output
    assert [doc[4].text for doc in docs_of(held)] == ["8", "12"]
    assert [doc[4].text for doc in docs_of(target)] == ["7", "9", "13"]


SEMEVAL = '1\t"The <e1>frost</e1> and a <e2>crack</e2>."\nCause-Effect(e2,e1)\nComment: x\n'
CONLL04 = (
    "#doc 4\n0\tInes\tB-Peop\t['Live_In']\t[2]\n1\tin\tO\t['N']\t[1]\n2\tOban\tB-Loc\t['N']\t[2]\n"
)
TOOL = {
    "text": "Ines in Oban.",
    "spans": [
        {"start": 0, "end": 4, "label": "PER"},
        {"start": 8, "end": 12, "label": "LOC"},
    ],
    "tokens": [
        {"text": text, "ws": text in ("Ines", "in")} for text in ("Ines", "in", "Oban", ".")
    ],
    "relations": [{"head": 2, "child": 0, "label": "HOME_OF"}],
}
BRAT = "T1\tPER 0 4\tInes\nT2\tLOC 8 12\tOban\nR1\tHOME_OF Arg1:T2 Arg2:T1\n"
QAS = [
    {"id": "a", "question": "Who?", "answers": [{"text": "Ines", "answer_start": 0}] * 2},
    {"id": "b", "question": "Why?", "answers": [], "is_impossible": True},
]
SQUAD = {"data": [{"paragraphs": [{"context": "Ines in\r\nOban \U0001f600", "qas": QAS}]}]}
HOME = {"head": 1, "tail": 0, "label": "HOME_OF"}


@pytest.mark.parametrize(
    "name, text, wanted",
    [
        (
            "train.txt",
            SEMEVAL,
            {
                "text": "The frost and a crack.",
                "ents": [[4, 9, "ENTITY"], [16, 21, "ENTITY"]],
                "relations": [{"head": 1, "tail": 0, "label": "Cause-Effect"}],
            },
        ),
        (
            "a.conll",
            CONLL04,
            {
                "text": "Ines in Oban ",
                "ents": [[0, 4, "Peop"], [8, 12, "Loc"]],
                "relations": [{"head": 0, "tail": 1, "label": "Live_In"}],
            },
        ),
        (
            "a.jsonl",
            json.dumps(TOOL),
            {
                "text": "Ines in Oban.",
                "ents": [[0, 4, "PER"], [8, 12, "LOC"]],
                "relations": [HOME],
            },
        ),
        (
            "a.ann",
            BRAT,
            {
                "text": "Ines in Oban.\n",
                "ents": [[0, 4, "PER"], [8, 12, "LOC"]],
                "relations": [HOME],
            },
        ),
        (
            "a.json",
            json.dumps(SQUAD),
            {
                "text": "Ines in\r\nOban \U0001f600",
                "questions": [
                    {"id": "a", "question": "Who?", "answers": [{"text": "Ines", "start": 0}] * 2},
                    {"id": "b", "question": "Why?", "answers": []},
                ],
            },
        ),
        (
            "a.tsv",
            "news\twire\t2031\t0001\t1.25\tRain fell.\tTea is warm.\n",
            {"text": "Rain fell.", "pair": {"text": "Tea is warm.", "score": 0.25}},
        ),
    ],
)
def test_all_facts_go_to_docs_to_jsonl_and_back(convert, tmp_path, name, text, wanted):
    (tmp_path / "a.txt").write_text("Ines in Oban.\n")  # brat's text
    result, target = convert(text, name=name)
    assert result.exit_code == 0, result.output
    assert "unusable" not in result.output and "repaired" not in result.output
    for source, goal in (("out.spacy", "x.jsonl"), ("x.jsonl", "y.spacy"), ("y.spacy", "z.jsonl")):
        result, path = convert(None, name=source, output=goal)
        assert result.exit_code == 0, result.output
        if goal.endswith("jsonl"):
            assert [json.loads(line) for line in path.read_text("utf-8").splitlines()] == [wanted]


def test_options_of_pairs(convert):
    text = "3\tRain fell.\tx\tIt rained.\n"
    columns = ("--first-column", "1", "--second-column", "3", "--score-column", "0")
    result, target = convert(text, "--format", "pairs", *columns, "--score-max", "4")
    assert result.exit_code == 0, result.output
    assert [tuple(doc._.pair[:2]) for doc in docs_of(target)] == [("It rained.", 0.75)]
    result, _ = convert(text, "--format", "pairs", *columns)
    assert result.exit_code == 1 and "E341" in result.output and "--score-max" in result.output


def test_a_folder_of_brat(convert, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text("Ines in Oban.")
    (folder / "a.ann").write_text(BRAT + "E1\tBirth:T1\n")
    result, target = convert(None, name="in")
    assert result.exit_code == 0, result.output
    assert [ent.text for ent in docs_of(target)[0].ents] == ["Ines", "Oban"]
    assert "HOME_OF 1" in [row.removeprefix("relations ") for row in rows(result)]
    assert any("a.ann:4: E1" in line for line in rows(result))


@pytest.mark.parametrize("options", [(), ("--format", "columns")])
def test_a_folder_of_other_files(convert, tmp_path, options):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.conll").write_text("Ana B-PER\n")
    result, target = convert(None, *options, name="in")
    assert result.exit_code == 1 and "E534" in result.output
    assert not target.exists()


def test_both_files_are_written_or_none(convert, tmp_path):
    text = "".join(f'{{"text": "number {i}"}}\n' for i in range(10))
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder.spacy").mkdir()
    for held, code in (
        (tmp_path / "sub" / ".." / "out.spacy", "E533"),
        (tmp_path / "file" / "dev.spacy", "E531"),
        (tmp_path / "folder.spacy", "E531"),
    ):
        result, target = convert(text, "--hold-out", str(held), name="a.jsonl")
        assert result.exit_code == 1 and code in result.output
        assert not target.exists()


def test_a_failure_in_the_second_file_leaves_no_first(convert, tmp_path, monkeypatch):
    from spacy_llm_tasks.corpora import jsonl

    def fail(docs, report, **options):
        raise OSError("no more space")

    monkeypatch.setattr(jsonl, "jsonl_lines", fail)
    text = "".join(f'{{"text": "number {i}"}}\n' for i in range(10))
    held = str(tmp_path / "dev.jsonl")
    result, _ = convert(text, "--hold-out", held, name="a.jsonl")
    assert result.exit_code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_chinese_characters_without_spaces(convert):
    result, target = convert(
        "\u4e2d B-LOC\n\u56fd E-LOC\n", "--lang", "en", "--spaces", "none", name="a.bmes"
    )
    assert [(doc.text, doc.ents[0].text) for doc in docs_of(target)] == [
        ("\u4e2d\u56fd", "\u4e2d\u56fd")
    ]


def test_all_facts_are_summed_up(convert):
    record = {
        "text": "Ana knows Bo.",
        "ents": [[0, 3, "PER"], [10, 12, "PER"]],
        "relations": [{"head": 0, "tail": 1, "label": "KNOWS"}],
        "questions": [{"question": "Who?", "answers": []}],
        "pair": {"text": "x", "score": 1},
    }
    result, target = convert(json.dumps(record), name="a.jsonl")
    for line in ("PER 2", "KNOWS 1", "questions 1", "without an answer 1", "pairs 1"):
        assert any(row.endswith(line) for row in rows(result)), (line, result.output)


@pytest.mark.parametrize(
    "arguments, text, message",
    [
        (["--format", "jsonl"], "{\n", "E318"),
        (["--format", "tables"], "a b\n", "E313"),
        (["--format", "columns"], "\n\n", "E311"),
        (["--lang", "qq"], "a B-X\n", "E313"),
        (["--every", "1"], "a O\n", "E313"),
        (["--format", "labels", "--labels", "="], "1 a\n", "E320"),
    ],
)
def test_nothing_usable_is_one_message_and_leaves_no_file(
    convert, arguments, text, message, tmp_path
):
    result, target = convert(text, *arguments)
    assert result.exit_code == 1 and message in result.output and "Traceback" not in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.txt"]


def test_places_of_bad_input(convert):
    result, _ = convert(None, name="none.conll")
    assert result.exit_code == 1 and "E310" in result.output and "none.conll" in result.output
    result, _ = convert("a O\n", output="out.json")
    assert result.exit_code == 1 and "E319" in result.output
    result, _ = convert("words only\nand more\nno labels\nhere\n", name="a.dat")
    assert result.exit_code == 1 and "E317" in result.output
    result, _ = convert("garbage", name="x.spacy", output="out.jsonl")
    assert result.exit_code == 1 and "E321" in result.output


def test_help_teaches():
    result = CliRunner().invoke(app, ["convert", "--help"])
    assert result.exit_code == 0 and "Convert a data set" in result.output
