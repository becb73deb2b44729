import pytest
import torch
from torch.nn import functional as F

from spacy_llm_tasks.nn.presets import preset
from spacy_llm_tasks.nn.seq2seq import EncoderDecoder
from spacy_llm_tasks.pretraining.looking.neighbors import find_neighbors, read_table
from spacy_llm_tasks.tokenization import PieceTokenizer
from spacy_llm_tasks.weights.seq2seq import save_seq2seq

from .folders import our_decoder, our_encoder, our_seq2seq, tokenizer_of

MAKERS = {"encoder": our_encoder, "decoder": our_decoder, "seq2seq": our_seq2seq}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("tokenizer", ["wordpiece", "bpe", "unigram"])
def test_nearest_by_cosine(tmp_path, kind, tokenizer):
    MAKERS[kind](tmp_path, tokenizer=tokenizer)
    table, cutter = read_table(tmp_path), tokenizer_of(tokenizer)
    assert table.shape == (cutter.n_pieces, 32)
    words = ["cat", "sleeping", "catriver"]
    found = find_neighbors(tmp_path, words, top=8)
    assert [near.word for near in found] == words
    for near in found:
        prefix = " " if tokenizer == "bpe" else ""
        own = cutter.encode([prefix + near.word]).ids.tolist()
        assert len(near.pieces) == len(own)
        center = sum(table[i] for i in own) / len(own)
        cosines = [float(F.cosine_similarity(center, row, dim=0)) for row in table]
        left_out = {*own, *range(5)}  # the special pieces come first
        order = sorted(set(range(len(table))) - left_out, key=lambda i: -cosines[i])
        assert [n.piece for n in near.neighbors] == order[:8]
        for neighbor in near.neighbors:
            assert neighbor.similarity == pytest.approx(cosines[neighbor.piece], abs=1e-5)
    assert len(found[2].pieces) > 1


def test_a_word_is_cut_as_inside_a_sentence(tmp_path):
    our_encoder(tmp_path)
    (near,) = find_neighbors(tmp_path, ["river"])
    assert near.pieces == ["Ġriver"]


def test_names_of_bytes_are_spelled_as_letters(tmp_path):
    our_encoder(tmp_path)
    (near,) = find_neighbors(tmp_path, ["été"])
    assert "".join(near.pieces) == "Ġété"
    assert "".join(tokenizer_of("bpe").spell(tokenizer_of("bpe").encode([" été"]).ids)) != "Ġété"


def test_all_pieces_are_neighbors_but_the_special_ones(tmp_path):
    our_encoder(tmp_path)
    (near,) = find_neighbors(tmp_path, ["river"], top=10**6)
    special = {0, 1, 2, 3, 4}
    n_pieces = tokenizer_of("bpe").n_pieces
    assert {n.piece for n in near.neighbors} == set(range(n_pieces)) - special - {
        int(tokenizer_of("bpe").encode([" river"]).ids[0])
    }


def test_rows_without_a_piece_are_no_neighbors(tmp_path):
    """Published tables may be longer than the vocabulary."""
    our_decoder(tmp_path, tokenizer="bpe")
    small = tokenizer_of("wordpiece")
    small.to_folder(tmp_path)
    (near,) = find_neighbors(tmp_path, ["cat"], top=10**6)
    assert max(n.piece for n in near.neighbors) == small.n_pieces - 1


def test_the_table_of_two_is_the_encoders(tmp_path):
    settings = {"positions": "sinusoidal", "sinusoidal_order": "halves", "position_offset": 0}
    config = preset("seq2seq", "tiny", n_pieces=20, width=16, embedding_norm=False, **settings)
    model = EncoderDecoder(config, config, share_embeddings=False)
    save_seq2seq(tmp_path, model, family="marian")
    assert torch.equal(read_table(tmp_path), model.encoder.piece_table)
    assert not torch.equal(model.encoder.piece_table, model.decoder.piece_table)


def test_words_that_have_no_neighbors(tmp_path):
    our_encoder(tmp_path, tokenizer="wordpiece")
    assert PieceTokenizer.from_folder(tmp_path).special.unk == 1
    with pytest.raises(ValueError, match="E789.*'☃'"):
        find_neighbors(tmp_path, ["cat", "☃"])
    with pytest.raises(ValueError, match="E783"):
        find_neighbors(tmp_path, [""])
    with pytest.raises(ValueError, match="E706.*top"):
        find_neighbors(tmp_path, ["cat"], top=0)
    tokenizer_of("bpe").to_folder(tmp_path)
    with pytest.raises(ValueError, match="E785"):
        find_neighbors(tmp_path, ["river"])
    with pytest.raises(FileNotFoundError, match="E780"):
        find_neighbors(tmp_path / "nowhere", ["river"])
