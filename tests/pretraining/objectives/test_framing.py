from spacy_llm_tasks.pretraining.objectives.framing import frame

from .examples import SPECIAL, chunks_of


def test_chunks_stand_between_special_pieces():
    chunks = chunks_of([3, 1, 2])
    a, b, c = (part.tolist() for part in (chunks.pieces[:3], chunks.pieces[3:4], chunks.pieces[4:]))
    framed = frame(chunks, SPECIAL)
    assert framed.pieces.tolist() == [2, *a, 3, 2, *b, 3, 2, *c, 3]
    assert framed.lengths.tolist() == [5, 3, 4]
    assert framed.starts.tolist() == [0, 5, 8]
    assert framed.pieces[framed.text_rows].tolist() == chunks.pieces.tolist()


def test_the_closing_piece_may_be_left_out():
    chunks = chunks_of([3, 1])
    framed = frame(chunks, SPECIAL, closed=False)
    assert framed.pieces.tolist() == [2, *chunks.pieces[:3], 2, *chunks.pieces[3:]]
    assert framed.lengths.tolist() == [4, 2]
    assert framed.text_rows.tolist() == [1, 2, 3, 5]
