"""Texts and pairs are laid out as the checkpoint's own tokenizer does it, whole or in windows."""

import numpy as np
import pytest
from hostile_texts import TEXTS, readable

from spacy_llm_tasks.tokenization import PieceTokenizer, lay_out

PAIRS = list(zip(TEXTS, TEXTS[3:] + TEXTS[:3], strict=True))
LONG = "the quick brown fox isn't here; the others are walking and talking. " * 5


def rows_of(sequences, item):
    (k,) = np.flatnonzero(sequences.item == item)
    return slice(sequences.bounds[k], sequences.bounds[k + 1])


@pytest.mark.parametrize("inputs", [TEXTS, PAIRS], ids=["texts", "pairs"])
def test_same_ids_and_segments_as_transformers(any_folder, inputs):
    folder, theirs = any_folder
    sequences = lay_out(inputs, PieceTokenizer.from_folder(folder), max_length=10_000)
    assert sorted(sequences.item) == list(range(len(inputs)))
    assert (np.diff(sequences.lengths) >= 0).all() and sequences.lengths.sum() == len(sequences.ids)
    for item, given in enumerate(inputs):
        texts = [readable(t) for t in (given if isinstance(given, tuple) else (given,))]
        # as a batch of one: it takes a single pair with an empty second text for one text
        expected = theirs(*([text] for text in texts), return_token_type_ids=True)
        rows = rows_of(sequences, item)
        assert sequences.ids[rows].tolist() == expected["input_ids"][0], given
        if "Bert" in type(theirs).__name__:  # RoBERTa has one segment, whatever it returns
            assert sequences.segments[rows].tolist() == expected["token_type_ids"][0], given


def test_characters_and_parts(bert_folder):
    tokenizer = PieceTokenizer.from_folder(bert_folder[0])
    pairs = [("hello cab", "the world"), ("", "a"), ("cafe", "")]
    sequences = lay_out(pairs, tokenizer, max_length=64)
    for item, pair in enumerate(pairs):
        rows = rows_of(sequences, item)
        parts = sequences.part[rows]
        assert parts[0] == -1 and parts[-1] == -1 and (parts == -1).sum() == 3
        for part, text in enumerate(pair):
            own = np.flatnonzero(sequences.part[rows] == part) + rows.start
            pieces = tokenizer.encode([text])
            assert sequences.ids[own].tolist() == pieces.ids.tolist()
            assert sequences.starts[own].tolist() == pieces.starts.tolist()
            assert sequences.ends[own].tolist() == pieces.ends.tolist()
    assert sequences.chosen.tolist() == (sequences.part >= 0).tolist()


@pytest.mark.parametrize("first", [None, "hello", "walking and talking"])
def test_windows_read_every_piece_once(any_folder, first):
    folder, _ = any_folder
    tokenizer = PieceTokenizer.from_folder(folder)
    max_length = 96
    texts = [LONG, "ab", LONG * 3, ""]
    inputs = texts if first is None else [(first, text) for text in texts]
    sequences = lay_out(inputs, tokenizer, max_length=max_length)
    assert sequences.lengths.max() == max_length
    assert (sequences.ids[sequences.bounds[:-1]] == tokenizer.special.cls).all()
    assert (sequences.ids[sequences.bounds[1:] - 1] == tokenizer.special.sep).all()
    item = np.repeat(sequences.item, sequences.lengths)
    n_first = 0 if first is None else len(tokenizer.encode([first]))
    moving = 0 if first is None else 1
    for number, text in enumerate(texts):
        pieces = tokenizer.encode([text])
        rows = np.flatnonzero(sequences.chosen & (item == number) & (sequences.part == moving))
        rows = rows[np.lexsort((sequences.ends[rows], sequences.starts[rows]))]
        assert sorted(sequences.ids[rows]) == sorted(pieces.ids)
        assert sequences.starts[rows].tolist() == pieces.starts.tolist()
        n_windows = (sequences.item == number).sum()
        if first is not None:
            whole = (item == number) & (sequences.part == 0)
            assert whole.sum() == n_windows * n_first  # repeated in every window
            assert (whole & sequences.chosen).sum() == n_first


def test_a_first_text_without_room_for_the_second(bert_folder):
    tokenizer = PieceTokenizer.from_folder(bert_folder[0])
    n_pieces = len(tokenizer.encode([LONG]))
    assert len(lay_out([(LONG, "ab")], tokenizer, max_length=n_pieces + 8).lengths) == 1
    with pytest.raises(ValueError, match=rf"E216.*pair 1 has {n_pieces} pieces; at most 77"):
        lay_out([("ab", LONG), (LONG, LONG)], tokenizer, max_length=96)


@pytest.mark.parametrize("wrong", ["a text", ["a", ("a", "b")], [("a", "b", "c")], [("a",)]])
def test_neither_texts_nor_pairs(bert_folder, wrong):
    with pytest.raises(ValueError, match="E217"):
        lay_out(wrong, PieceTokenizer.from_folder(bert_folder[0]), max_length=32)


def test_nothing(bert_folder):
    sequences = lay_out([], PieceTokenizer.from_folder(bert_folder[0]), max_length=32)
    assert len(sequences.lengths) == len(sequences.ids) == 0
