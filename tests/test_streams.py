import gzip
import io
import random
import sys
import tracemalloc

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


def packed(path, data):
    with pyarrow.output_stream(str(path), compression="zstd") as out:
        out.write(data)
        out.flush()  # what comes behind holds nothing
    return path.read_bytes()


def read_until_damage(path):
    """What a file gives, and the damage, which is told again when one asks again."""
    found = []
    with open_bytes(path) as stream:
        with pytest.raises(OSError) as caught:
            while block := stream.read1(1000):
                found.append(block)
        with pytest.raises(OSError):
            stream.read(1)
    assert is_damage(path, caught.value)
    return b"".join(found)


def test_what_comes_before_the_damage_is_read(tmp_path, monkeypatch):
    path = tmp_path / "a.zst"
    data = random.Random(0).randbytes(300_000) + b"\n" * 300_000
    whole = packed(path, data)
    for block in (streams._BLOCK, 777):
        monkeypatch.setattr(streams, "_BLOCK", block)
        path.write_bytes(whole + b"garbage")
        assert read_until_damage(path) == data
        path.write_bytes(whole[:-1])
        assert read_until_damage(path) == data
        path.write_bytes(whole[:290_000])
        found = read_until_damage(path)
        assert len(found) >= 2**18 and data.startswith(found)  # two blocks of zstd, or more
    path.write_bytes(b"nothing compressed")
    assert read_until_damage(path) == b""
    path.write_bytes(whole + whole)
    with open_bytes(path) as stream:
        assert stream.read() == data + data


def test_memory_does_not_grow_with_a_damaged_file(tmp_path):
    path = tmp_path / "a.zst"
    data = packed(path, b"some words\n" * 500_000)
    path.write_bytes(data + b"garbage")
    tracemalloc.start()
    n = 0
    with open_bytes(path) as stream, pytest.raises(OSError):
        while block := stream.read1(2**16):
            n += len(block)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n == 5_500_000 and peak < 1_000_000


def test_failures_of_the_disk_are_not_read_again(tmp_path, monkeypatch):
    packed(tmp_path / "a.zst", DATA)

    def failing(self, size=-1, /):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(streams._Source, "read", failing)
    with open_bytes(tmp_path / "a.zst") as stream, pytest.raises(OSError) as caught:
        stream.read(10)
    assert caught.value.errno == 5
    with pytest.raises(FileNotFoundError):
        open_bytes(tmp_path / "b.zst")
