"""Alignment equals what comparing every piece with every token gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_llm_tasks.tokenization import Pieces, PieceTokenizer, align


def make_pieces(offsets):
    """Pack offsets, given per text."""
    flat = [pair for text in offsets for pair in text]
    starts = np.array([start for start, _ in flat], dtype=np.int64)
    ends = np.array([end for _, end in flat], dtype=np.int64)
    lengths = np.array([len(text) for text in offsets], dtype=np.int64)
    return Pieces(ids=np.zeros_like(starts), starts=starts, ends=ends, lengths=lengths)


def aligned(piece_offsets, token_offsets):
    flat = [pair for text in token_offsets for pair in text]
    first, last = align(
        make_pieces(piece_offsets),
        [start for start, _ in flat],
        [end for _, end in flat],
        [len(text) for text in token_offsets],
    )
    assert first.dtype == last.dtype == np.int64
    return list(zip(first.tolist(), last.tolist(), strict=True))


def naive(piece_offsets, token_offsets):
    """Compare every token with every piece of its text."""
    found, base = [], 0
    for pieces, tokens in zip(piece_offsets, token_offsets, strict=True):
        for token_start, token_end in tokens:
            rows = [
                base + row
                for row, (start, end) in enumerate(pieces)
                if token_start < token_end and end > token_start and start < token_end
            ]
            found.append(rows)
        base += len(pieces)
    return found


@st.composite
def monotone_pieces(draw):
    """Offsets whose starts and ends never decrease: overlaps, gaps and empty pieces included."""
    count = draw(st.integers(0, 8))
    starts = sorted(draw(st.lists(st.integers(0, 12), min_size=count, max_size=count)))
    widths = draw(st.lists(st.integers(0, 4), min_size=count, max_size=count))
    ends, highest = [], 0
    for start, width in zip(starts, widths, strict=True):
        highest = max(highest, start + width)
        ends.append(highest)
    return list(zip(starts, ends, strict=True))


tokens = st.lists(st.tuples(st.integers(0, 16), st.integers(0, 4)), max_size=6).map(
    lambda found: [(start, start + width) for start, width in found]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(monotone_pieces(), tokens), max_size=4))
def test_equals_the_naive_answer(batch):
    piece_offsets = [pieces for pieces, _ in batch]
    token_offsets = [found for _, found in batch]
    ranges = aligned(piece_offsets, token_offsets)
    expected = naive(piece_offsets, token_offsets)
    assert [list(range(first, last)) for first, last in ranges] == expected
    assert all(first <= last for first, last in ranges)


def test_a_piece_over_two_tokens_belongs_to_both():
    assert aligned([[(0, 2), (2, 6)]], [[(0, 3), (3, 6)]]) == [(0, 2), (1, 2)]


def test_pieces_that_share_a_character_stay_together():
    emoji = [(0, 1), (1, 2), (1, 2), (1, 3), (3, 4)]
    assert aligned([emoji], [[(0, 1), (1, 2), (2, 3), (3, 4)]]) == [(0, 1), (1, 4), (3, 4), (4, 5)]


def test_an_empty_piece_belongs_to_the_token_around_it_or_to_none():
    assert aligned([[(0, 2), (2, 2), (2, 4)]], [[(0, 4)]]) == [(0, 3)]
    assert aligned([[(0, 2), (2, 2), (2, 4)]], [[(0, 2), (2, 4)]]) == [(0, 1), (2, 3)]
    assert aligned([[(2, 2)]], [[(0, 2), (2, 3)]]) == [(0, 0), (1, 1)]


def test_tokens_without_pieces():
    ranges = aligned([[(0, 1), (4, 5)], []], [[(0, 1), (2, 3), (4, 5)], [(0, 1)]])
    assert ranges == [(0, 1), (1, 1), (1, 2), (2, 2)]


def test_rows_count_over_the_whole_batch():
    ranges = aligned([[(0, 5)], [], [(0, 1), (1, 2)]], [[(0, 5)], [], [(0, 1), (1, 2)]])
    assert ranges == [(0, 1), (1, 2), (2, 3)]


def test_nothing_to_align():
    assert aligned([], []) == []
    assert aligned([[(0, 1)]], [[]]) == []


def test_arrays_of_other_texts_are_refused():
    with pytest.raises(ValueError, match="E210"):
        align(make_pieces([[(0, 1)]]), [0], [1], [1, 0])
    with pytest.raises(ValueError, match="E211"):
        align(make_pieces([[(0, 1)]]), [0, 1], [1, 2], [1])


def test_spacy_tokens_of_a_real_tokenizer(any_folder):
    spacy = pytest.importorskip("spacy")
    nlp = spacy.blank("en")
    docs = [
        nlp.make_doc(text)
        for text in ("The  others can't \u4e2d\u6587, \U0001f468\u200d\U0001f469!", "", " \n the")
    ]
    pieces = PieceTokenizer.from_folder(any_folder[0]).encode([doc.text for doc in docs])
    spans = [(token.idx, token.idx + len(token)) for doc in docs for token in doc]
    first, last = align(
        pieces,
        [start for start, _ in spans],
        [end for _, end in spans],
        [len(doc) for doc in docs],
    )
    flat = [token for doc in docs for token in doc]
    for token, start, end in zip(flat, first, last, strict=True):
        if token.text.strip() and not token.text.startswith("\u200d"):
            assert end > start, token
        if not token.text.strip(" "):
            assert end == start, token
