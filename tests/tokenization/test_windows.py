"""Windows cover every document, and every piece is read where it has most context."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_llm_tasks.tokenization import plan


def naive(total, window, stride):
    """Windows of one document, with the pieces that are read from each."""
    if total <= window:
        starts = [0]
    else:
        starts = list(range(0, total - window, stride)) + [total - window]
    size = min(total, window)
    kept = [[] for _ in starts]
    for piece in range(total):
        best, best_context = None, -1
        for i, start in enumerate(starts):
            if start <= piece < start + size:
                context = min(piece - start, start + size - 1 - piece)
                if context > best_context:
                    best, best_context = i, context
        kept[best].append(piece)
    return [(start, size, pieces) for start, pieces in zip(starts, kept, strict=True)]


cases = st.integers(1, 12).flatmap(
    lambda window: st.tuples(
        st.lists(st.integers(0, 60), max_size=5), st.just(window), st.integers(1, window)
    )
)


@settings(max_examples=400, deadline=None)
@given(cases)
def test_equals_the_naive_plan(case):
    lengths, window, stride = case
    windows = plan(np.array(lengths, dtype=np.int64), window=window, stride=stride)
    expected = [
        (doc, *found) for doc, total in enumerate(lengths) for found in naive(total, window, stride)
    ]
    assert windows.doc.tolist() == [doc for doc, *_ in expected]
    assert windows.start.tolist() == [start for _, start, *_ in expected]
    assert windows.length.tolist() == [size for _, _, size, _ in expected]
    kept = zip(windows.keep_first.tolist(), windows.keep_last.tolist(), strict=True)
    assert [list(range(a, b)) for a, b in kept] == [pieces for *_, pieces in expected]


@settings(max_examples=200, deadline=None)
@given(cases, st.integers(0, 2), st.integers(0, 2))
def test_rows_lead_every_piece_back_to_itself(case, before, after):
    lengths, window, stride = case
    windows = plan(lengths, window=window, stride=stride)
    packed = np.arange(sum(lengths))
    inside = packed[windows.rows_in(lengths)]
    states, at = [], 0
    for size in windows.length:
        states += [-1] * before + inside[at : at + size].tolist() + [-1] * after
        at += size
    assert np.array(states, dtype=np.int64)[
        windows.rows_out(before=before, after=after)
    ].tolist() == (packed.tolist())


def test_short_and_empty_documents_have_one_window():
    windows = plan([3, 0, 4], window=4, stride=2)
    assert windows.doc.tolist() == [0, 1, 2]
    assert windows.length.tolist() == [3, 0, 4]
    assert windows.keep_last.tolist() == [3, 0, 4] and len(windows) == 3


def test_last_window_is_full():
    windows = plan([11], window=4, stride=3)
    assert windows.start.tolist() == [0, 3, 6, 7] and set(windows.length.tolist()) == {4}


def test_no_documents():
    assert len(plan([], window=4, stride=2)) == 0


def test_memory_follows_the_windows():
    windows = plan([10_000_000], window=512, stride=512)
    assert len(windows) == 19532
    assert all(getattr(windows, name).size == len(windows) for name in vars(windows))


@pytest.mark.parametrize(
    ("window", "stride", "code"),
    [
        (0, 1, "E213"),
        (-3, 1, "E213"),
        (4, 0, "E214"),
        (4, 5, "E214"),
        ("4", 2, "E212"),
        (4, 2.0, "E212"),
        (True, 1, "E212"),
    ],
)
def test_impossible_windows(window, stride, code):
    with pytest.raises(ValueError, match=code):
        plan([5], window=window, stride=stride)


def test_negative_length():
    with pytest.raises(ValueError, match="E215"):
        plan([5, -1], window=4, stride=2)
