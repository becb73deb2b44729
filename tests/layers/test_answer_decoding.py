"""The best spans and the gold rows, against loops over everything there is."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_llm_tasks.layers.answer_decoding import best_spans, gold_rows
from spacy_llm_tasks.layers.answer_head import answer_loss
from spacy_llm_tasks.tokenization.sequences import Sequences

TEXT = " ab  c\tdef\n gh "
# The last three stand for nothing or white space, as a byte-level vocabulary has them.
PIECES = [(1, 3), (1, 2), (2, 3), (5, 6), (7, 8), (8, 10), (12, 14), (4, 4), (3, 5), (0, 3)]


def sequences_of(windows):
    """Rows of (item, pieces): each `[CLS] question [SEP] pieces [SEP]`, question of one piece."""
    item, part, starts, ends = [], [], [], []
    for number, pieces in windows:
        item.append(number)
        part += [-1, 0, -1, *[1] * len(pieces), -1]
        starts += [0, 0, 0, *(a for a, _ in pieces), 0]
        ends += [0, 0, 0, *(z for _, z in pieces), 0]
    lengths = np.array([len(pieces) + 4 for _, pieces in windows], dtype=np.int64)
    zeros = np.zeros(len(part), dtype=np.int64)
    columns = [np.array(x, dtype=np.int64) for x in (item, part, starts, ends)]
    return Sequences(zeros, zeros, lengths, *columns, columns[1] >= 0)


def trimmed(text, first, last):
    while first < last and text[first].isspace():
        first += 1
    while first < last and text[last - 1].isspace():
        last -= 1
    return first, last


def naive(sequences, scores, text, item, max_pieces):
    """All spans of an item with the best score of each, the null score and the total."""
    spans, nulls, halves = {}, [], []
    for k, owner in enumerate(sequences.item.tolist()):
        if owner != item:
            continue
        rows = range(sequences.bounds[k], sequences.bounds[k + 1])
        nulls.append(tuple(scores[rows[0]]))
        rows = [row for row in rows if sequences.part[row] == 1]
        halves += [tuple(scores[row]) for row in rows]
        for i, a in enumerate(rows):
            for z in rows[i : i + max_pieces]:
                place = trimmed(text, int(sequences.starts[a]), int(sequences.ends[z]))
                if place[0] < place[1]:
                    value = float(scores[a, 0] + scores[z, 1])
                    spans[place] = max(value, spans.get(place, -math.inf))
    null = min(nulls, key=sum)
    halves.append(null)
    total = sum(math.log(sum(math.exp(half[i]) for half in halves)) for i in (0, 1))
    return spans, sum(null), total


pieces = st.lists(st.sampled_from(PIECES), max_size=7).map(sorted)
windows = st.lists(st.tuples(st.integers(0, 2), pieces), max_size=6).map(
    lambda drawn: [(0, PIECES[:1]), (1, []), (2, PIECES[3:5]), *drawn]
)


@settings(deadline=None, max_examples=150)
@given(windows, st.permutations(range(9)), st.integers(1, 8), st.integers(1, 6), st.integers(0, 99))
def test_best_spans_are_those_of_all_spans(drawn, order, max_pieces, n_best, seed):
    drawn = [drawn[i] for i in order if i < len(drawn)]  # windows stand in any order
    sequences = sequences_of(drawn)
    scores = np.random.default_rng(seed).normal(size=(len(sequences.part), 2))
    found = best_spans(sequences, scores, [TEXT] * 3, max_pieces=max_pieces, n_best=n_best)
    for item, spans in enumerate(found):
        every, null, total = naive(sequences, scores, TEXT, item, max_pieces)
        expected = sorted(every.items(), key=lambda pair: -pair[1])[:n_best]
        places = list(zip(spans.first.tolist(), spans.last.tolist(), strict=True))
        assert places == [place for place, _ in expected]
        np.testing.assert_allclose(spans.score, [value for _, value in expected])
        assert spans.null == pytest.approx(null) and spans.total == pytest.approx(total)


def test_probabilities_of_one_window_sum_to_one():
    sequences = sequences_of([(0, [(1, 3), (5, 6), (12, 14)])])
    scores = np.random.default_rng(0).normal(size=(7, 2))
    (spans,) = best_spans(sequences, scores, [TEXT], max_pieces=1, n_best=9)
    chosen = torch.tensor(scores[[0, 3, 4, 5]])
    each = chosen.softmax(dim=0).prod(dim=1).tolist()
    assert math.exp(spans.null - spans.total) == pytest.approx(each[0])
    assert np.exp(spans.score - spans.total).sum() == pytest.approx(sum(each[1:]))


def test_nothing_to_choose_from():
    assert best_spans(sequences_of([]), np.zeros((0, 2)), [], max_pieces=3, n_best=1) == []
    (spans,) = best_spans(sequences_of([(0, [])]), np.ones((4, 2)), [""], max_pieces=3, n_best=1)
    assert len(spans.score) == 0 and spans.null == spans.total == 2.0


def test_only_white_space_is_no_answer():
    sequences = sequences_of([(0, [(3, 5), (4, 4)])])
    (spans,) = best_spans(sequences, np.ones((6, 2)), [TEXT], max_pieces=3, n_best=1)
    assert len(spans.score) == 0


# Gold --------------------------------------------------------------------------------------------


def rows_of(sequences, answers):
    gold, open_rows = gold_rows(sequences, answers)
    assert open_rows.tolist() == [
        part == 1 or row in sequences.bounds[:-1] for row, part in enumerate(sequences.part)
    ]
    return [np.flatnonzero(column).tolist() for column in gold.T]


WORDS = [(1, 3), (5, 6), (7, 10), (12, 14)]


@pytest.mark.parametrize(
    "answer, starts, ends",
    [
        ((1, 3), [3], [3]),
        ((5, 10), [4], [5]),
        ((2, 6), [3], [4]),  # begins inside a piece
        ((8, 9), [5], [5]),  # stands inside one
        ((4, 7), [4], [4]),  # white space around it
        ((0, 3), [3], [3]),  # before the first piece
        ((12, 15), [6], [6]),  # behind the last one
        ((0, 15), [3], [6]),
        ((10, 12), [], []),  # no piece stands for it: nothing is taught, least of all a refusal
    ],
)
def test_gold_of_one_window(answer, starts, ends):
    assert rows_of(sequences_of([(0, WORDS)]), [[answer]]) == [starts, ends]


def test_gold_of_windows():
    """Windows in any order: rows 0 to 6, 7 to 13, 14 to 20, the text behind three rows of each."""
    sequences = sequences_of([(0, WORDS[1:]), (1, WORDS[:3]), (0, WORDS[:3])])
    # In both windows of item 0, in one of them, in one each; item 1 has no answer.
    assert rows_of(sequences, [[(5, 10)], []]) == [[3, 7, 18], [4, 7, 19]]
    assert rows_of(sequences, [[(1, 3)], []]) == [[0, 7, 17], [0, 7, 17]]
    assert rows_of(sequences, [[(1, 3), (12, 14)], []]) == [[5, 7, 17], [5, 7, 17]]


def test_an_answer_that_no_window_holds_teaches_nothing():
    sequences = sequences_of([(0, WORDS[:3]), (0, WORDS[1:]), (1, WORDS[:3])])
    assert rows_of(sequences, [[(1, 14)], []]) == [[14], [14]]


def test_windows_that_share_a_character():
    """A byte-level vocabulary spells one character with several pieces."""
    sequences = sequences_of([(0, [(0, 1), (1, 2), (1, 2)]), (0, [(1, 2), (2, 3), (3, 4)])])
    assert rows_of(sequences, [[(1, 2)]]) == [[4, 10], [5, 10]]


# Loss --------------------------------------------------------------------------------------------


def test_loss_is_the_mean_negative_log_likelihood():
    torch.manual_seed(0)
    lengths, scores = [5, 3, 4], torch.randn(12, 2)
    sequence = torch.repeat_interleave(torch.arange(3), torch.tensor(lengths))
    open_rows = torch.tensor([1, 0, 1, 1, 0, 1, 1, 0, 1, 0, 1, 1], dtype=torch.bool)
    gold = torch.zeros(12, 2, dtype=torch.bool)
    gold[2, 0] = gold[3, 0] = gold[3, 1] = gold[5] = True  # the last sequence teaches nothing
    parts = []
    for column in (0, 1):
        for rows in ([0, 2, 3], [5, 6]):
            p = scores[rows, column].softmax(dim=0)
            parts.append(-p[gold[rows, column]].sum().log())
    assert float(answer_loss(scores, sequence, open_rows, gold)) == pytest.approx(
        float(torch.stack(parts).mean()), abs=1e-6
    )
    scores.requires_grad_(True)
    answer_loss(scores, sequence, open_rows, gold).backward()
    assert scores.grad[8:].abs().sum() == 0 and scores.grad[:8].abs().sum() > 0
    assert scores.grad[~open_rows].abs().sum() == 0
    nothing = answer_loss(scores, sequence, open_rows, torch.zeros_like(gold))
    nothing.backward()
    assert nothing.item() == 0.0 and scores.grad.isfinite().all()
