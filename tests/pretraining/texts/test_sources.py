import gzip
import json
import os
from contextlib import closing

import pytest

from spacy_llm_tasks.pretraining.texts import text_readers
from spacy_llm_tasks.pretraining.texts.corpus_report import CorpusReport
from spacy_llm_tasks.pretraining.texts.sources import find_files, read_texts


def read(*paths, **options):
    report = CorpusReport()
    return list(read_texts(paths, report=report, **options)), report


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8"))
    return path


def lines(*texts, key="text"):
    return "".join(json.dumps({"id": i, key: text}) + "\n" for i, text in enumerate(texts))


def test_every_kind_in_the_order_of_the_paths_and_sorted_inside(tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    folder = tmp_path / "in"
    write(folder / "b.txt", "two\r\nlines")
    write(folder / "a.jsonl", lines("first", "second"))
    write(folder / "sub" / "c.jsonl.gz", gzip.compress(lines("packed").encode()))
    write(folder / "a" / "z.txt.gz", gzip.compress(b"deep"))
    write(folder / ".hidden" / "x.txt", "hidden")
    write(folder / "notes.csv", "not,read")
    parquet.write_table(
        pa.table({"text": ["p1", None, "p2"], "n": [1, 2, 3]}), folder / "d.parquet"
    )
    with pa.output_stream(str(folder / "e.jsonl.zst"), compression="zstd") as stream:
        stream.write(lines("z1", "z2").encode())
    last = write(tmp_path / "last.txt", "last")
    texts, report = read(last, folder, last)
    assert texts == [
        *("last", "deep", "first", "second", "two\r\nlines"),
        *("p1", "p2", "z1", "z2", "packed"),
    ]
    assert report.files == 7 and report.documents == 10
    assert report.characters == sum(map(len, texts))
    assert report.skipped == {".csv": 1} and report.unusable == {"row without 'text'": 1}
    assert report.places["row without 'text'"] == [f"{folder / 'd.parquet'}:2"]


def test_the_order_does_not_depend_on_the_file_system(tmp_path, monkeypatch):
    for name in ("b/1.txt", "a/2.txt", "a/10.txt", "c.txt"):
        write(tmp_path / name, name)
    expected = ["a/10.txt", "a/2.txt", "b/1.txt", "c.txt"]
    assert read(tmp_path)[0] == expected
    scan = os.scandir

    class Backwards(list):
        def __enter__(self):
            return iter(self)

        def __exit__(self, *error):
            return None

    monkeypatch.setattr(os, "scandir", lambda path=".": Backwards(reversed(list(scan(path)))))
    listing = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path=".": list(reversed(listing(path))))
    assert read(tmp_path)[0] == expected
    assert read(tmp_path / "**" / "*.txt")[0] == expected
    assert read(tmp_path / "a" / "*.txt", tmp_path)[0] == expected


@pytest.mark.parametrize(
    "documents, expected",
    [
        ("file", ["one\ntwo\n\n \nthree\n\n\nfour"]),
        ("line", ["one", "two", "three", "four"]),
        ("paragraph", ["one\ntwo", "three", "four"]),
    ],
)
def test_documents_of_plain_text(tmp_path, documents, expected):
    path = write(tmp_path / "x.txt", b"\xef\xbb\xbfone\ntwo\n\n \nthree\n\n\nfour")
    assert read(path, txt_documents=documents)[0] == expected


def test_broken_lines_are_counted_with_file_and_line(tmp_path):
    path = write(
        tmp_path / "x.jsonl",
        '{"text": "good"}\n{"text": "cut\n\n[1]\n{"other": 1}\n{"text": 7}\n"plain"\n'
        + '{"text": "\\ud800 half"}\n'
        + "[" * 100_000
        + '\n{"text": "also good"}',
    )
    texts, report = read(path)
    assert texts == ["good", "also good"]
    assert report.unusable == {
        "line that is no JSON": 2,
        "line without 'text'": 3,
        "'text' that is no text": 1,
        "text with half a surrogate pair": 1,
    }
    assert [place.split(": ")[0] for place in report.places["line that is no JSON"]] == [
        f"{path}:2",
        f"{path}:9",
    ]
    assert report.places["line without 'text'"][1] == f"{path}:5: other"
    assert read(path, invalid="replace")[0] == ["good", "\ufffd half", "also good"]


def test_a_missing_column_is_an_error_that_names_the_others(tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = write(tmp_path / "x.jsonl", lines("a", "b", key="content"))
    with pytest.raises(ValueError, match=r"E704.*'text'.*id, content"):
        read(path)
    assert read(path, text_column="content")[0] == ["a", "b"]
    table = pa.table({"content": pa.array(["a", "b", "a"]).dictionary_encode(), "n": [1, 2, 3]})
    path = tmp_path / "x.parquet"
    parquet.write_table(table, path)
    with pytest.raises(ValueError, match=r"E704.*'text'.*content, n"):
        read(path)
    with pytest.raises(ValueError, match=r"E704.*n of type int64"):
        read(path, text_column="n")
    assert read(path, text_column="content")[0] == ["a", "b", "a"]


BAD = b"good\nb\xe4d line\nlast"


def test_invalid_utf8(tmp_path):
    path = write(tmp_path / "x.txt", BAD)
    with pytest.raises(ValueError, match=r"E703.*x\.txt:2.*0xe4"):
        read(path)
    texts, report = read(path, invalid="replace")
    assert texts == ["good\nb\ufffdd line\nlast"]
    (kind,) = report.repaired
    assert report.repaired[kind] == 1 and report.places[kind][0].startswith(f"{path}:2: byte 0xe4")
    texts, report = read(path, invalid="skip")
    assert texts == [] and report.unusable == {"text that is no UTF-8": 1}
    assert read(path, invalid="skip", txt_documents="line")[0] == ["good", "last"]
    path = write(tmp_path / "x.jsonl", b'{"text": "a"}\n{"text": "\xff"}\n{"text": "b"}\n')
    with pytest.raises(ValueError, match=r"E703.*x\.jsonl:2"):
        read(path)
    assert read(path, invalid="skip")[0] == ["a", "b"]
    assert read(path, invalid="replace")[0] == ["a", "\ufffd", "b"]


def test_invalid_utf8_in_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "x.parquet"
    values = pa.array([b"good", b"b\xffd", b"last"], pa.binary()).view(pa.string())
    parquet.write_table(pa.table({"text": values}), path)
    with pytest.raises(ValueError, match=r"E703.*x\.parquet:2"):
        read(path)
    assert read(path, invalid="skip")[0] == ["good", "last"]
    assert read(path, invalid="replace")[0] == ["good", "b\ufffdd", "last"]


@pytest.mark.parametrize("name", ["x.jsonl", "x.txt"])
@pytest.mark.parametrize("damage", ["cut", "changed", "none"])
def test_damaged_gzip(tmp_path, name, damage):
    texts = [os.urandom(500).hex() for _ in range(500)]
    data = lines(*texts) if name == "x.jsonl" else "\n".join(texts)
    packed = bytearray(gzip.compress(data.encode()))
    if damage == "cut":
        packed = packed[: len(packed) // 2]
    elif damage == "changed":
        packed[-8:-4] = b"\0\0\0\0"  # the sum
    else:
        packed = bytearray(b"no gzip at all")
    path = write(tmp_path / f"{name}.gz", bytes(packed))
    options = {"txt_documents": "line"}
    with pytest.raises(ValueError, match="E705"):
        read(path, **options)
    found, report = read(path, invalid="skip", **options)
    assert found == texts[: len(found)]
    assert len(found) >= {"cut": 200, "changed": 499, "none": 0}[damage] and len(found) <= 500
    (place,) = report.places["damaged file (read up to the damage)"]
    assert place.startswith(f"{path}:{len(found)}")
    assert report.repaired.total() == 1


def test_a_whole_file_up_to_the_damage(tmp_path):
    text = os.urandom(2_000_000).hex()
    packed = gzip.compress(text.encode())
    path = write(tmp_path / "x.txt.gz", packed[: len(packed) * 3 // 4])
    with pytest.raises(ValueError, match="E705"):
        read(path)
    (found,), _ = read(path, invalid="replace")
    assert text.startswith(found) and len(found) > 2_000_000


def test_damaged_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    path = write(tmp_path / "x.parquet", b"PAR1 and nothing else that would make sense")
    with pytest.raises(ValueError, match="E712"):
        read(path)


@pytest.mark.parametrize("documents", ["file", "line", "paragraph"])
def test_long_documents_are_cut_without_being_held(tmp_path, documents):
    text = "ä€𝄞a" * 1000
    path = write(tmp_path / "x.txt", text)
    for limit in range(1, 12):
        (found,), report = read(path, max_characters=limit, txt_documents=documents)
        assert found == text[:limit] and report.capped == 1
    (found,), report = read(path, max_characters=4000, txt_documents=documents)
    assert found == text and report.capped == 0
    path = write(tmp_path / "y.txt", "x" * 5000 + "\nnext")
    expected = {"line": ["x" * 10, "next"]}.get(documents, ["x" * 10])
    assert read(path, max_characters=10, txt_documents=documents)[0] == expected


def test_a_line_of_json_that_never_ends_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(text_readers, "MAX_LINE_BYTES", 1000)
    path = write(tmp_path / "x.jsonl", lines("a") + lines("b" * 5000) + lines("c"))
    texts, report = read(path)
    assert texts == ["a", "c"] and report.unusable.total() == 1
    (place,) = next(iter(report.places.values()))
    assert place == f"{path}:2"


def test_memory_does_not_grow_with_the_corpus(tmp_path):
    import tracemalloc

    peaks = []
    for n in (200, 4000):
        path = write(
            tmp_path / f"{n}.jsonl.gz", gzip.compress(lines(*["word " * 200] * n).encode())
        )
        tracemalloc.start()
        assert sum(1 for _ in read_texts([path])) == n
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] < 4_000_000


def test_other_readers_by_suffix(tmp_path):
    path = write(tmp_path / "in" / "x.words", "a b c")
    with pytest.raises(ValueError, match=r"E702.*\.jsonl"):
        read(path)
    readers = {".words": lambda path: path.read_text().split()}
    assert read(tmp_path / "in", readers=readers)[0] == ["a", "b", "c"]


def test_what_is_not_there(tmp_path):
    for path in (tmp_path / "none.txt", tmp_path / "*.jsonl", tmp_path):
        with pytest.raises(ValueError, match="E701"):
            read_texts([path])
    write(tmp_path / "only.csv", "x")
    with pytest.raises(ValueError, match="E701"):
        read_texts([tmp_path])
    with pytest.raises(ValueError, match=r"E706.*txt_documents.*'page'"):
        read_texts(["pydoc:"], txt_documents="page")
    with pytest.raises(ValueError, match=r"E706.*invalid"):
        read_texts(["pydoc:"], invalid="ignore")
    with pytest.raises(ValueError, match=r"E706.*max_characters"):
        read_texts(["pydoc:"], max_characters=0)


def test_a_failing_disk_is_not_taken_for_damage(tmp_path, monkeypatch):
    path = write(tmp_path / "x.txt", "text")

    class Failing:
        def read(self, n):
            raise OSError(5, "Input/output error")

        def close(self):
            return None

    monkeypatch.setattr(text_readers, "open_bytes", lambda path: closing(Failing()))
    with pytest.raises(OSError, match="Input/output"):
        read(path, invalid="skip")


def test_files_of_nothing_and_of_white_space(tmp_path):
    for name, data in (("a.txt", ""), ("b.jsonl", ""), ("c.txt", " \n ")):
        write(tmp_path / name, data)
    texts, report = read(tmp_path)
    assert texts == [] and report.files == 3 and report.dropped == {"empty": 2}
    assert [path.name for path in find_files([tmp_path])] == ["a.txt", "b.jsonl", "c.txt"]


def test_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    for name in ("x.parquet", "x.jsonl.zst"):
        with pytest.raises(ImportError, match=r"E707.*pyarrow.*spacy-llm-tasks\[pretrain\]"):
            read(write(tmp_path / name, b"x"))
