import os
from collections import Counter

import pytest

from spacy_llm_tasks.annotate.reading.input_files import (
    InputFile,
    find_inputs,
    shown_passed_by,
)


@pytest.fixture
def corpus(tmp_path):
    """A folder with files of all kinds, some that are no input, and links that lead in circles."""
    root = tmp_path / "corpus"
    for name in (
        "b.txt",
        "a.JSONL.gz",
        "sub/a.csv.zst",
        "sub/deep/a.parquet",
        "sub/x.spacy",
        "sub/t.tsv",
        "sub/x.parquet.gz",
        "notes.md",
        ".hidden.txt",
        ".git/a.txt",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    (root / "sub" / "loop").symlink_to(root)
    (root / "z.txt").symlink_to("b.txt")
    return root


def names(found):
    return [file.name for file in found]


def test_folders_are_searched_in_the_order_of_names(corpus):
    passed_by = Counter()
    found = find_inputs([corpus], passed_by=passed_by)
    assert [(file.name, file.format) for file in found] == [
        ("a.JSONL.gz", "jsonl"),
        ("b.txt", "txt"),
        ("sub/a.csv.zst", "csv"),
        ("sub/deep/a.parquet", "parquet"),
        ("sub/t.tsv", "tsv"),
        ("sub/x.spacy", "spacy"),
    ]
    assert all(os.path.isabs(file.path) and os.path.isfile(file.path) for file in found)
    assert passed_by == {".md": 1, ".parquet.gz": 1, "link to a folder": 1}


def test_names_do_not_depend_on_where_the_folder_is(corpus, tmp_path, monkeypatch):
    before = names(find_inputs([corpus]))
    moved = tmp_path / "elsewhere" / "other"
    moved.parent.mkdir()
    corpus.rename(moved)
    assert names(find_inputs([moved])) == before
    monkeypatch.chdir(moved.parent)
    assert names(find_inputs(["other"])) == before


def test_a_file_that_is_reached_twice_is_read_once(corpus):
    inputs = [corpus / "sub", corpus / "b.txt", corpus / "z.txt", corpus, str(corpus / "*.txt")]
    found = find_inputs(inputs)
    assert len(found) == 6
    assert names(found)[-2:] == ["b.txt", "a.JSONL.gz"]


def test_files_that_are_named_alike_get_longer_names(tmp_path):
    for name in ("one/x.txt", "two/x.txt", "two/y.txt", "three/two/x.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = find_inputs([tmp_path / "one", tmp_path / "two", tmp_path / "three"])
    assert names(found) == ["one/x.txt", "two/x.txt", "y.txt", "three/two/x.txt"]
    found = find_inputs([tmp_path / "two/x.txt", tmp_path / "three/two/x.txt"])
    assert names(found) == ["two/x.txt", "two/x.txt~2"]
    assert names(find_inputs([str(tmp_path / "*" / "x.txt")])) == ["one/x.txt", "two/x.txt"]
    assert names(find_inputs([tmp_path / "one/x.txt"])) == ["x.txt"]


def test_a_pattern_is_taken_literally_where_such_a_file_is(tmp_path):
    (tmp_path / "a[1].txt").write_bytes(b"x")
    (tmp_path / "a1.txt").write_bytes(b"x")
    assert names(find_inputs([str(tmp_path / "a[1].txt")])) == ["a[1].txt"]
    assert names(find_inputs([str(tmp_path / "a?.txt")])) == ["a1.txt"]


def test_hostile_file_names_are_shown_and_stay_apart(tmp_path):
    for name in (b"a\nb.txt", b"a\\nb.txt", b"\x1b[31m.txt", b"bad\xff.txt", b"x..%2f..%2f.txt"):
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as out:
            out.write(b"x")
    found = names(find_inputs([tmp_path]))
    assert all(name.isprintable() and name.encode("utf-8") for name in found)
    assert sorted(found) == sorted(
        ["\\x1b[31m.txt", "x..%2f..%2f.txt", "a\\nb.txt", "a\\\\nb.txt", "bad\\udcff.txt"]
    )


def test_the_output_of_a_run_is_not_its_input(corpus):
    found = find_inputs([corpus], exclude=corpus / "sub")
    assert names(found) == ["a.JSONL.gz", "b.txt"]
    found = find_inputs([str(corpus / "**" / "*.txt"), corpus / "b.txt"], exclude=corpus / "sub")
    assert names(found) == ["b.txt"]


def test_the_standard_input_has_the_format_that_is_said():
    assert find_inputs(["-"]) == [InputFile("stdin", "-", "jsonl")]
    assert find_inputs(["-", "-"], stdin_format="txt") == [InputFile("stdin", "-", "txt")]
    with pytest.raises(ValueError, match="E806.*stdin_format.*parquet"):
        find_inputs(["-"], stdin_format="parquet")


@pytest.mark.parametrize(
    "given, code, named",
    [
        ("nothing", "E800", "nothing"),
        ("*.nothing", "E800", r"\*.nothing"),
        ("empty", "E800", "empty"),
        ("corpus/notes.md", "E801", "notes.md"),
        ("corpus/*", "E801", "notes.md"),
        ("pipe.txt", "E801", "pipe.txt"),
    ],
)
def test_what_cannot_be_input_is_refused_by_name(corpus, tmp_path, given, code, named):
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(ValueError, match=f"{code}.*{named}"):
        find_inputs([tmp_path / given])
    with pytest.raises(ValueError, match="E800"):
        find_inputs([])


def test_a_pipe_in_a_folder_is_passed_by(corpus):
    os.mkfifo(corpus / "pipe.txt")
    passed_by = Counter()
    assert "pipe.txt" not in names(find_inputs([corpus], passed_by=passed_by))
    assert passed_by["no regular file"] == 1


def test_what_cannot_be_read_is_refused_by_name(corpus, monkeypatch):
    (corpus / "sub" / "gone.txt").symlink_to(corpus / "nowhere.txt")
    with pytest.raises(ValueError, match="E802.*gone.txt.*a link to nothing"):
        find_inputs([corpus])
    (corpus / "sub" / "gone.txt").unlink()
    # As root, whom tests may run as, everything can be read.
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("t.tsv"))
    with pytest.raises(ValueError, match="E802.*t.tsv.*permission denied"):
        find_inputs([corpus])

    def refusing(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(ValueError, match="E802.*corpus.*Permission denied"):
        find_inputs([corpus])


def test_what_was_there_is_said_where_nothing_can_be_annotated(tmp_path):
    for name in ("a.json", "b.JSON", "c.txt.bz2"):
        (tmp_path / name).write_bytes(b"x")
    said = r"E800.*\(found: 3 files of other kinds \(\.json, \.bz2\)\)\. Expected"
    with pytest.raises(ValueError, match=said):
        find_inputs([tmp_path])
    (tmp_path / "d.txt").write_bytes(b"x")
    passed_by = Counter()
    assert names(find_inputs([tmp_path], passed_by=passed_by)) == ["d.txt"]
    assert passed_by == {".json": 2, ".bz2": 1}
    (tmp_path / "sub").mkdir()
    with pytest.raises(ValueError, match="E800.*sub. Expected"):
        find_inputs([tmp_path, tmp_path / "sub"])


def test_what_is_passed_by_in_words(tmp_path):
    assert shown_passed_by({}) == ""
    assert shown_passed_by({".md": 1}) == "1 file of another kind (.md)"
    assert shown_passed_by({"link to a folder": 2, ".md": 1, "no regular file": 1}) == (
        "1 file of another kind (.md) and 2 links to folders and 1 pipe or device"
    )
    many = {f".a{i}": 1 for i in range(9)}
    assert shown_passed_by(many) == "9 files of other kinds (.a0, .a1, .a2, .a3, .a4, ...)"


def test_no_name_of_a_file_is_taken_for_its_kind(tmp_path):
    for name in ("Dr. Miller on asthma", "b.\x1b[31m", "c.0001", "README", "d.tar.gz"):
        (tmp_path / name).write_bytes(b"x")
    passed_by = Counter()
    with pytest.raises(ValueError, match="E800"):
        find_inputs([tmp_path], passed_by=passed_by)
    assert passed_by == {"other": 3, "no suffix": 1, ".tar.gz": 1}
