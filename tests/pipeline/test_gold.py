"""Gold annotation on other tokens than it was made on."""

import spacy
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_llm_tasks.pipeline.gold import align_spans, annotated_tokens, same_tokens


def example(words, spaces, *, ents=(), missing=()):
    """Gold on "Marta Quill left Lorne Bay", predicted on other words."""
    nlp = spacy.blank("en")
    gold = Doc(nlp.vocab, words="Marta Quill left Lorne Bay".split())
    gold.set_ents(
        [Span(gold, a, z, label=label) for a, z, label in ents],
        missing=[gold[i : i + 1] for i in missing],
        default="outside",
    )
    predicted = Doc(nlp.vocab, words=words, spaces=spaces)
    assert predicted.text == gold.text.strip()
    return Example(predicted, gold)


ENTS = [(0, 2, "PERSON"), (3, 5, "PLACE")]
SAME = ("Marta Quill left Lorne Bay".split(), [True, True, True, True, False])
SPLIT = ("Mar ta Quill left Lorne Bay".split(), [False, True, True, True, True, False])
MERGED = (["Marta", "Quill left", "Lorne", "Bay"], [True, True, True, False])


def test_same_tokens():
    eg = example(*SAME, ents=ENTS, missing=[2])
    assert same_tokens(eg)
    assert align_spans(eg, eg.reference.ents) == ENTS
    assert annotated_tokens(eg).tolist() == [True, True, False, True, True]


def test_split_tokens():
    eg = example(*SPLIT, ents=ENTS, missing=[2])
    assert not same_tokens(eg)
    assert align_spans(eg, eg.reference.ents) == [(0, 3, "PERSON"), (4, 6, "PLACE")]
    assert annotated_tokens(eg).tolist() == [True, True, True, False, True, True]


def test_an_entity_that_does_not_align_teaches_nothing():
    eg = example(*MERGED, ents=ENTS)
    assert align_spans(eg, eg.reference.ents) == [(2, 4, "PLACE")]
    assert annotated_tokens(eg).tolist() == [False, False, True, True]


def test_unannotated():
    nlp = spacy.blank("en")
    doc = Doc(nlp.vocab, words=["Pell"])
    assert annotated_tokens(Example(doc, doc.copy())).tolist() == [False]
