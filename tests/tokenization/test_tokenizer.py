"""Pieces are those of `transformers`' fast tokenizers, and offsets point into the text."""

import errno
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hostile_texts import TEXTS, readable, texts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spacy_llm_tasks.tokenization import PieceTokenizer

transformers = pytest.importorskip("transformers")
fixtures_are_constant = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck)
)


def assert_same(ours, theirs, batch):
    pieces = ours.encode(batch)
    assert pieces.ids.dtype == pieces.starts.dtype == pieces.ends.dtype == np.int64
    assert pieces.lengths.dtype == np.int64 and len(pieces.lengths) == len(batch)
    assert len(pieces) == len(pieces.starts) == len(pieces.ends) == pieces.lengths.sum()
    bounds = pieces.bounds
    for i, text in enumerate(batch):
        rows = slice(bounds[i], bounds[i + 1])
        expected = theirs(readable(text), add_special_tokens=False)["input_ids"]
        assert pieces.ids[rows].tolist() == expected, text
        starts, ends = pieces.starts[rows], pieces.ends[rows]
        assert np.all(np.diff(starts) >= 0) and np.all(np.diff(ends) >= 0), text
        assert np.all(0 <= starts) and np.all(starts <= ends) and np.all(ends <= len(text)), text


def test_same_ids_on_hostile_texts(any_folder):
    folder, theirs = any_folder
    assert_same(PieceTokenizer.from_folder(folder), theirs, TEXTS)


def test_same_ids_on_generated_texts(any_folder):
    folder, theirs = any_folder
    ours = PieceTokenizer.from_folder(folder)

    @fixtures_are_constant
    @given(st.lists(texts, max_size=3))
    def check(batch):
        assert_same(ours, theirs, batch)

    check()


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("n_written", [0, 1, 2])
def test_a_full_disk_leaves_the_tokenizer_that_was_there(
    bert_folder, tmp_path, monkeypatch, n_written, there
):
    ours = PieceTokenizer.from_folder(bert_folder[0])
    folder = tmp_path / "mine"
    if there:
        ours.to_folder(folder)
        for path in folder.iterdir():
            path.write_text(path.read_text() + " ")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    write, calls = Path.write_bytes, []

    def fail(path, data):
        calls.append(path)
        if len(calls) > n_written:
            write(path, data[:5])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space left") as caught:
        ours.to_folder(folder)
    assert caught.value.filename.startswith(str(folder))
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert folder.exists() == there


def test_tokenizer_json_takes_its_place_last(bert_folder, tmp_path, monkeypatch):
    moved = []
    move = os.replace

    def watched(source, target):
        moved.append(Path(target).name)
        move(source, target)

    monkeypatch.setattr(os, "replace", watched)
    PieceTokenizer.from_folder(bert_folder[0]).to_folder(tmp_path)
    assert len(moved) == 3 and moved[-1] == "tokenizer.json"
    assert sorted(moved) == sorted(path.name for path in tmp_path.iterdir())


def test_same_ids_from_the_vocabulary_files_alone(any_folder, tmp_path):
    folder, theirs = any_folder
    copied = tmp_path / "copy"
    shutil.copytree(folder, copied)
    (copied / "tokenizer.json").unlink()
    ours = PieceTokenizer.from_folder(copied)
    assert_same(ours, theirs, TEXTS)
    assert ours.special == PieceTokenizer.from_folder(folder).special


def test_added_pieces_keep_their_ids_and_flags(any_folder, tmp_path):
    folder, theirs = any_folder
    theirs = type(theirs).from_pretrained(folder)
    theirs.add_tokens(["<entity>", transformers.AddedToken("Word", single_word=True)])
    theirs.add_special_tokens({"additional_special_tokens": ["<q>"]})
    theirs.save_pretrained(tmp_path)
    batch = ["an <entity> or <ENTITY>", "Word Words sWord word", "a<q>b <q> c"]
    ours = PieceTokenizer.from_folder(tmp_path)
    assert_same(ours, theirs, batch)
    assert ours.n_pieces == len(theirs)
    (tmp_path / "tokenizer.json").unlink()
    assert_same(PieceTokenizer.from_folder(tmp_path), theirs, batch)


def test_same_ids_without_any_settings(tmp_path, bert_folder):
    folder, _ = bert_folder
    shutil.copy(folder / "vocab.txt", tmp_path / "vocab.txt")
    theirs = transformers.BertTokenizerFast(vocab_file=str(tmp_path / "vocab.txt"))
    assert_same(PieceTokenizer.from_folder(tmp_path), theirs, TEXTS)


def test_settings_win_over_the_tokenizer_file(bert_folder, tmp_path):
    folder, theirs = bert_folder
    copied = tmp_path / "copy"
    shutil.copytree(folder, copied)
    path = copied / "tokenizer_config.json"
    flipped = json.loads(path.read_text())
    flipped["do_lower_case"] = not flipped["do_lower_case"]
    path.write_text(json.dumps(flipped))
    theirs = transformers.BertTokenizerFast.from_pretrained(copied)
    assert_same(PieceTokenizer.from_folder(copied), theirs, TEXTS)


def test_stored_truncation_and_padding_are_off(bert_folder, tmp_path):
    folder, _ = bert_folder
    copied = tmp_path / "copy"
    shutil.copytree(folder, copied)
    state = json.loads((copied / "tokenizer.json").read_text(encoding="utf-8"))
    state["truncation"] = {
        "direction": "Right",
        "max_length": 4,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    state["padding"] = {
        "strategy": {"Fixed": 4},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    }
    (copied / "tokenizer.json").write_text(json.dumps(state), encoding="utf-8")
    ours = PieceTokenizer.from_folder(copied)
    assert ours.encode(["the", "the " * 50]).lengths.tolist() == [1, 50]
    assert b'"truncation": null' in ours.to_bytes() and b'"padding": null' in ours.to_bytes()


def test_special_pieces(any_folder):
    folder, theirs = any_folder
    special = PieceTokenizer.from_folder(folder).special
    assert (special.cls, special.sep) == (theirs.cls_token_id, theirs.sep_token_id)
    assert (special.pad, special.unk) == (theirs.pad_token_id, theirs.unk_token_id)
    assert special.mask == theirs.mask_token_id


def test_n_pieces_covers_every_id(any_folder):
    folder, theirs = any_folder
    ours = PieceTokenizer.from_folder(folder)
    assert ours.n_pieces == max(theirs.get_vocab().values()) + 1


def test_round_trips(any_folder, tmp_path):
    folder, theirs = any_folder
    ours = PieceTokenizer.from_folder(folder)
    again = PieceTokenizer.from_bytes(ours.to_bytes())
    assert again.to_bytes() == ours.to_bytes()
    ours.to_folder(tmp_path / "exported")
    exported = PieceTokenizer.from_folder(tmp_path / "exported")
    for copy in (again, exported, pickle.loads(pickle.dumps(ours))):
        assert copy.special == ours.special and copy.n_pieces == ours.n_pieces
        assert_same(copy, theirs, TEXTS)


def test_transformers_reads_the_export(any_folder, tmp_path):
    folder, theirs = any_folder
    ours = PieceTokenizer.from_folder(folder)
    ours.to_folder(tmp_path)
    for kind in (transformers.AutoTokenizer, type(theirs)):
        reloaded = kind.from_pretrained(tmp_path)
        assert_same(ours, reloaded, TEXTS)
        framed = reloaded("hello world")["input_ids"]
        assert (framed[0], framed[-1]) == (ours.special.cls, ours.special.sep)
        assert framed == theirs("hello world")["input_ids"]


def test_offsets_of_wordpieces(bert_folder):
    folder, _ = bert_folder
    pieces = PieceTokenizer.from_folder(folder).encode(["the  caf\u00e9\u4e2d [SEP]", "the"])
    assert pieces.starts[0] == 0 and pieces.ends[0] == 3
    assert (pieces.starts[-2], pieces.ends[-2]) == (11, 16)
    assert (pieces.starts[-1], pieces.ends[-1]) == (0, 3)


def test_offsets_of_byte_pieces_leave_out_spaces(roberta_folder):
    folder, _ = roberta_folder
    ours = PieceTokenizer.from_folder(folder)
    text = "the  quick \U0001f600 <s>x  "
    pieces = ours.encode(["padding in front", text])
    rows = slice(pieces.bounds[1], None)
    for start, end in zip(pieces.starts[rows], pieces.ends[rows], strict=True):
        assert text[start:end] == text[start:end].strip(" ")
    covered = {
        place
        for start, end in zip(pieces.starts[rows], pieces.ends[rows], strict=True)
        for place in range(start, end)
    }
    assert covered == {place for place, char in enumerate(text) if char != " "}


def test_lone_surrogates_keep_their_places(any_folder):
    folder, _ = any_folder
    ours = PieceTokenizer.from_folder(folder)
    broken, whole = ours.encode(["a\ud83d b\udc00 the"]), ours.encode(["a\ufffd b\ufffd the"])
    assert broken.ids.tolist() == whole.ids.tolist()
    assert broken.starts.tolist() == whole.starts.tolist()


def test_nothing_to_encode(any_folder):
    ours = PieceTokenizer.from_folder(any_folder[0])
    empty = ours.encode([])
    assert len(empty) == 0 and empty.lengths.tolist() == [] and empty.bounds.tolist() == [0]
    blank = ours.encode(["", ""])
    assert len(blank) == 0 and blank.lengths.tolist() == [0, 0]


def test_one_huge_token(any_folder):
    ours = PieceTokenizer.from_folder(any_folder[0])
    pieces = ours.encode(["x" * 100_000])
    assert pieces.lengths[0] >= 1 and pieces.ends[-1] == 100_000


@pytest.mark.parametrize("wrong", [["fine", None], [3], "a single string", [b"bytes"]])
def test_wrong_input_is_named(bert_folder, wrong):
    with pytest.raises(ValueError, match="E206"):
        PieceTokenizer.from_folder(bert_folder[0]).encode(wrong)


def test_folder_without_tokenizer(tmp_path):
    with pytest.raises(FileNotFoundError, match="E201"):
        PieceTokenizer.from_folder(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("tokenizer.json", b"{", "E202"),
        ("tokenizer.json", b"[]", "E202"),
        ("tokenizer.json", b'{"model": {"type": "Strange"}}', "E203"),
        ("tokenizer_config.json", b"\xff\xfe", "E202"),
        ("vocab.txt", b"\xff\xfe", "E202"),
        ("vocab.txt", b"[PAD]\n[CLS]\n[SEP]\nword\n", "E204.*vocab.txt: unk_token"),
        ("vocab.txt", b"[UNK]\nword\n", "E204.*vocab.txt: cls_token, sep_token, pad_token"),
    ],
)
def test_damaged_files_are_named(tmp_path, name, content, code):
    (tmp_path / "vocab.txt").write_bytes(b"[PAD]\n[UNK]\n[CLS]\n[SEP]\nword\n")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=code):
        PieceTokenizer.from_folder(tmp_path)


@pytest.mark.parametrize("merges", [b"#version: 0.2\na b c\n", b"a\n", b"x y\n", b"\xff\n"])
def test_damaged_merges_are_named(tmp_path, merges):
    names = ["<s>", "</s>", "<pad>", "a", "b", "ab"]
    vocab = {name: number for number, name in enumerate(names)}
    (tmp_path / "vocab.json").write_text(json.dumps(vocab))
    (tmp_path / "merges.txt").write_bytes(merges)
    with pytest.raises(ValueError, match="E20[23].*merges.txt"):
        PieceTokenizer.from_folder(tmp_path)


@pytest.mark.parametrize("damaged", [b"", b"\xff", b"[]", b"{}", b'{"tokenizer": 1}', b"null"])
def test_damaged_bytes(damaged):
    with pytest.raises(ValueError, match="E20[35]"):
        PieceTokenizer.from_bytes(damaged)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_workers_are_silent(bert_folder, tmp_path):
    program = """
import os, sys
from spacy_llm_tasks.tokenization import PieceTokenizer
tokenizer = PieceTokenizer.from_folder(sys.argv[1])
before = tokenizer.encode(["the world"] * 100).ids.tolist()
child = os.fork()
if child == 0:
    os._exit(0 if tokenizer.encode(["the world"] * 100).ids.tolist() == before else 3)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
sys.exit(code or "TOKENIZERS_PARALLELISM" in os.environ)
"""
    environment = {k: v for k, v in os.environ.items() if k != "TOKENIZERS_PARALLELISM"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(bert_folder[0])],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
