import numpy as np
import pytest
import torch
from torch.nn import functional as F

from spacy_llm_tasks.nn.encoder import TransformerEncoder
from spacy_llm_tasks.nn.packing import Packing
from spacy_llm_tasks.pretraining.objectives import NextSentence
from spacy_llm_tasks.pretraining.pieces.special import SpecialIds

from .examples import (
    SPECIAL,
    assert_same_gradients,
    assert_share,
    chunks_of,
    config_of,
    rng_of,
    shaken,
)

# A vocabulary in which every piece of a test tells its chunk and its place.
WIDE = SpecialIds(cls=2, sep=3, pad=0, unk=1, mask=4, n_pieces=10**6)


def telling(lengths, **settings):
    chunks = chunks_of(lengths, n_pieces=100, **settings)
    for i, (a, b) in enumerate(zip(chunks.bounds[:-1], chunks.bounds[1:], strict=True)):
        chunks.pieces[a:b] = 1000 * (i + 1) + np.arange(b - a)
    return chunks


def prepare(objective, chunks, seed=0, special=WIDE):
    return objective.prepare(chunks, special, rng=rng_of(seed), progress=0.0)


def pairs(prepared):
    """(first text, second text, label), after the frame and the segments were checked."""
    found = []
    parts = zip(
        prepared.pieces.split(prepared.lengths.tolist()),
        prepared.segments.split(prepared.lengths.tolist()),
        prepared.targets.tolist(),
        strict=True,
    )
    for pieces, segments, label in parts:
        pieces = pieces.tolist()
        middle = pieces.index(WIDE.sep)
        assert pieces[0] == WIDE.cls and pieces[-1] == WIDE.sep
        assert segments.tolist() == [0] * (middle + 1) + [1] * (len(pieces) - middle - 1)
        found.append((pieces[1:middle], pieces[middle + 1 : -1], label))
    return found


def is_stretch(pieces):
    return (np.diff(pieces) == 1).all()


@pytest.mark.parametrize("seed", range(5))
def test_half_of_the_second_texts_are_of_another_document(seed):
    documents = [0, 0, 0, 1, 1, 2, 3, 3]
    chunks = telling([60] * 8, documents=documents)
    found = pairs(prepare(NextSentence(), chunks, seed))
    assert [label for *_, label in found].count(1) == 4
    for i, (first, second, label) in enumerate(found):
        assert first[0] == 1000 * (i + 1) and is_stretch(first) and is_stretch(second)
        other = second[0] // 1000 - 1
        if label == 0:
            assert second[0] == first[-1] + 1
        else:
            assert documents[other] != documents[i]


def test_negatives_are_as_long_as_positives():
    found = pairs(prepare(NextSentence(), telling([60] * 400)))
    totals = {0: [], 1: []}
    for first, second, label in found:
        totals[label].append(len(first) + len(second))
    for values in totals.values():
        assert min(values) >= 60 - 7 and max(values) == 60
    # the same shares of every length, within what chance allows
    for total in range(53, 61):
        assert_share(totals[1].count(total), len(totals[1]), 1 / 8)
        assert_share(totals[0].count(total), len(totals[0]), 1 / 8)


def test_texts_are_cut_at_words_in_their_middle_half():
    chunks = telling([80] * 200, word=0.5)
    starts = set(chunks.pieces[chunks.starts_word].tolist())
    cuts = []
    for first, second, label in pairs(prepare(NextSentence(), chunks)):
        cuts.append(len(first))
        assert label == 1 or second[0] in starts
    assert min(cuts) < 25 and max(cuts) > 50 and len(set(cuts)) > 25
    assert 12 < min(cuts) and max(cuts) <= 60


def test_every_other_document_is_drawn():
    documents = [7, 7, 7, 7, 1, 3]
    drawn = {0: set(), 4: set()}
    for seed in range(200):
        chunks = telling([40] * 6, documents=documents)
        found = pairs(prepare(NextSentence(), chunks, seed))
        for i in drawn:
            if found[i][2]:
                drawn[i].add(found[i][1][0] // 1000 - 1)
    assert drawn == {0: {4, 5}, 4: {0, 1, 2, 3, 5}}


def test_one_document_gives_no_negatives_and_says_so():
    chunks = telling([30] * 4, documents=[5] * 4)
    with pytest.warns(UserWarning, match="W720.*4 chunks.*next_sentence"):
        prepared = prepare(NextSentence(), chunks)
    assert prepared.targets.tolist() == [0] * 4
    assert prepare(NextSentence(negatives="order"), chunks).targets.sum() == 2


def test_odd_numbers_lean_to_neither_side():
    labels = [prepare(NextSentence(), telling([20] * 3), seed).targets.sum() for seed in range(400)]
    assert set(map(int, labels)) == {1, 2}
    assert_share(sum(map(int, labels)) - 400, 400, 0.5)


@pytest.mark.parametrize("seed", range(5))
def test_order_swaps_the_texts(seed):
    chunks = telling([50] * 6, word=1.0)
    found = pairs(prepare(NextSentence(negatives="order"), chunks, seed))
    assert [label for *_, label in found].count(1) == 3
    for i, (first, second, label) in enumerate(found):
        earlier, later = (second, first) if label else (first, second)
        assert earlier + later == list(range(1000 * (i + 1), 1000 * (i + 1) + 50))


def test_order_leaves_torn_words_out():
    chunks = telling([10, 10], word=0.0, ends_document=np.array([False, True]))
    chunks.starts_word[[2, 6, 9, 13]] = True
    found = pairs(prepare(NextSentence(negatives="order"), chunks))
    texts = [sorted(first + second) for first, second, _ in found]
    assert texts == [list(range(1002, 1009)), list(range(2003, 2010))]


def test_a_single_piece_cannot_be_cut():
    prepared = prepare(NextSentence(), telling([1, 20, 1, 20, 2]))
    assert prepared.count == len(prepared.lengths) == 3
    assert prepare(NextSentence(), telling([1])).count == 0


def test_sequences_stay_within_the_frame_that_is_promised():
    chunks = telling([60, 58, 31, 9, 4, 2] * 3)
    prepared = prepare(NextSentence(), chunks)
    assert prepared.lengths.tolist() == [
        len(first) + len(second) + 3 for first, second, _ in pairs(prepared)
    ]
    assert (prepared.lengths.numpy() <= chunks.lengths + NextSentence.framing).all()


@pytest.mark.parametrize("n_segments", [0, 1, 2])
@pytest.mark.parametrize("negatives", ["next", "order"])
def test_loss_and_gradients_equal_the_naive_ones(n_segments, negatives):
    objective = NextSentence(negatives=negatives)
    trunk = shaken(TransformerEncoder(config_of(n_segments=n_segments)))
    head = shaken(objective.make_head(trunk.config), seed=1)
    prepared = prepare(objective, chunks_of([20, 12, 7, 5, 3]), special=SPECIAL)
    losses = objective.loss(trunk, head, prepared)
    naive, n_right = torch.zeros(()), 0
    sizes = prepared.lengths.tolist()
    parts = zip(prepared.pieces.split(sizes), prepared.segments.split(sizes), strict=True)
    for label, (pieces, segments) in zip(prepared.targets, parts, strict=True):
        segments = segments if n_segments == 2 else None
        hidden = trunk(pieces, Packing.from_lengths([len(pieces)]), segments=segments).last
        pooled = torch.tanh(hidden[0] @ head.dense.weight.T + head.dense.bias)
        logits = pooled @ head.decide.weight.T + head.decide.bias
        naive = naive + F.cross_entropy(logits[None], label[None])
        n_right += int(logits.argmax() == label)
    assert losses.count == 5 and losses.metrics == {"accuracy": (n_right, 5)}
    assert_same_gradients(losses.total, naive, trunk, head)


def test_bfloat16_sums_in_float32():
    objective, trunk = NextSentence(), TransformerEncoder(config_of())
    head = objective.make_head(trunk.config)
    prepared = prepare(objective, chunks_of([20] * 6), special=SPECIAL)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = objective.loss(trunk, head, prepared)
    assert losses.total.dtype == torch.float32
    losses.total.backward()


def test_settings_out_of_range_are_refused_by_name():
    with pytest.raises(ValueError, match="E730.*negatives.*next_sentence"):
        NextSentence(negatives="random")
