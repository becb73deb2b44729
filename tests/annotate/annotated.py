"""Documents with every kind of annotation that an output has a place for."""

from functools import cache

import numpy as np
import spacy
from spacy.tokens import SpanGroup

from spacy_llm_tasks import annotations
from spacy_llm_tasks.annotate.reading.rows import Row
from spacy_llm_tasks.pipeline.asking import Answer

TEXT = "Ada met Bob in Rome. They left."
ANSWERS = [("Who?", Answer("Ada", 0, 3, 0.75)), ("When?", Answer("", 0, 0, 0.5))]


@cache
def blank():
    return spacy.blank("en")


def full_doc(nlp=None):
    doc = (nlp or blank())(TEXT)
    ada, bob = doc.char_span(0, 3, label="PER"), doc.char_span(8, 11, label="PER")
    rome = doc.char_span(15, 19, label="LOC", kb_id="Q220")
    doc.ents = [ada, bob, rome]
    annotations.set_confidences(doc, [ada, bob], [0.5, 0.25])
    met = doc.char_span(4, 7, label="VERB")
    annotations.set_relations(doc, [(bob, ada, "KNOWS", 0.5), (met, rome, "WHERE", 1.0)])
    doc.spans["sc"] = SpanGroup(doc, spans=[met], attrs={"scores": np.array([0.125])})
    doc.spans["none"] = []
    doc.cats = {"news": 0.75, "sport": 0.25}
    annotations.set_embedding(doc, np.array([0.1, 2.0, -3.5], dtype="f4"))
    doc[0].is_sent_start = True
    for token in doc[1:]:
        token.is_sent_start = token.text == "They"
    doc[0].tag_, doc[0].pos_, doc[0].lemma_ = "NNP", "PROPN", "Ada"
    doc[0].set_morph("Number=Sing")
    return doc


def row(id="d1", **columns):
    return Row(id, TEXT, columns)
