import json
import pickle

import numpy as np
import pytest

from spacy_llm_tasks.pretraining.pieces import piece_store
from spacy_llm_tasks.pretraining.pieces.piece_store import PieceStore, hash_of, write_pieces
from spacy_llm_tasks.pretraining.pieces.word_starts import starts_word

from ..cutters import KINDS, wordpiece

TEXTS = ["the mill grinds grain", "", "grain, grain and more grain!", "x"] * 7


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch", [1, 40, 10**6])
def test_documents_come_back(tmp_path, monkeypatch, kind, batch):
    monkeypatch.setattr(piece_store, "_BATCH", batch)
    tokenizer = KINDS[kind]()
    written = write_pieces(tmp_path / "store", iter(TEXTS), tokenizer)
    opened = PieceStore.open(tmp_path / "store", hash_of(tokenizer))
    pieces = tokenizer.encode(TEXTS)
    starts = starts_word(TEXTS, pieces)
    for store in (written, opened, pickle.loads(pickle.dumps(opened))):
        assert (store.n_documents, store.n_pieces) == (len(TEXTS), len(pieces))
        for i in range(len(TEXTS)):
            rows = slice(pieces.bounds[i], pieces.bounds[i + 1])
            ids, begins = store.document(i)
            assert ids.dtype == np.int64 and begins.dtype == bool
            assert ids.tolist() == pieces.ids[rows].tolist()
            assert begins.tolist() == starts[rows].tolist()


def test_files_are_as_documented(tmp_path):
    store = write_pieces(tmp_path / "s", TEXTS, wordpiece())
    assert (tmp_path / "s" / "pieces.bin").stat().st_size == 2 * store.n_pieces
    assert (tmp_path / "s" / "words.bin").stat().st_size == -(-store.n_pieces // 8)
    bounds = np.load(tmp_path / "s" / "documents.npy")
    assert bounds.dtype == np.int64 and bounds[0] == 0 and bounds[-1] == store.n_pieces
    assert sorted(p.name for p in (tmp_path / "s").iterdir()) == [
        *("documents.npy", "pieces.bin", "store.json", "words.bin"),
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


def test_large_vocabularies_take_four_bytes(tmp_path):
    tokenizer = wordpiece(n_unused=66_000)
    store = write_pieces(tmp_path / "s", ["[UNK] mill"], tokenizer)
    assert (tmp_path / "s" / "pieces.bin").stat().st_size == 4 * store.n_pieces
    assert store.document(0)[0].tolist() == tokenizer.encode(["[UNK] mill"]).ids.tolist()


def test_texts_are_read_a_batch_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(piece_store, "_BATCH", 50)
    tokenizer, sizes = wordpiece(), []
    encode = tokenizer.encode

    def spy(texts):
        sizes.append(sum(map(len, texts)))
        return encode(texts)

    monkeypatch.setattr(tokenizer, "encode", spy)
    write_pieces(tmp_path / "s", ("x" * 30 for _ in range(20)), tokenizer)
    assert sizes == [60] * 10


def test_an_empty_corpus_is_a_store_without_pieces(tmp_path):
    assert write_pieces(tmp_path / "none", [], wordpiece()).n_documents == 0
    store = write_pieces(tmp_path / "blank", ["", " "], wordpiece())
    assert (store.n_documents, store.n_pieces) == (2, 0)
    assert len(store.document(1)[0]) == 0


def test_a_failed_write_leaves_the_former_store(tmp_path):
    def texts():
        yield "grain"
        raise OSError("no space left on device")

    write_pieces(tmp_path / "s", ["mill"], wordpiece())
    with pytest.raises(OSError, match="no space"):
        write_pieces(tmp_path / "s", texts(), wordpiece())
    assert [p.name for p in tmp_path.iterdir()] == ["s"]
    assert PieceStore.open(tmp_path / "s").n_documents == 1
    assert write_pieces(tmp_path / "s", ["mill", "x"], wordpiece()).n_documents == 2


def test_another_tokenizer_is_refused(tmp_path):
    write_pieces(tmp_path / "s", ["mill"], wordpiece())
    with pytest.raises(ValueError, match="E722"):
        PieceStore.open(tmp_path / "s", hash_of(wordpiece(n_unused=1)))


def test_other_folders_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="E723"):
        write_pieces(tmp_path, ["mill"], wordpiece())
    with pytest.raises(FileNotFoundError, match="E720"):
        PieceStore.open(tmp_path)


@pytest.mark.parametrize("name", ["pieces.bin", "words.bin", "documents.npy"])
def test_a_shortened_file_is_refused(tmp_path, name):
    write_pieces(tmp_path / "s", TEXTS, wordpiece())
    path = tmp_path / "s" / name
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(ValueError, match="E721"):
        PieceStore.open(tmp_path / "s")


def test_an_unknown_format_or_no_record_is_refused(tmp_path):
    write_pieces(tmp_path / "s", TEXTS, wordpiece())
    path = tmp_path / "s" / "store.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "format": 99}))
    with pytest.raises(ValueError, match="its format is 99"):
        PieceStore.open(tmp_path / "s")
    path.write_text("{")
    with pytest.raises(ValueError, match="E721"):
        PieceStore.open(tmp_path / "s")
