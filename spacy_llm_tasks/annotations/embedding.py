"""The vector of a document."""

import numpy as np
from spacy.tokens import Doc

from ..errors import Errors
from .store import load, store

EMBEDDING = "spacy_llm_tasks.embedding"


def set_embedding(doc: Doc, vector: np.ndarray | None) -> None:
    """Store the vector of a Doc; None removes it.

    doc (Doc): The Doc.
    vector (ndarray): (W,) numbers; kept as float32.
    RAISES (ValueError): If it has not one dimension.
    """
    if vector is None:
        doc.user_data.pop(EMBEDDING, None)
        return
    values = np.asarray(vector)
    if values.ndim != 1:
        raise ValueError(Errors.E306.format(found=values.shape))
    store(doc, EMBEDDING, values.astype("<f4").tobytes())


def get_embedding(doc: Doc) -> np.ndarray | None:
    """RETURNS (ndarray): (W,) float32, read-only; None if no component has made one."""
    kept = load(doc, EMBEDDING, None)
    return None if kept is None else np.frombuffer(kept, dtype="<f4")
