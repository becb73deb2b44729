"""The relation head against a loop over pairs that follows its formulas."""

import math
from dataclasses import replace

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc
from torch.nn import functional

from spacy_llm_tasks.layers import relation_head
from spacy_llm_tasks.layers.candidates import MarkedPlaces, pair_up
from spacy_llm_tasks.layers.relation_head import RelationHead, build_relation_head_v1
from spacy_llm_tasks.layers.task_head import HeadBatch
from spacy_llm_tasks.pipeline.markers import mark_entities
from spacy_llm_tasks.tokenization import PieceTokenizer
from spacy_llm_tasks.tokenization.sequences import lay_out

WIDTH, N_LABELS = 6, 3
# Tokens of each doc and its spans; docs without tokens, spans or pairs are among them.
LENGTHS = [0, 9, 4, 5, 0, 30]
SPANS = [[], [(0, 2), (0, 9), (3, 4), (8, 9)], [(0, 1)], [], [], [(2, 3), (2, 6), (25, 30)]]


def make_head(mode="shared", *, dropout=0.0, seed=0):
    torch.manual_seed(seed)
    sizes = {"hidden_width": 7, "type_width": 4, "dropout": dropout}
    head = RelationHead(width=WIDTH, n_labels=N_LABELS, mode=mode, **sizes)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return head.eval()


def make_pairs(spans=SPANS, *, max_distance=100):
    rows = [(i, a, z, (a + z) % 70) for i, found in enumerate(spans) for a, z in found]
    doc, first, last, kind = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    return pair_up(doc, first, last, kind, n_docs=len(spans), max_distance=max_distance)


def make_batch(pairs, lengths=LENGTHS, *, seed=1):
    torch.manual_seed(seed)
    sizes = np.array(lengths, dtype=np.int64)
    return HeadBatch(torch.randn(int(sizes.sum()), WIDTH), sizes, None, sizes, pairs)


def by_hand(head, pairs, docs, first, last, *, window=None):
    """docs: the rows of each doc; first, last: the rows of each span; window: which rows of its doc
    a pair looks at."""

    def span(e):
        rows = docs[pairs.doc[e]][first[e] : last[e]]
        return torch.cat(
            [rows[0], rows.max(dim=0).values, head.kinds.weight[min(pairs.kind[e], 63)]]
        )

    scores = []
    for h, t, gap in zip(pairs.head, pairs.tail, pairs.gap, strict=True):
        rows = docs[pairs.doc[h]]
        if window is not None:
            rows = rows[slice(*window(min(first[h], first[t]), max(last[h], last[t])))]
        asked = head.ask_head(span(h)) + head.ask_tail(span(t))
        attention = (head.keys(rows) @ asked / math.sqrt(head.attention_width)).softmax(dim=0)
        context = attention @ rows
        z_h = functional.gelu(head.as_head(torch.cat([span(h), context])))
        z_t = functional.gelu(head.as_tail(torch.cat([span(t), context])))
        distance = min(math.ceil(math.log2(abs(gap) + 1)), 12) * (1 if gap > 0 else -1)
        mixed = torch.cat([z_h, z_t, z_h * z_t, head.distances.weight[12 + distance]])
        scores.append(head.scores(functional.gelu(head.mix(mixed))))
    return torch.stack(scores)


def split(batch):
    return batch.rows.split(batch.lengths.tolist())


@pytest.mark.parametrize("max_cells", [2**22, 200, 1])
@torch.no_grad()
def test_scores(max_cells, monkeypatch):
    """Whole or in parts of any size."""
    monkeypatch.setattr(relation_head, "MAX_CELLS", max_cells)
    head, pairs = make_head(), make_pairs()
    batch = make_batch(pairs)
    found = head(batch)
    assert found.shape == (len(pairs), 1 + N_LABELS) == (18, 4)
    torch.testing.assert_close(found, by_hand(head, pairs, split(batch), pairs.first, pairs.last))


def test_parts_have_the_same_gradient(monkeypatch):
    pairs, gradients = make_pairs(), []
    for max_cells in (2**22, 150, 1):
        monkeypatch.setattr(relation_head, "MAX_CELLS", max_cells)
        head, batch = make_head().double(), make_batch(pairs)
        batch = replace(batch, rows=batch.rows.double().requires_grad_(True))
        (head(batch) ** 2).sum().backward()
        named = {name: p.grad for name, p in head.named_parameters()}
        gradients.append({"rows": batch.rows.grad, **named})
    for other in gradients[1:]:
        for name, gradient in gradients[0].items():
            torch.testing.assert_close(other[name], gradient, msg=name)
    assert all(gradient.abs().sum() > 0 for gradient in gradients[0].values())


def test_every_row_of_a_doc_with_pairs_has_a_gradient():
    head, pairs = make_head(), make_pairs()
    batch = make_batch(pairs)
    batch.rows.requires_grad_(True)
    head(batch).sum().backward()
    lengths = batch.lengths.tolist()
    for i, gradient in enumerate(batch.rows.grad.split(lengths)):
        touched = (gradient.abs().sum(dim=1) > 0).tolist()
        assert touched == [i in (1, 5)] * lengths[i]


@torch.no_grad()
def test_context_stays_in_its_doc():
    head, pairs = make_head(), make_pairs()
    batch = make_batch(pairs)
    expected = head(batch)
    rows = batch.rows.clone()
    rows[:9] = 100.0
    found = head(replace(batch, rows=rows))
    own = pairs.owner == 1
    assert not torch.allclose(found[own], expected[own])
    torch.testing.assert_close(found[~own], expected[~own])


@torch.no_grad()
def test_a_pair_does_not_depend_on_the_others():
    head, pairs = make_head(), make_pairs()
    batch = make_batch(pairs)
    expected = head(batch)
    for some in (np.arange(0, 18, 5), np.arange(18) % 4 != 0, np.array([17])):
        found = head(replace(batch, plan=pairs.take(some)))
        torch.testing.assert_close(found, expected[torch.from_numpy(some)])


@torch.no_grad()
def test_long_docs_are_looked_at_in_blocks(monkeypatch):
    monkeypatch.setattr(relation_head, "BLOCK", 4)
    head = make_head()
    spans = [[(0, 1), (3, 5), (8, 9), (12, 20), (29, 30)], [(0, 1), (7, 8)]]
    pairs = make_pairs(spans, max_distance=5)
    batch = make_batch(pairs, [30, 8])

    def window(first, last):
        """Its own blocks and one to each side."""
        return max(first // 4 - 1, 0) * 4, ((last - 1) // 4 + 2) * 4

    expected = by_hand(head, pairs, split(batch), pairs.first, pairs.last, window=window)
    torch.testing.assert_close(head(batch), expected)
    # Twice the size of a block is all of the doc.
    whole = by_hand(head, pairs, split(batch), pairs.first, pairs.last)
    own = pairs.owner == 1
    torch.testing.assert_close(expected[own], whole[own])
    assert not torch.allclose(expected[~own], whole[~own])


@pytest.mark.parametrize("spans", [[], [[]], [[], []], [[(0, 1)]]])
def test_no_pairs(spans):
    for mode in ("shared", "markers"):
        found = make_head(mode)(make_batch(make_pairs(spans), [3] * len(spans)))
        assert found.shape == (0, 1 + N_LABELS)


def test_dropout_only_in_training():
    head, pairs = make_head(dropout=0.5), make_pairs()
    batch = make_batch(pairs)
    assert torch.equal(head(batch), head(batch))
    head.train()
    assert not torch.equal(head(batch), head(batch))
    head.set_dropout(0.0)
    assert torch.equal(head(batch), head(batch))
    head.set_dropout(None)
    assert head.dropout.p == 0.5


def test_distances():
    gaps = np.array([0, 1, 2, 3, 4, 7, 8, 4095, 4096, 10**9, -1, -3, -(10**9)])
    classes = relation_head._distance_class(gaps) - 12
    assert classes.tolist() == [0, 1, 2, 2, 3, 3, 4, 12, 12, 12, -1, -2, -12]


# Texts with markers ------------------------------------------------------------------------------


def marked_batch(tokenizer, docs, spans, *, max_length):
    """Rows that say which text and piece they are of, so that windows do not matter."""
    places = make_pairs(spans)
    texts, pairs = mark_entities(docs, places, [f"KIND_{i}" for i in range(70)])
    sequences = lay_out(texts, PieceTokenizer.from_folder(tokenizer), max_length=max_length)
    item = np.repeat(sequences.item, sequences.lengths)
    rows = np.stack([np.sin((k + 1) * (item * 1000 + sequences.starts)) for k in range(WIDTH)])
    empty = np.zeros(len(docs), dtype=np.int64)
    batch = HeadBatch(torch.zeros(0, WIDTH), empty, None, empty, pairs)
    text_rows = torch.from_numpy(rows.T).float()
    return texts, replace(batch, text_rows=text_rows, sequences=sequences)


@pytest.mark.parametrize("max_length", [512, 14, 9])
@torch.no_grad()
def test_marked_regions(tokenizer, max_length):
    """Rows of regions that windows cut, of texts between docs without a text."""
    vocab = spacy.blank("en").vocab
    words = ["old marta quill sails from pell to lorne bay".split(), [], ["why"], ["bay"] * 14]
    docs = [Doc(vocab, words=w) for w in words]
    spans = [[(0, 9), (1, 3), (5, 6), (6, 8)], [], [(0, 1)], [(0, 1), (3, 13), (13, 14)]]
    texts, batch = marked_batch(tokenizer, docs, spans, max_length=max_length)
    pairs, sequences = batch.plan, batch.sequences
    assert len(texts) == 2 and pairs.place.text.tolist() == [0, -1, -1, 1]
    assert (len(sequences) > 2) == (max_length < 512)
    # Every piece once, in the order of the text, wherever its window stands.
    owner = np.repeat(sequences.item, sequences.lengths)
    pieces = [[] for _ in texts]
    for row in np.flatnonzero(sequences.chosen).tolist():
        pieces[owner[row]].append((int(sequences.starts[row]), int(sequences.ends[row]), row))
    empty = torch.zeros(0, WIDTH)
    docs_rows = [empty] * 4
    for i, found in enumerate(pieces):
        rows = [row for *_, row in sorted(found)]
        docs_rows[int(np.flatnonzero(pairs.place.text == i)[0])] = batch.text_rows[rows]
    first, last = [], []
    for e, doc in enumerate(pairs.doc):
        inside = [
            k
            for k, (start, end, _) in enumerate(sorted(pieces[max(pairs.place.text[doc], 0)]))
            if pairs.place.first[e] <= start and end <= pairs.place.last[e]
        ]
        first.append(min(inside, default=0))
        last.append(max(inside, default=0) + 1)
    expected = by_hand(make_head("markers"), pairs, docs_rows, first, last)
    torch.testing.assert_close(make_head("markers")(batch), expected)


@torch.no_grad()
def test_a_region_without_pieces(tokenizer):
    """No tokenizer of ours leaves a marker out, but one that does must not break the head."""
    docs = [Doc(spacy.blank("en").vocab, words="pell to lorne bay".split())]
    _, batch = marked_batch(tokenizer, docs, [[(0, 1), (3, 4)]], max_length=99)
    end = int(batch.sequences.ends.max())
    place = MarkedPlaces(np.array([0]), np.array([end + 1, end + 1]), np.array([end + 4, end + 9]))
    scores = make_head("markers")(replace(batch, plan=replace(batch.plan, place=place)))
    assert scores.shape == (2, 4) and torch.isfinite(scores).all()
    nothing = replace(batch.sequences, chosen=np.zeros_like(batch.sequences.chosen))
    assert torch.isfinite(make_head("markers")(replace(batch, sequences=nothing))).all()


def test_texts_that_nobody_gave():
    with pytest.raises(ValueError, match="E429"):
        make_head("markers")(make_batch(make_pairs()))


@pytest.mark.parametrize(
    "settings", [{"mode": "both"}, {"hidden_width": 0}, {"type_width": 0}, {"dropout": 1.5}]
)
def test_wrong_settings_are_named(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        build_relation_head_v1(None, **settings)
