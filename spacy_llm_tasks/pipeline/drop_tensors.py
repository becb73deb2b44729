"""`trf_drop_tensors`: at the end of a pipeline, forget what the encoder has left on a doc.

The rows of an encoder are by far the largest part of a doc that it has read: 1.5 kB a token at a
width of 384. They are there for components that come later and for vectors of spans. Who keeps many
docs and reads nothing but their annotations adds this component behind all others:

    nlp.add_pipe("trf_drop_tensors", last=True)

It takes `doc.tensor`, the rows that listeners have asked for besides, and `doc._.trf_data`. What
heads have written stays, also `doc._.embedding`, and `doc.vector` and `doc.similarity` read from
it. Vectors of spans are means of rows, so they are refused. (spaCy's `doc_cleaner` puts None in the
place of the tensor, which breaks `doc.vector`, and does not know of the other rows.)
"""

from typing import Any, NoReturn

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc, Span

from ..errors import Errors
from ..layers.listener import forget
from .hooks import vector

NAME = "trf_drop_tensors"


@Language.component(NAME, requires=["doc.tensor"])
def drop_tensors(doc: Doc) -> Doc:
    """Drop an encoder's rows.

    doc (Doc): A doc that has gone through all components that read them.
    RETURNS (Doc): The same doc.
    """
    doc.tensor = np.zeros((0,), dtype=np.float32)  # as on a doc that nobody has read
    forget(doc)
    if Doc.has_extension("trf_data") and doc._.trf_data is not None:
        doc._.trf_data = None
    if doc.user_span_hooks.get("vector") is vector:
        doc.user_span_hooks["vector"] = refuse
        doc.user_span_hooks["similarity"] = refuse
    return doc


def refuse(span: Span, *_: Any) -> NoReturn:
    """RAISES (ValueError): always; stands where a span's vector was."""
    raise ValueError(Errors.E449.format(name=NAME))
