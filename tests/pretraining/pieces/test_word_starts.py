import numpy as np
import pytest

from spacy_llm_tasks.pretraining.pieces.word_starts import starts_word

from ..cutters import KINDS

CASES = {
    "the miller grinds": ["the", "miller", "grinds"],
    "the mill's 3,000 grains (fine)!": [
        *("the", "mill", "'", "s", "3", ",", "000", "grains", "(", "fine", ")", "!"),
    ],
    "\u4e2d\u6587mill \u4e2d": ["\u4e2d", "\u6587", "mill", "\u4e2d"],
    "  two   spaces ": ["two", "spaces"],
    "caf\u00e9s-mill": ["caf\u00e9s", "-", "mill"],
    "": [],
}


def words_of(text, pieces, starts, rows):
    """Text under the pieces of each word; pieces that cover nothing (spaces) add nothing."""
    words = []
    for i in rows:
        if starts[i]:
            words.append(set())
        words[-1].update(range(pieces.starts[i], pieces.ends[i]))
    found = ["".join(text[place] for place in sorted(places)) for places in words]
    return [word.strip() for word in found if word.strip()]


@pytest.mark.parametrize("kind", KINDS)
def test_words_are_found_without_knowing_the_tokenizer(kind):
    texts = list(CASES)
    pieces = KINDS[kind]().encode(texts)
    starts = starts_word(texts, pieces)
    assert starts.shape == (len(pieces),) and starts.dtype == bool
    bounds = pieces.bounds
    for i, text in enumerate(texts):
        assert words_of(text, pieces, starts, range(bounds[i], bounds[i + 1])) == CASES[text]


def test_a_space_piece_belongs_to_the_word_that_it_announces():
    texts = ["mill ox"]
    tokenizer = KINDS["unigram"]()
    pieces = tokenizer.encode(texts)
    names = [tokenizer._tokenizer.id_to_token(i) for i in pieces.ids.tolist()]
    assert names == ["\u2581", "mill", "\u2581", "o", "x"]
    assert starts_word(texts, pieces).tolist() == [True, False, True, False, False]


def test_pieces_of_one_character_are_one_word():
    texts = ["x \U0001f44d x"]
    pieces = KINDS["bpe"]().encode(texts)
    shared = pieces.starts == 2
    assert shared.sum() > 1
    assert starts_word(texts, pieces)[shared].sum() == 1


def test_the_first_piece_of_a_text_starts_a_word_whatever_stood_before_it():
    texts = ["mill", "", "grain"]
    pieces = KINDS["wordpiece"]().encode(texts)
    assert starts_word(texts, pieces).tolist() == [True, True]


def test_marks_and_lone_surrogates_are_read():
    texts = ["cafe\u0301s \ud800x"]
    for kind in KINDS.values():
        pieces = kind().encode(texts)
        starts = starts_word(texts, pieces)
        inside = (pieces.starts > 0) & (pieces.starts < 5)
        assert not starts[inside].any()
        assert np.all(starts[pieces.starts == 0][:1])


def test_no_texts():
    pieces = KINDS["wordpiece"]().encode([])
    assert starts_word([], pieces).shape == (0,)
