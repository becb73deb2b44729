"""Heads as functions of tensors give what heads in a pipeline give; others say why they are not."""

import numpy as np
import pytest
import torch
from torch import nn

from spacy_llm_tasks.export import row_heads
from spacy_llm_tasks.export.row_heads import row_head
from spacy_llm_tasks.layers.answer_head import AnswerHead
from spacy_llm_tasks.layers.relation_head import RelationHead
from spacy_llm_tasks.layers.sentence_head import SentenceHead
from spacy_llm_tasks.layers.span_head import SpanHead
from spacy_llm_tasks.layers.tagger_head import TaggerHead
from spacy_llm_tasks.layers.task_head import HeadBatch
from spacy_llm_tasks.layers.textcat_head import TextCatHead

WIDTH = 8


def tagger(n_features):
    return TaggerHead(
        width=WIDTH, n_labels=3, feature_width=6, n_features=n_features, dropout=0.1
    ), n_features


def spans(n_features):
    head = SpanHead(
        width=WIDTH, n_labels=2, head_width=4, hidden_width=8, feature_width=6,
        n_features=n_features, dropout=0.1,
    )  # fmt: skip
    head.max_span = 5
    return head, n_features


def textcat(pooling, hidden_width=None, ngram_size=0):
    head = TextCatHead(
        width=WIDTH, n_labels=3, pooling=pooling, hidden_width=hidden_width,
        ngram_size=ngram_size, dropout=0.1,
    )  # fmt: skip
    return head, 1 if ngram_size else 0


def sentence(pooling, vector_width=None):
    head = SentenceHead(
        width=WIDTH, n_labels=0, pooling=pooling, vector_width=vector_width, dropout=0.0
    )
    return head, 0


HEADS = {
    "tags": lambda: tagger(3),
    "tags of rows alone": lambda: tagger(0),
    "spans": lambda: spans(2),
    "spans of rows alone": lambda: spans(0),
    "mean": lambda: textcat("mean"),
    "max": lambda: textcat("max", 0),
    "attention": lambda: textcat("attention", 4),
    "vectors": lambda: sentence("mean", 5),
    "highest": lambda: sentence("max"),
    "weighted": lambda: sentence("weighted", 5),
    "answers": lambda: (AnswerHead(width=WIDTH, n_labels=0, dropout=0.1), 0),
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("sizes", [[3], [1, 1], [4, 0, 9, 2, 0], [70]])
@torch.no_grad()
def test_equals_the_head(name, sizes):
    torch.manual_seed(0)
    module, n_features = HEADS[name]()
    module.eval()
    lengths = np.array(sizes)
    rows = torch.randn(sum(sizes), WIDTH)
    features = torch.randint(-(2**63), 2**63 - 1, (len(rows), n_features))
    texts = rows if isinstance(module, AnswerHead) else None
    expected = module(
        HeadBatch(rows, lengths, features if n_features else None, lengths, text_rows=texts)
    )
    head = row_head(module, n_features=n_features).head
    given = {"rows": rows, "lengths": torch.from_numpy(lengths), "features": features}
    found = head(*(given[key] for key in head.inputs))
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_a_head_is_left_as_it_is():
    module, n = spans(2)
    module.train()
    head = row_head(module, n_features=n).head
    assert module.training and isinstance(module.features.table, nn.EmbeddingBag)
    assert not head.head.training


def test_others_say_why():
    relation = RelationHead(
        width=WIDTH, n_labels=2, mode="shared", hidden_width=4, type_width=4, dropout=0.1
    )
    assert row_head(relation, n_features=0) == (None, row_heads.PLANNED)
    ngrams, n = textcat("mean", ngram_size=2)
    assert row_head(ngrams, n_features=n) == (None, row_heads.NGRAMS)
    assert row_head(nn.Linear(2, 2), n_features=0) == (None, row_heads.UNKNOWN)
