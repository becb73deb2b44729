import gzip
import io
import sys

import pyarrow
import pytest

from spacy_llm_tasks import streams
from spacy_llm_tasks.streams import first_bytes, is_damage, numbered_lines, open_bytes

DATA = "één\n\nzwei".encode()


def test_what_is_compressed_is_opened_as_what_is_not(tmp_path):
    (tmp_path / "a.txt").write_bytes(DATA)
    (tmp_path / "a.txt.GZ").write_bytes(gzip.compress(DATA))
    with pyarrow.output_stream(str(tmp_path / "a.txt.zst"), compression="zstd") as out:
        out.write(DATA)
    for path in tmp_path.iterdir():
        with open_bytes(path) as stream:
            assert list(numbered_lines(stream, 100)) == [
                (1, "één\n".encode()),
                (2, b"\n"),
                (3, b"zwei"),
            ]


def test_the_standard_input_stays_open(monkeypatch):
    stdin = io.TextIOWrapper(io.BytesIO(b"x\ny\n"))
    monkeypatch.setattr(sys, "stdin", stdin)
    with open_bytes("-") as stream:
        assert next(numbered_lines(stream, 10)) == (1, b"x\n")
    assert not stdin.buffer.closed


def test_long_lines_are_cut_and_their_rest_is_passed_over():
    lines = numbered_lines(io.BytesIO(b"abc\nabcdefghijkl\nxyz\n1234"), 4)
    assert list(lines) == [(1, b"abc\n"), (2, b"abcd"), (3, b"xyz\n"), (4, b"1234")]


def test_a_byte_order_mark_belongs_to_no_line():
    mark = "\ufeff".encode()
    assert list(numbered_lines(io.BytesIO(mark + b"a\n" + mark), 10)) == [(1, b"a\n"), (2, mark)]
    assert first_bytes(io.BytesIO(mark + b"abc"), None) == b"abc"
    assert first_bytes(io.BytesIO(b"abc" * 100_000), 7) == b"abcabca"


def test_damage_and_failures_of_the_disk_are_told_apart():
    assert is_damage("a.gz", EOFError("ended"))
    assert is_damage("a.gz", gzip.BadGzipFile("not one"))
    assert is_damage("a.zst", OSError("ZSTD decompression failed"))
    assert not is_damage("a.gz", OSError(5, "Input/output error"))
    assert not is_damage("a.txt", OSError("anything"))


def test_what_to_install_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match="E707.*pip install"):
        streams.pyarrow("pyarrow")
