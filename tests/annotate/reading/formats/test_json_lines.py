import gzip
import io
import json
import sys
from dataclasses import replace

import pyarrow
import pytest

from spacy_llm_tasks.annotate.reading.formats import json_lines
from spacy_llm_tasks.annotate.reading.inputs import check_inputs
from spacy_llm_tasks.annotate.reading.read_settings import ReadSettings
from spacy_llm_tasks.annotate.reading.rows import BadRow, Row

from ..files import bad, read, starts_anywhere, texts, write


def lines_of(*records):
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def test_ids_are_kept_or_made_and_columns_carried(tmp_path):
    records = (
        {"text": "one", "id": "A-1", "year": 1999, "tags": ["x", None]},
        {"text": "two", "id": 7},
        {"text": "three", "id": None, "ents": [[0, 5, "N"]]},
        {"text": "", "id": ""},
    )
    file = write(
        tmp_path, "a.jsonl", b"\xef\xbb\xbf" + lines_of(*records).replace(b"\n", b"\r\n\n")
    )
    assert read(file) == [
        Row("A-1", "one", {"year": 1999, "tags": ["x", None]}, file="a.jsonl", number=1),
        Row("7", "two", {}, file="a.jsonl", number=3),
        Row("a.jsonl:5", "three", {"ents": [[0, 5, "N"]]}, file="a.jsonl", number=5),
        Row("a.jsonl:7", "", {}, file="a.jsonl", number=7),
    ]
    assert starts_anywhere(file)
    rows = read(file, text_column="id", id_column="text")
    assert texts(rows) == ["A-1", ""]
    assert rows[0].id == "one" and rows[0].columns == {"year": 1999, "tags": ["x", None]}


def test_lines_that_are_no_rows_are_named_without_their_content(tmp_path):
    good = {"text": "ok"}
    data = (
        b'{"text": "secret\n'
        b"[1, 2]\n"
        b'"secret"\n'
        b'{"text": null}\n{"text": 5}\n{"text": ["secret"]}\n{"text": true}\n'
        b'{"text": "x", "id": ["secret"]}\n{"text": "x", "id": 1.5}\n{"text": "x", "id": true}\n'
        + b"[" * 100_000
        + b"\n"
        + b'{"text": "x", "n": '
        + b"9" * 5000
        + b"}\n"
        + lines_of({"text": "x", "id": "i" * 1001}, good, {"body": "secret"})
    )
    file = write(tmp_path, "a.jsonl", data)
    rows = read(file)
    assert texts(rows) == ["ok"] and len(rows) == 15
    assert starts_anywhere(file)
    found = dict(bad(rows))
    assert "secret" not in " ".join(found.values())
    assert found[1].startswith("the line is no JSON (") and found[11].startswith("the line is no")
    assert found[2] == "the line is a list, expected an object"
    assert found[4] == "'text' is null, expected text"
    assert found[8] == "'id' is a list, expected text"
    assert found[13] == "'id' has 1,001 characters, more than 1,000"
    assert found[15] == "there is no 'text'"


def test_text_that_is_no_unicode(tmp_path):
    half = b'{"text": "a\\ud83d b", "note": "n\\udc00", "\\ud800": [{"k": "\\ud800"}]}\n'
    whole = b'{"text": "\\ud83e\\udd9c \\u00e9"}\n'
    file = write(tmp_path, "a.jsonl", half + whole + b'{"text": "\xe9"}\n')
    rows = read(file)
    assert texts(rows) == ["\U0001f99c \xe9"]
    assert [number for number, _ in bad(rows)] == [1, 3]
    assert [row.left_out for row in read(file, encoding_errors="skip")[::2]] == [True, True]
    rows = read(file, encoding_errors="replace")
    assert texts(rows) == ["a\ufffd b", "\U0001f99c \xe9", "\ufffd"]
    assert [row.mended for row in rows] == [True, False, True]
    assert rows[0].columns == {"note": "n\ufffd", "\ufffd": [{"k": "\ufffd"}]}


def test_a_missing_text_column_is_refused_with_those_that_are_there(tmp_path):
    file = write(tmp_path, "a.jsonl", lines_of({"body": "x", "id": 1}, {"title": "y"}))
    for act in (read, lambda file: check_inputs([file], ReadSettings())):
        with pytest.raises(ValueError, match=r"E803.*a\.jsonl.*'text'.*'body', 'id', 'title'"):
            act(file)
    # It need not be in the first line, nor in each.
    data = lines_of({"meta": 1}) + b"nonsense\n" + lines_of({"text": "x"}, {"meta": 1})
    file = write(tmp_path, "b.jsonl", data)
    assert [number for number, _ in bad(read(file))] == [1, 2, 4]
    assert starts_anywhere(file)
    # But nobody reads a long file for one.
    n = json_lines.ENOUGH_WITHOUT
    file = write(tmp_path, "c.jsonl", lines_of(*[{"meta": 1}] * n, {"text": "x"}))
    with pytest.raises(ValueError, match="E803"):
        read(file)
    file = write(tmp_path, "d.jsonl", lines_of(*[{"meta": 1}] * (n - 1), {"text": "x"}))
    assert len(bad(read(file))) == n - 1


def test_damaged_files_give_the_rows_before_the_damage(tmp_path):
    data = lines_of(*({"text": f"number {i}"} for i in range(40_000)))
    whole = gzip.compress(data)
    file = write(tmp_path, "a.jsonl.gz", whole[:-2000])
    *rows, last = read(file)
    assert texts(rows) == [f"number {i}" for i in range(len(rows))] and len(rows) > 1000
    assert isinstance(last, BadRow) and last.number == len(rows) + 1
    assert last.id == f"a.jsonl.gz:{last.number}" and "damaged or ends too early" in last.reason
    assert read(file, start=len(rows)) == [last] and read(file, start=len(rows) + 1) == []
    with pyarrow.output_stream(str(tmp_path / "b.jsonl.zst"), compression="zstd") as out:
        out.write(data)
    packed = (tmp_path / "b.jsonl.zst").read_bytes()
    file = write(tmp_path, "b.jsonl.zst", packed[: len(packed) // 2])
    *rows, last = read(file)
    assert len(rows) > 1000 and isinstance(last, BadRow) and last.number == len(rows) + 1


def test_an_empty_file_and_one_of_blank_lines(tmp_path):
    assert bad(read(write(tmp_path, "a.jsonl", b""))) == [(0, "the file is empty")]
    assert read(write(tmp_path, "b.jsonl", b"\n \r\n\n")) == []


def test_lines_without_end_are_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(json_lines, "MAX_LINE_BYTES", 50)
    long = {"text": "x" * 100}
    file = write(tmp_path, "a.jsonl", lines_of({"text": "a"}, long, {"text": "b"}))
    rows = read(file)
    assert texts(rows) == ["a", "b"] and bad(rows) == [(2, "the line has 50 bytes or more")]


def test_the_limit_of_characters(tmp_path):
    file = write(tmp_path, "a.jsonl", lines_of({"text": "12345", "id": "x"}, {"text": "123456"}))
    assert bad(read(file, max_chars=5)) == [(2, "6 characters, more than the limit of 5")]


def test_the_standard_input(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines_of({"text": "hello"}))))
    file = replace(write(tmp_path, "stdin.jsonl", b""), name="stdin", path="-")
    check_inputs([file], ReadSettings())  # takes nothing from it
    assert read(file) == [Row("stdin:1", "hello", file="stdin", number=1)]


def test_ids_of_lines_that_are_no_documents(tmp_path):
    data = (
        b'{"id": "A", "text": null}\n{"id": 7, "body": "x"}\n{"id": "B", "text": "caf\xe9"}\n'
        b'{"id": "C", "text": "\\ud800"}\n{"id": ["D"], "text": 5}\n{"id": "\\ud800", "text": 5}\n'
        b'{"id": "", "text": 5}\n{"id": "\xe9", "text": 5}\n["\xe9"]\n\xe9\n{"text": "ok"}\n'
        + lines_of({"id": "i" * 1001, "text": None})
    )
    file = write(tmp_path, "a.jsonl", data)
    rows = read(file)
    made = [f"a.jsonl:{i}" for i in range(5, 13)]
    assert [row.id for row in rows] == ["A", "7", "B", "C", *made]
    assert texts(rows) == ["ok"] and starts_anywhere(file)
    assert [row.id for row in read(file, encoding_errors="skip")] == [row.id for row in rows]


def test_all_that_can_be_decompressed_is_read(tmp_path):
    data = lines_of(*({"text": f"number {i}"} for i in range(3000)))
    with pyarrow.output_stream(str(tmp_path / "x"), compression="zstd") as out:
        out.write(data)
        out.flush()  # what comes behind holds nothing
    packed = (tmp_path / "x").read_bytes()
    for content in (packed[:-1], packed + b"garbage"):
        *rows, last = read(write(tmp_path, "a.jsonl.zst", content))
        assert texts(rows) == [f"number {i}" for i in range(3000)]
        assert isinstance(last, BadRow) and last.number == 3001
