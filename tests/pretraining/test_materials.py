"""Text, tokenizer and pieces are made once, again when they must be, never over others' files."""

import json

import pytest

from spacy_llm_tasks.pretraining.materials import Materials
from spacy_llm_tasks.pretraining.pieces.special import SpecialIds
from spacy_llm_tasks.pretraining.settings import Settings
from spacy_llm_tasks.tokenization import PieceTokenizer
from spacy_llm_tasks.tokenization.train import train_tokenizer

from .runs import values, write_texts


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("spacy_llm_tasks.files.sync", lambda path: None)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    write_texts(path, n=30)
    return path


def make(texts, folder, *, is_begun=False, readers=None, **changes):
    """RETURNS the materials, and what was said: what is found again is not spoken of."""
    said = []
    settings = Settings.from_dict(values(texts, **changes))
    materials = Materials(settings, folder, say=said.append)
    materials.make(readers or {}, max_length=77, is_begun=is_begun)
    return materials, [line for line in said if not line.startswith("Using the corpus")]


def test_made_once(texts, tmp_path):
    materials, said = make(texts, tmp_path)
    assert [line.split(":")[0] for line in said] == [
        "Training a tokenizer of 120 pieces",
        "train",
        "held_out",
    ]
    tokenizer = materials.tokenizer()
    assert tokenizer.n_pieces == 120
    documents = texts.read_text().splitlines()
    n_pieces = sum(len(tokenizer.encode([text])) for text in documents)
    assert sum(materials.pieces(split).n_pieces for split in ("train", "held_out")) == n_pieces
    assert make(texts, tmp_path)[1] == []
    assert make(texts, tmp_path, is_begun=True)[1] == []
    assert '"model_max_length": 77' in (tmp_path / "tokenizer/tokenizer_config.json").read_text()


@pytest.mark.parametrize(
    "changes, n_said",
    [
        ({"tokenizer__size": 110}, 3),
        ({"tokenizer__lowercase": False}, 3),
        ({"corpus__held_out": 0.4}, 3),
        ({"data__length": 12}, 0),  # pieces are cut to length when they are read
    ],
)
def test_made_again_from_something_else(texts, tmp_path, changes, n_said):
    make(texts, tmp_path / "one")
    one, said = make(texts, tmp_path / "one", **changes)
    assert len(said) == n_said
    two, _ = make(texts, tmp_path / "two", **changes)
    assert one.tokenizer().to_bytes() == two.tokenizer().to_bytes()
    for split in ("train", "held_out"):
        first, second = one.pieces(split), two.pieces(split)
        assert first.tokenizer_hash == second.tokenizer_hash
        assert first.bounds.tolist() == second.bounds.tolist()


def test_a_given_tokenizer_is_copied(texts, tmp_path):
    given = train_tokenizer(texts.read_text().splitlines(), kind="wordpiece", size=100)
    given.to_folder(tmp_path / "given")
    tokenizer = {"path": str(tmp_path / "given")}
    materials, said = make(texts, tmp_path / "out", tokenizer=tokenizer)
    assert len(said) == 2
    assert (
        materials.tokenizer().to_bytes()
        == PieceTokenizer.from_folder(tmp_path / "given").to_bytes()
    )
    assert materials.given_tokenizer().n_pieces == 100
    train_tokenizer(["a b c d e f"], kind="wordpiece", size=11, min_frequency=1).to_folder(
        tmp_path / "given"
    )
    assert len(make(texts, tmp_path / "out", tokenizer=tokenizer)[1]) == 2


def test_placeholders_of_personal_data_are_single_pieces(tmp_path):
    write_texts(tmp_path / "texts.txt")
    text = (tmp_path / "texts.txt").read_text()
    letter = "Please write to anna.weber@example.org or call +49 30 901820 before the bell rings.\n"
    (tmp_path / "texts.txt").write_text(text + letter)
    changes = {"corpus__scrub": ["PHONE", "EMAIL"], "corpus__held_out": 0.0}
    materials, _ = make(tmp_path / "texts.txt", tmp_path / "out", **changes)
    tokenizer = materials.tokenizer()
    pieces = tokenizer.encode(["write to <EMAIL> or <PHONE> or <IBAN>"]).ids
    assert tokenizer.spell(tokenizer.others) == ["<EMAIL>", "<PHONE>"]
    assert set(tokenizer.others) <= set(pieces.tolist())
    store = materials.pieces("train")
    ids, _ = store.document(store.n_documents - 1)
    assert set(tokenizer.others) <= set(ids.tolist())
    special = SpecialIds.from_pieces(
        tokenizer.special, n_pieces=tokenizer.n_pieces, others=tokenizer.others
    )
    assert special.among(ids).sum() == 2


@pytest.mark.parametrize("harm", ["pieces/train/pieces.bin", "pieces/held_out/store.json"])
def test_what_a_kill_has_left_is_made_again(texts, tmp_path, harm):
    make(texts, tmp_path)
    (tmp_path / harm).unlink()
    materials, said = make(texts, tmp_path)
    part, _, _ = harm.rpartition("/")
    assert [line.split(":")[0] for line in said] == [part, part.split("/")[1]]
    assert materials.pieces("train").n_pieces > 500


def test_killed_while_the_tokenizer_was_written(texts, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def die(self, path):
        path.mkdir(parents=True, exist_ok=True)
        (path / "tokenizer.json").write_text("{")
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(PieceTokenizer, "to_folder", die)
        with pytest.raises(Killed):
            make(texts, tmp_path)
    assert len(make(texts, tmp_path)[1]) == 3


def test_files_of_others_are_left_alone(texts, tmp_path):
    own = tmp_path / "tokenizer"
    train_tokenizer(texts.read_text().splitlines(), kind="wordpiece", size=100).to_folder(own)
    before = {path.name: path.read_bytes() for path in own.iterdir()}
    for changes in ({}, {"tokenizer": {"path": str(own)}}):
        with pytest.raises(ValueError, match="E778.*tokenizer.*--output"):
            make(texts, tmp_path, **changes)
    assert {path.name: path.read_bytes() for path in own.iterdir()} == before


def test_a_run_that_has_begun_changes_nothing(texts, tmp_path):
    make(texts, tmp_path)
    (tmp_path / "pieces" / "train" / "words.bin").unlink()
    with pytest.raises(ValueError, match="E774.*tokenizer"):
        make(texts, tmp_path, is_begun=True, tokenizer__size=110)
    materials, said = make(texts, tmp_path, is_begun=True)
    assert len(said) == 2 and materials.tokenizer().n_pieces == 120


@pytest.mark.parametrize("is_begun", [False, True])
@pytest.mark.parametrize("name", ["pieces.bin", "words.bin", "documents.npy"])
def test_flipped_bits_are_found_before_a_run_goes_on(texts, tmp_path, name, is_begun):
    make(texts, tmp_path)
    path = tmp_path / "pieces" / "train" / name
    whole = path.read_bytes()
    for place in (len(whole) // 2, -9):  # a bound in the middle, which its shape does not show
        spoilt = bytearray(whole)
        spoilt[place] ^= 4
        path.write_bytes(bytes(spoilt))
        _, said = make(texts, tmp_path, is_begun=is_begun)
        assert [line.split(":")[0] for line in said] == ["pieces/train", "train"]
        assert "made anew" in said[0] and path.read_bytes() == whole
        assert make(texts, tmp_path, is_begun=is_begun)[1] == []


def test_a_run_from_before_there_were_digests_goes_on(texts, tmp_path):
    make(texts, tmp_path)
    record = json.loads((tmp_path / "materials.json").read_text())
    assert set(record.pop("sha256")) == {"pieces/train", "pieces/held_out"}
    (tmp_path / "materials.json").write_text(json.dumps(record))
    assert make(texts, tmp_path, is_begun=True)[1] == []


def test_a_corpus_elsewhere_and_readers_of_other_files(tmp_path):
    documents = write_texts(tmp_path / "texts.txt")
    (tmp_path / "texts.own").write_text("x")
    changes = {"corpus__folder": str(tmp_path / "elsewhere")}
    readers = {".own": lambda path: iter(documents)}
    materials, _ = make(tmp_path / "texts.own", tmp_path / "out", readers=readers, **changes)
    assert (tmp_path / "elsewhere" / "corpus.json").is_file()
    assert not (tmp_path / "out" / "corpus").exists()
    assert materials.pieces("train").n_documents > 30
