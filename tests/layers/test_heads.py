"""The heads against plain loops that say what they should compute."""

import itertools
import math

import numpy as np
import pytest
import torch

from spacy_llm_tasks.layers.segments import segment_softmax
from spacy_llm_tasks.layers.span_decoding import (
    SpanTargets,
    candidate_spans,
    span_loss,
    without_overlaps,
)
from spacy_llm_tasks.layers.span_head import NO_SPAN, SpanHead, band
from spacy_llm_tasks.layers.tag_decoding import TagRules, decode_tags, tag_loss
from spacy_llm_tasks.layers.task_head import HeadBatch
from spacy_llm_tasks.layers.textcat_head import N_BUCKETS, TextCatHead

WIDTH, N_LABELS = 8, 3
LENGTHS = [[5], [4, 0, 1, 7], [0, 3, 0], [1, 1]]


def batch_of(lengths, *, features=None, seed=0):
    torch.manual_seed(seed)
    sizes = np.array(lengths, dtype=np.int64)
    return HeadBatch(torch.randn(int(sizes.sum()), WIDTH), sizes, features, sizes)


def span_head(max_span, *, seed=0):
    torch.manual_seed(seed)
    sizes = {"head_width": 4, "hidden_width": 6, "feature_width": 5, "n_features": 0}
    head = SpanHead(width=WIDTH, n_labels=N_LABELS, dropout=0.0, **sizes)
    head.max_span = max_span
    return head.eval()


# Span head ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_rows, size", [(1, 1), (1, 4), (7, 3), (6, 3), (5, 8), (9, 1)])
def test_band(n_rows, size):
    torch.manual_seed(1)
    query, key = torch.randn(n_rows, 4), torch.randn(n_rows, 4)
    found = band(query, key, size)
    assert found.shape == (n_rows, size)
    for i, offset in itertools.product(range(n_rows), range(size)):
        wanted = float(query[i] @ key[i + offset]) if i + offset < n_rows else 0.0
        assert float(found[i, offset]) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("max_span", [1, 2, 5, 20])
def test_span_scores(lengths, max_span):
    """Every cell, from one token at a time: rotated query times key, a start and an end score."""
    head, batch = span_head(max_span), batch_of(lengths)
    with torch.no_grad():
        found = head(batch)
    assert found.shape == (sum(lengths), max_span, N_LABELS)
    ends = np.cumsum(lengths)
    with torch.no_grad():
        hidden = head.hidden(batch.rows)
        pointers = head.pointers(hidden)
    frequencies = [10000.0 ** (-2 * k / 4) for k in range(2)]

    def turned(vector, place):
        out = [0.0] * 4
        for k, frequency in enumerate(frequencies):
            cos, sin = math.cos(place * frequency), math.sin(place * frequency)
            a, b = float(vector[k]), float(vector[k + 2])
            out[k], out[k + 2] = a * cos - b * sin, b * cos + a * sin
        return np.array(out)

    for doc, end in enumerate(ends):
        start = end - lengths[doc]
        for i in range(start, end):
            for offset in range(max_span):
                j = i + offset
                for label in range(N_LABELS):
                    if j >= end:
                        assert found[i, offset, label] == NO_SPAN
                        continue
                    query = turned(pointers[i, :4], i - start)
                    key = turned(pointers[j, 4:], j - start)
                    wanted = query @ key / 2.0
                    wanted += float(head.starts(hidden[i])[label] + head.ends(hidden[j])[label])
                    assert float(found[i, offset, label]) == pytest.approx(wanted, abs=1e-4)


def test_scores_know_distance_not_place():
    """The same rows further on in a doc score the same: rotary positions are relative."""
    head, batch = span_head(3), batch_of([4])
    twice = HeadBatch(torch.cat([batch.rows, batch.rows]), np.array([8]), None, np.array([8]))
    with torch.no_grad():
        once, second = head(batch), head(twice)[4:]
    inside = once > NO_SPAN
    torch.testing.assert_close(once[inside], second[inside], atol=1e-4, rtol=1e-4)


def targets_of(lengths, spans, unknown=()):
    annotated = np.ones(sum(lengths), dtype=bool)
    annotated[list(unknown)] = False
    first, offset, label = np.array(spans, dtype=np.int64).reshape(-1, 3).T
    return SpanTargets(np.array(lengths), first, offset, label, annotated)


@pytest.mark.parametrize(
    "lengths, spans, unknown",
    [
        ([5], [(0, 1, 0), (3, 0, 2)], ()),
        ([4, 0, 3], [(0, 0, 1), (0, 1, 1), (4, 2, 1)], ()),
        ([4, 0, 3], [(1, 1, 0)], (0, 6)),
        ([3, 2], [], ()),
        ([6], [(0, 5, 0), (1, 0, 0)], ()),  # the first is longer than any span that is scored
        ([2, 2], [(2, 0, 0)], (0, 1)),
        ([2, 3, 2], [(0, 0, 0)], (2, 3, 4, 5, 6)),
    ],
)
def test_span_loss(lengths, spans, unknown):
    size, n_rows = 3, sum(lengths)
    ends = np.cumsum(lengths)
    doc_of = np.repeat(np.arange(len(lengths)), lengths)
    torch.manual_seed(3)
    logits = torch.randn(n_rows, size, N_LABELS) * 2
    for i, offset in itertools.product(range(n_rows), range(size)):
        if i + offset >= ends[doc_of[i]]:
            logits[i, offset] = NO_SPAN
    targets = targets_of(lengths, spans, unknown)
    gold = {span for span in spans if span[1] < size}

    wanted = 0.0
    for doc, label in itertools.product(range(len(lengths)), range(N_LABELS)):
        wrong = right = 0.0
        for i in np.flatnonzero(doc_of == doc):
            for offset in range(size):
                inside = i + offset < ends[doc]
                cell = (int(i), offset, label)
                score = float(logits[i, offset, label])
                if cell in gold:
                    right += math.exp(-score)
                elif inside and targets.annotated[i : i + offset + 1].all():
                    wrong += math.exp(score)
        wanted += math.log1p(wrong) + math.log1p(right)
    logits.requires_grad_(True)
    loss = span_loss(logits, targets)
    # Docs that nobody annotated do not thin the mean out.
    told = sum(
        not n_tokens or bool(targets.annotated[doc_of == doc].any())
        for doc, n_tokens in enumerate(lengths)
    )
    assert loss.item() == pytest.approx(wanted / (told * N_LABELS), abs=1e-4)
    loss.backward()
    assert torch.isfinite(logits.grad).all()
    for row in unknown:  # nothing is learned of spans that touch what nobody annotated
        cells = [(i, o) for i in range(n_rows) for o in range(size) if i <= row <= i + o]
        for i, offset in cells:
            for label in range(N_LABELS):
                if (i, offset, label) not in gold:
                    assert logits.grad[i, offset, label] == 0


@pytest.mark.parametrize("n_rows, threshold", [(9, 0.3), (60, 2.0), (60, 9.0)])
def test_spans_without_overlaps(n_rows, threshold):
    """Greedy by score, as written down: the best first, then whatever touches none of them."""
    torch.manual_seed(5)
    for _ in range(10):
        logits = torch.randn(n_rows, 4, N_LABELS)
        logits[torch.arange(n_rows).unsqueeze(1) + torch.arange(4) >= n_rows] = NO_SPAN
        found = candidate_spans(logits, threshold=threshold, one_label=True)
        cells = [
            (float(logits[i, o].max()), i, i + o, int(logits[i, o].argmax()))
            for i, o in itertools.product(range(n_rows), range(4))
            if logits[i, o].max() > threshold
        ]
        wanted = []
        for _score, first, last, label in sorted(cells, reverse=True):
            if all(last < a or first > z for a, z, _ in wanted):
                wanted.append((first, last, label))
        kept = without_overlaps(found, n_rows)
        triples = zip(kept.first.tolist(), kept.last.tolist(), kept.label.tolist(), strict=True)
        assert list(triples) == sorted(wanted)
        every = candidate_spans(logits, threshold=threshold, one_label=False)
        assert len(every.first) == int((logits > threshold).sum())


# Tags --------------------------------------------------------------------------------------------


def legal_sequences(length, n_labels):
    """All BILUO sequences by brute force, from the rules as one would say them."""
    names = ["O"] + [f"{k}{label}" for label in range(n_labels) for k in "BILU"]

    def is_legal(tags):
        inside = None
        for tag in tags:
            kind, label = tag[0], tag[1:]
            if kind in "OBU" and inside is not None:
                return False
            if kind in "IL" and inside != label:
                return False
            inside = label if kind in "BI" else None
        return inside is None

    for numbers in itertools.product(range(len(names)), repeat=length):
        if is_legal([names[n] for n in numbers]):
            yield numbers


def spans_of(tags):
    spans, first = [], None
    for i, tag in enumerate(tags):
        kind, label = (tag - 1) % 4, (tag - 1) // 4
        if tag == 0:
            continue
        if kind in (0, 3):
            first = i
        if kind in (2, 3):
            spans.append((first, i, label))
    return spans


@pytest.mark.parametrize("n_labels, lengths", [(1, [4, 1, 0, 5]), (2, [3, 2]), (3, [1, 3])])
@pytest.mark.parametrize("seed", [0, 1])
def test_tags_against_all_legal_sequences(n_labels, lengths, seed):
    torch.manual_seed(seed)
    logits = torch.randn(sum(lengths), 4 * n_labels + 1) * 2
    found = decode_tags(logits, np.array(lengths))
    emissions = logits.log_softmax(dim=1).double().numpy()
    wanted, odds, start = [], [], 0
    for length in lengths:
        rows = emissions[start : start + length]
        sequences = list(legal_sequences(length, n_labels))
        scores = np.array([sum(rows[i, t] for i, t in enumerate(s)) for s in sequences])
        best = sequences[int(scores.argmax())]
        total = np.exp(scores).sum()
        for first, last, label in spans_of(best):
            wanted.append((start + first, start + last, label))
            having = sum(
                math.exp(score)
                for score, s in zip(scores, sequences, strict=True)
                if s[first : last + 1] == best[first : last + 1]
            )
            probability = min(max(having / total, 1e-6), 1 - 1e-6)
            odds.append(math.log(probability / (1 - probability)))
        start += length
    triples = zip(found.first.tolist(), found.last.tolist(), found.label.tolist(), strict=True)
    assert list(triples) == wanted
    np.testing.assert_allclose(found.score, odds, atol=1e-6)


def test_tags_of_no_tokens():
    for lengths in ([], [0], [0, 0]):
        found = decode_tags(torch.zeros(0, 9), np.array(lengths, dtype=np.int64))
        assert len(found.first) == 0


def test_rules_allow_what_is_legal():
    rules = TagRules.biluo(2)
    for length in (1, 2, 3):
        legal = set(legal_sequences(length, 2))
        for tags in itertools.product(range(9), repeat=length):
            score = rules.start[tags[0]] + rules.end[tags[-1]]
            score += sum(rules.step[a, b] for a, b in itertools.pairwise(tags))
            assert (score == 0) == (tags in legal)


def test_tag_loss():
    torch.manual_seed(2)
    logits = torch.randn(7, 9)
    targets = targets_of([4, 3], [(0, 2, 1), (5, 0, 0)], unknown=(3,))
    wanted_tags = [5, 6, 7, None, 0, 4, 0]
    log_probabilities = logits.log_softmax(dim=1)
    terms = [-float(log_probabilities[i, t]) for i, t in enumerate(wanted_tags) if t is not None]
    assert tag_loss(logits, targets).item() == pytest.approx(sum(terms) / 6, abs=1e-5)


# Categories --------------------------------------------------------------------------------------


def textcat_head(pooling, *, ngram_size=0, hidden_width=0):
    torch.manual_seed(4)
    head = TextCatHead(
        width=WIDTH,
        n_labels=N_LABELS,
        pooling=pooling,
        hidden_width=hidden_width,
        ngram_size=ngram_size,
        dropout=0.5,
    )
    return head.eval()


@pytest.mark.parametrize("lengths", [*LENGTHS, [0, 0]])
@pytest.mark.parametrize("pooling", ["mean", "max", "attention", "cls", "pieces"])
def test_pooling(pooling, lengths):
    head, batch = textcat_head(pooling), batch_of(lengths)
    with torch.no_grad():
        found = head(batch)
    assert found.shape == (len(lengths), N_LABELS)
    start = 0
    for doc, length in enumerate(lengths):
        rows = batch.rows[start : start + length].double().numpy()
        start += length
        if not length:
            pooled = np.zeros(WIDTH)
        elif pooling == "max":
            pooled = rows.max(axis=0)
        elif pooling == "attention":
            scores = rows @ head.attention.weight.detach().double().numpy()[0]
            weights = np.exp(scores) / np.exp(scores).sum()
            pooled = weights @ rows
        else:
            pooled = rows.mean(axis=0)
        weight, bias = (p.detach().double().numpy() for p in head.scores.parameters())
        np.testing.assert_allclose(found[doc].numpy(), weight @ pooled + bias, atol=1e-5)


@pytest.mark.parametrize("hidden_width, expected", [(None, WIDTH), (3, 3)])
def test_hidden_layer_stands_beside_the_pooled_rows(hidden_width, expected):
    head, batch = textcat_head("mean", hidden_width=hidden_width), batch_of([2, 0, 3])
    assert head.hidden.out_features == expected
    with torch.no_grad():
        found = head(batch)
        for doc, rows in enumerate((batch.rows[:2], batch.rows[:0], batch.rows[2:])):
            pooled = rows.mean(dim=0) if len(rows) else torch.zeros(WIDTH)
            inner = head.hidden.weight @ pooled + head.hidden.bias
            bent = inner * (1 + torch.erf(inner / 2**0.5)) / 2
            weight, bias = head.scores.weight, head.scores.bias
            wanted = weight[:, :WIDTH] @ pooled + weight[:, WIDTH:] @ bent + bias
            torch.testing.assert_close(found[doc], wanted)


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("size", [1, 2, 3])
def test_ngram_buckets(lengths, size):
    """The buckets of a doc are those of its n-grams alone, whatever stands beside it."""
    generator = np.random.default_rng(0)
    words = generator.integers(-(2**63), 2**63 - 1, size=(sum(lengths), 1), dtype=np.int64)
    head = textcat_head("mean", ngram_size=size)
    batch = batch_of(lengths, features=torch.from_numpy(words))
    buckets, offsets = head._ngrams(batch)
    bounds = [*offsets.tolist(), len(buckets)]
    start = 0
    for doc, length in enumerate(lengths):
        hashes = [int(h) for h in words[start : start + length, 0]]
        start += length
        wanted = []
        for n in range(1, size + 1):
            for i in range(length - n + 1):
                value = hashes[i]
                for word in hashes[i + 1 : i + n]:
                    value = (value * 0x9E3779B1 + word + 2**63) % 2**64 - 2**63
                wanted.append((value >> 20) % N_BUCKETS)
        assert sorted(buckets[bounds[doc] : bounds[doc + 1]].tolist()) == sorted(wanted)


def test_segment_softmax():
    torch.manual_seed(6)
    values = (torch.randn(6) * 50).requires_grad_(True)  # large: plain exp would overflow
    segments = torch.tensor([0, 0, 2, 2, 2, 3])
    found = segment_softmax(values, segments, 5)
    for segment in range(4):
        mask = segments == segment
        torch.testing.assert_close(found[mask], values[mask].softmax(0))
    found[2].backward()
    assert torch.isfinite(values.grad).all()
