"""`trf_ner`: what its decoding never gives."""

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_llm_tasks.layers.span_decoding import span_loss
from spacy_llm_tasks.layers.tag_decoding import U, tag_loss
from spacy_llm_tasks.pipeline.ner import NerTask


@pytest.fixture
def doc():
    return spacy.blank("en")("Pell \n\n sails  on \n")


def labelled(**settings):
    task = NerTask(**settings)
    task.labels = ("PLACE", "SHIP")
    return task


@pytest.mark.parametrize("overlapping", [False, True])
def test_no_span_begins_or_ends_with_white_space(doc, overlapping):
    """Every span has a high score, those with white space at an end the highest."""
    space = [token.is_space for token in doc]
    assert space[0] is False and space[1] and space[-1] and sum(space) == 3
    logits = torch.ones(len(doc), 3, 2)
    logits[0, 2] = 2.0
    for i in range(len(doc)):
        for size in range(3):
            if space[i] or space[min(i + size, len(doc) - 1)]:
                logits[i, size] = 9.0
            if i + size >= len(doc):
                logits[i, size] = -9.0
    (found,) = labelled(overlapping=overlapping).decode(logits, [doc])
    ends = [(int(a), int(z)) for a, z, _ in found.spans]
    assert (0, 2) in ends  # white space inside an entity is fine
    assert ends and not any(space[a] or space[z] for a, z in ends)
    assert len(found.scores) == len(ends)


def test_tags_on_white_space_are_no_entity(doc):
    """A tag for an entity of one token on each token: white space loses its own."""
    logits = torch.zeros(len(doc), 1 + 4 * 2)
    logits[:, U] = 5.0
    (found,) = labelled().decode(logits, [doc])
    kept = [i for i, token in enumerate(doc) if not token.is_space]
    assert [(int(a), int(z)) for a, z, _ in found.spans] == [(i, i) for i in kept]


def test_no_docs():
    assert labelled().decode(torch.zeros(0, 3, 2), []) == []


@pytest.mark.parametrize("overlapping", [False, True])
def test_labels_unknown_to_the_head_are_not_learned_as_no_entity(overlapping):
    task = labelled(overlapping=overlapping)
    gold = Doc(spacy.blank("en").vocab, words="Marta Quill sails to Pell".split())
    ents = [Span(gold, 0, 2, label="PERSON"), Span(gold, 4, 5, label="PLACE")]
    gold.set_ents(ents)
    gold.spans[task.spans_key] = ents
    targets = task.targets([Example(gold.copy(), gold)])
    assert targets.annotated.tolist() == [False, False, True, True, True]
    assert list(zip(targets.first, targets.offset, targets.label, strict=True)) == [(4, 0, 0)]
    for loss, shape in ((span_loss, (5, 3, 2)), (tag_loss, (5, 9))):
        logits = torch.zeros(shape, requires_grad=True)
        loss(logits, targets).backward()
        moved = logits.grad.reshape(5, -1).any(dim=1)
        assert np.flatnonzero(moved).tolist() == [2, 3, 4]
    gold.set_ents([Span(gold, 0, 5, label="PERSON")])
    gold.spans[task.spans_key] = list(gold.ents)
    assert task.targets([Example(gold.copy(), gold)]) is None
