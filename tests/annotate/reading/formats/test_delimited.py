import csv
import gzip

import pytest

from spacy_llm_tasks.annotate.reading.formats import delimited
from spacy_llm_tasks.annotate.reading.inputs import check_inputs
from spacy_llm_tasks.annotate.reading.read_settings import ReadSettings
from spacy_llm_tasks.annotate.reading.rows import BadRow, Row

from ..files import bad, read, starts_anywhere, texts, write


def test_fields_under_names(tmp_path):
    data = '\ufeff"id",text,year\r\n\r\n7,"one, ""1""\r\nand more",1999\r\n,two,\r\n'.encode()
    file = write(tmp_path, "a.csv", data)
    assert read(file) == [
        Row("7", 'one, "1"\r\nand more', {"year": "1999"}, file="a.csv", number=1),
        Row("a.csv:2", "two", {"year": ""}, file="a.csv", number=2),
    ]
    assert starts_anywhere(file)
    packed = write(tmp_path, "a.csv.gz", gzip.compress(data))
    assert texts(read(packed)) == texts(read(file))


def test_separators(tmp_path):
    file = write(tmp_path, "a.tsv", b"text\tn\na, b\t1\n")
    assert read(file, separator=";") == [Row("a.tsv:1", "a, b", {"n": "1"}, file="a.tsv", number=1)]
    file = write(tmp_path, "a.csv", b"text;n\na, b;1\n")
    assert texts(read(file, separator=";")) == ["a, b"]
    with pytest.raises(ValueError, match=r"E803.*a\.csv.*1 field \(with ',' between"):
        read(file)


def test_an_index_without_a_name(tmp_path):
    (row,) = read(write(tmp_path, "a.csv", b",text\n0,x\n"))
    assert row.columns == {"column_1": "0"}


def test_rows_that_are_no_rows(tmp_path):
    data = b'text,n\nok,1\nsecret\na,b,c\n"x"y,1\nok,2\n"secret,3\nmore\n'
    file = write(tmp_path, "a.csv", data)
    rows = read(file)
    assert texts(rows) == ["ok", "ok"] and starts_anywhere(file)
    found = dict(bad(rows))
    assert found[2] == "the row has 1 fields, and the first row 2"
    assert found[3] == "the row has 3 fields, and the first row 2"
    # A quote that is never closed must not become a document.
    assert list(found) == [2, 3, 4, 6] and "unexpected end of data" in found[6]
    assert "secret" not in " ".join(found.values())


def test_bytes_that_are_no_utf8_concern_one_row(tmp_path):
    file = write(tmp_path, "a.csv", b"text,note\none,caf\xe9\ntw\xff,x\nthr\xc3\xa9e,\xc3\xa9\n")
    rows = read(file)
    assert texts(rows) == ["thr\xe9e"] and rows[2].columns == {"note": "\xe9"}
    assert [number for number, _ in bad(rows)] == [1, 2]
    rows = read(file, encoding_errors="replace")
    assert texts(rows) == ["one", "tw\ufffd", "thr\xe9e"]
    assert [row.mended for row in rows] == [True, True, False]
    assert rows[0].columns == {"note": "caf\ufffd"}
    assert [row.left_out for row in read(file, encoding_errors="skip")[:2]] == [True, True]


def test_nul_characters_are_characters(tmp_path):
    file = write(tmp_path, "a.csv", b"text\na\x00b\n")
    (row,) = read(file)
    # Before Python 3.11 the module could not read them.
    assert isinstance(row, BadRow) or row.text == "a\x00b"


def test_huge_fields_are_read_and_others_keep_their_limit(tmp_path, monkeypatch):
    before = csv.field_size_limit()
    file = write(tmp_path, "a.csv", b"text\n" + b"x" * (before + 1) + b"\ny\n")
    seen = []
    for row in delimited.read_delimited(file, ReadSettings()):
        seen.append(len(row.text))
        assert csv.field_size_limit() == before
    assert seen == [before + 1, 1]
    monkeypatch.setattr(delimited, "MAX_FIELD_CHARS", 1000)
    rows = read(file)
    assert texts(rows) == ["y"] and "field limit" in rows[0].reason


@pytest.mark.parametrize(
    "header, code, named",
    [
        (b"id,body\n", "E803", "'id', 'body'"),
        (b"text,n,n\n", "E805", "'n'"),
        (b'"text\n', "E813", "its first row cannot be read.*2 lines, 1 to 2"),
        (b"text,n\ra,1\r", "E813", r"a carriage return without a line feed.*line feed"),
    ],
)
def test_first_rows_that_name_no_columns(tmp_path, header, code, named):
    file = write(tmp_path, "a.csv", header + b"1,2\n")
    for act in (read, lambda file: check_inputs([file], ReadSettings())):
        with pytest.raises(ValueError, match=rf"{code}.*a\.csv.*{named}"):
            act(file)


def test_empty_and_damaged_files(tmp_path):
    assert bad(read(write(tmp_path, "a.csv", b""))) == [(0, "the file is empty")]
    assert read(write(tmp_path, "b.csv", b"text,n\n")) == []
    whole = gzip.compress(b"text,n\n" + b"".join(b'"row\n%d",x\n' % i for i in range(30_000)))
    file = write(tmp_path, "c.csv.gz", whole[: len(whole) // 2])
    rows = read(file)
    n = len(texts(rows))
    assert n > 1000 and texts(rows) == [f"row\n{i}" for i in range(n)]
    assert "damaged or ends too early" in rows[-1].reason and len(rows) - n in (1, 2)
    assert starts_anywhere(write(tmp_path, "d.csv.gz", whole[:200]))
    assert bad(read(write(tmp_path, "e.csv.gz", b"no gzip")))[0][0] == 0


def test_a_first_row_that_is_a_document_is_not_shown(tmp_path):
    for data in (b"The patient has a cold,5\nx,y\n", b'"It is, he said","It is, he said"\n'):
        with pytest.raises(ValueError, match="E803.*a first row of 2 fields") as caught:
            read(write(tmp_path, "a.csv", data))
        assert "patient" not in str(caught.value) and "he said" not in str(caught.value)


def test_the_lines_that_a_quote_has_swallowed_are_counted(tmp_path):
    file = write(tmp_path, "a.csv", b'id,text\n0,"a\nb"\n1,"never closed\n2,b\n3,c\n')
    *rows, last = read(file)
    assert texts(rows) == ["a\nb"] and starts_anywhere(file)
    assert last.number == 2 and "never" not in last.reason
    assert "a quote that opens in line 4 or later" in last.reason
    assert "one row of 3 lines, 4 to 6" in last.reason
    file = write(tmp_path, "b.csv", b'id,text\n1,x\n2,"a"b\n3,c\n')
    (found,) = bad(read(file))
    assert found[0] == 2 and found[1].endswith(", in line 3)")


def test_a_carriage_return_in_a_row_is_named_as_such(tmp_path):
    ((number, reason),) = bad(read(write(tmp_path, "a.csv", b"id,text\n1,a\r2,b\n")))
    assert number == 1 and "a carriage return without a line feed" in reason
    assert "universal" not in reason and "newline" not in reason


def test_ids_of_rows_that_are_no_utf8(tmp_path):
    data = b"id,text\nA,caf\xe9\n\xe9,caf\xe9\n,caf\xe9\n"
    file = write(tmp_path, "a.csv", data)
    for encoding_errors in ("strict", "skip"):
        rows = read(file, encoding_errors=encoding_errors)
        assert [row.id for row in rows] == ["A", "a.csv:2", "a.csv:3"]
