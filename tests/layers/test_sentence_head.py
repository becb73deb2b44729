"""The sentence head: docs and texts are pooled the same way, as loops say."""

import numpy as np
import pytest
import torch

from spacy_llm_tasks.layers.answer_head import AnswerHead
from spacy_llm_tasks.layers.sentence_head import SentenceHead
from spacy_llm_tasks.layers.task_head import HeadBatch
from spacy_llm_tasks.layers.text_views import text_view
from spacy_llm_tasks.tokenization.sequences import Sequences

WIDTH = 5
LENGTHS = np.array([3, 0, 2])  # rows of three docs
# Three texts in four sequences, sorted by length: the second is empty, the third has two windows.
ITEM, SIZES = np.array([1, 0, 2, 2]), np.array([2, 3, 4, 4])
PART = np.array([-1, -1, -1, 0, -1, -1, 0, 0, -1, -1, 0, 0, -1])
CHOSEN = np.array([0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 0], dtype=bool)


def batch_of(*, texts=True):
    torch.manual_seed(0)
    rows, text_rows = torch.randn(5, WIDTH), torch.randn(len(PART), WIDTH) - 1
    zeros = np.zeros(len(PART), dtype=np.int64)
    sequences = Sequences(zeros, zeros, SIZES, ITEM, PART, zeros, zeros, CHOSEN)
    if not texts:
        return HeadBatch(rows, LENGTHS, None, LENGTHS)
    return HeadBatch(rows, LENGTHS, None, LENGTHS, text_rows=text_rows, sequences=sequences)


def head_of(pooling, **sizes):
    torch.manual_seed(1)
    settings = {"pooling": pooling, "vector_width": None, "dropout": 0.0, **sizes}
    return SentenceHead(width=WIDTH, n_labels=0, **settings).eval()


def text_rows_of(batch, item, kind):
    """The rows that a view takes from a text."""
    bounds, rows = batch.sequences.bounds, []
    for k in np.flatnonzero(batch.sequences.item == item).tolist():
        own = list(range(bounds[k], bounds[k + 1]))
        if kind == "cls":
            own = own[:1]
        elif kind == "pieces":
            own = [row for row in own if CHOSEN[row]]
        rows += own
    return batch.text_rows[rows]


def pooled(head, rows):
    if not len(rows):
        return torch.zeros(WIDTH)
    if head.pooling == "max":
        return rows.amax(dim=0)
    if head.pooling == "weighted":
        return (head.weights(rows).softmax(dim=0) * rows).sum(dim=0)
    return rows.mean(dim=0)


@pytest.mark.parametrize("kind", ["mean", "cls", "pieces"])
def test_views_of_texts(kind):
    batch = batch_of()
    rows, owner, n_texts = text_view(batch, kind)
    assert n_texts == 3
    for item in range(3):
        expected = text_rows_of(batch, item, kind)
        assert rows[owner == item].tolist() == expected.tolist()


def test_views_without_texts():
    with pytest.raises(ValueError, match="E429"):
        text_view(batch_of(texts=False), "mean")


@pytest.mark.parametrize(
    "pooling, view", [("mean", "mean"), ("cls", "cls"), ("max", "pieces"), ("weighted", "pieces")]
)
def test_vectors_of_docs_then_of_texts(pooling, view):
    batch, head = batch_of(), head_of(pooling)
    found = head(batch)
    assert found.shape == (6, WIDTH) and head.vector_width == WIDTH
    ends = np.cumsum(LENGTHS)
    docs = [batch.rows[end - n : end] for end, n in zip(ends, LENGTHS, strict=True)]
    texts = [text_rows_of(batch, item, view) for item in range(3)]
    for vector, rows in zip(found, [*docs, *texts], strict=True):
        torch.testing.assert_close(vector, pooled(head, rows))
    torch.testing.assert_close(head(batch_of(texts=False)), found[:3])


def test_projection():
    batch, head = batch_of(), head_of("mean", vector_width=2)
    assert head.vector_width == 2
    expected = head.projection(head_of("mean")(batch))
    torch.testing.assert_close(head(batch), expected)


def test_dropout_is_its_own():
    head = head_of("mean", dropout=0.5)
    head.set_dropout(0.1)
    assert head.dropout.p == 0.5
    answers = AnswerHead(width=WIDTH, n_labels=0, dropout=0.3)
    answers.set_dropout(0.2)
    assert answers.dropout.p == 0.2
    answers.set_dropout(None)
    assert answers.dropout.p == 0.3


def test_answer_scores():
    batch = batch_of()
    head = AnswerHead(width=WIDTH, n_labels=0, dropout=0.3).eval()
    assert head(batch).tolist() == head.scores(batch.text_rows).tolist()
    assert head(batch_of(texts=False)).shape == (0, 2)
