import gzip
import tracemalloc

import pytest

from spacy_llm_tasks.annotate.reading.rows import BadRow, Row

from ..files import bad, read, starts_anywhere, texts, write


def test_a_file_is_a_document(tmp_path):
    file = write(tmp_path, "a.txt", "\ufeffzwei\r\nLinien\u2028hier\x00\n".encode())
    assert read(file) == [Row("a.txt", "zwei\r\nLinien\u2028hier\x00\n", file="a.txt")]
    assert starts_anywhere(file)


def test_a_line_is_a_document(tmp_path):
    data = "\ufeffeins\r\n\n  \nzwei\u2028drei\x85 \nvier\x00".encode()
    for name, content in (("a.txt", data), ("b.txt.gz", gzip.compress(data))):
        file = write(tmp_path, name, content)
        rows = read(file, per_line=True)
        assert texts(rows) == ["eins", "zwei\u2028drei\x85 ", "vier\x00"]
        assert [row.id for row in rows] == [f"{name}:1", f"{name}:4", f"{name}:5"]
        assert starts_anywhere(file, per_line=True)


@pytest.mark.parametrize("per_line", [False, True])
def test_bytes_that_are_no_utf8(tmp_path, per_line):
    file = write(tmp_path, "a.txt", b"caf\xe9 secret\n")
    (row,) = read(file, per_line=per_line)
    assert isinstance(row, BadRow) and not row.left_out
    assert row.number == int(per_line) and "no UTF-8 (byte 0xe9 at 3" in row.reason
    assert "secret" not in row.reason
    (row,) = read(file, per_line=per_line, encoding_errors="replace")
    assert row.mended and row.text.startswith("caf\ufffd secret")
    (row,) = read(file, per_line=per_line, encoding_errors="skip")
    assert isinstance(row, BadRow) and row.left_out


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
@pytest.mark.parametrize("per_line", [False, True])
def test_an_empty_file_is_said_to_be_empty(tmp_path, name, per_line):
    file = write(tmp_path, name, b"")
    assert bad(read(file, per_line=per_line)) == [(0, "the file is empty")]
    assert starts_anywhere(file, per_line=per_line)
    file = write(tmp_path, "b.txt.gz", gzip.compress(b""))
    assert bad(read(file, per_line=per_line)) == [(0, "the file is empty")]


def test_lines_before_the_damage_are_kept(tmp_path):
    lines = b"".join(b"line %d with some words\n" % i for i in range(50_000))
    whole = gzip.compress(lines)
    file = write(tmp_path, "a.txt.gz", whole[: len(whole) // 2])
    *rows, last = read(file, per_line=True)
    assert 1000 < len(rows) < 50_000
    assert texts(rows) == [f"line {i} with some words" for i in range(len(rows))]
    assert last.number == len(rows) + 1 and f"after line or row {len(rows)}" in last.reason
    # A text that is cut off is not the document.
    assert bad(read(file))[0][0] == 0 and len(read(file)) == 1
    garbled = bytearray(whole)
    garbled[len(whole) // 2] ^= 255
    file = write(tmp_path, "b.txt.gz", bytes(garbled))
    assert isinstance(read(file, per_line=True)[-1], BadRow)


def test_long_documents_are_never_in_memory(tmp_path):
    file = write(tmp_path, "a.txt", b"x" * 30_000_000)
    tracemalloc.start()
    (row,) = read(file, max_chars=1000)
    (line,) = read(file, max_chars=1000, per_line=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "more than 1,000 characters, more than the limit of 1,000" in row.reason
    assert isinstance(line, BadRow) and peak < 1_000_000


@pytest.mark.parametrize("char", ["x", "é", "語", "🦜"])
def test_the_limit_is_one_of_characters(tmp_path, char):
    for n, fits in ((9, True), (10, True), (11, False), (12, False), (40, False)):
        for data in (char * n, "\ufeff" + char * n, char * n + "\r\n"):
            file = write(tmp_path, "a.txt", data.encode())
            (row,) = read(file, max_chars=10, per_line=True)
            assert isinstance(row, Row) == fits
            (row,) = read(file, max_chars=10)
            assert isinstance(row, Row) == (len(data.removeprefix("\ufeff")) <= 10)


def test_failures_of_the_disk_are_errors(tmp_path):
    file = write(tmp_path, "a.txt", b"x")
    (tmp_path / "a.txt").unlink()
    for per_line in (False, True):
        with pytest.raises(ValueError, match=r"E802.*a.txt.*No such file"):
            read(file, per_line=per_line)
