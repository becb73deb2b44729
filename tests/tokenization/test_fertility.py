import pytest
from hostile_texts import TEXTS
from toy_corpus import sentences

from spacy_llm_tasks.tokenization import Fertility, PieceTokenizer, measure, train_tokenizer


@pytest.fixture
def tokenizer(tmp_path):
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "gar", "##den", "s", ".", "a"]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    return PieceTokenizer.from_folder(tmp_path)


def test_counts_by_hand(tokenizer):
    # the | gar ##den | . the whole word "garden." is cut in three; "zebra" is unknown, in one piece
    found = measure(tokenizer, ["The garden.", "  zebra a\n\tthe "])
    assert found == Fertility(
        n_texts=2, n_words=5, n_characters=11 + 15, n_pieces=7, n_unknown=1, n_split=1
    )
    assert found.pieces_per_word == 7 / 5
    assert found.characters_per_piece == 26 / 7
    assert found.unknown_rate == 1 / 7
    assert found.split_rate == 1 / 5


@pytest.mark.parametrize("nothing", [[], ["", " \n"]])
def test_nothing(tokenizer, nothing):
    found = measure(tokenizer, nothing)
    assert found.n_texts == len(nothing) and found.n_pieces == found.n_words == 0
    assert found.pieces_per_word == found.characters_per_piece == 0
    assert found.unknown_rate == found.split_rate == 0


def test_batches_do_not_matter(tokenizer, monkeypatch):
    batch = [*TEXTS, *sentences(40)]
    whole = measure(tokenizer, iter(batch))
    monkeypatch.setattr("spacy_llm_tasks.tokenization.fertility._BATCH_CHARACTERS", 100)
    assert measure(tokenizer, iter(batch)) == whole


def test_a_larger_vocabulary_cuts_less_and_bytes_leave_nothing_unknown():
    train, unseen = list(sentences(200)), list(sentences(50, seed=9))
    sizes = {"wordpiece": (90, 200), "bpe": (280, 400), "unigram": (90, 200)}
    for kind, (small, large) in sizes.items():
        few = measure(train_tokenizer(train, kind=kind, size=small), unseen)
        many = measure(train_tokenizer(train, kind=kind, size=large), unseen)
        assert many.pieces_per_word < few.pieces_per_word, kind
        assert many.split_rate < few.split_rate, kind
        assert many.characters_per_piece > few.characters_per_piece, kind
    hostile = [text for text in TEXTS if "<unk>" not in text]
    assert measure(train_tokenizer(train, kind="bpe", size=280), hostile).n_unknown == 0
    assert measure(train_tokenizer(train, kind="unigram", size=90), hostile).n_unknown > 0


def test_wrong_input_is_named(tokenizer):
    with pytest.raises(ValueError, match="E206.*NoneType"):
        measure(tokenizer, ["fine", None])
