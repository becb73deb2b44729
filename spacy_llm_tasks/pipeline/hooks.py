"""`doc.vector`, `doc.similarity` and their like on spans, read off the stored embedding.

spaCy asks these functions for a doc that has them in its `user_hooks`. They stand at module level
and read what is stored on the doc, so that a doc with hooks can be pickled. `Doc.to_bytes` drops
the hooks, but not the embedding; so do a DocBin, and `nlp.pipe(n_process=2)`, where docs travel as
bytes: `pipeline.similarity.attach` puts them back.

A span has no pass of its own. Its vector is the mean of its tokens' rows in `doc.tensor`, scaled to
length 1: comparable with other spans, and with documents where their vectors are means without a
projection. It needs `doc.tensor`, which a DocBin does not keep. The vectors of tokens stay spaCy's.
"""

from typing import Any

import numpy as np
from spacy.tokens import Doc, Span

from ..annotations import get_embedding
from ..errors import Errors


def install(doc: Doc) -> None:
    """Give a doc with an embedding its hooks."""
    doc.user_hooks["vector"] = vector
    doc.user_hooks["has_vector"] = has_vector
    doc.user_hooks["vector_norm"] = vector_norm
    doc.user_hooks["similarity"] = similarity
    doc.user_span_hooks["vector"] = vector
    doc.user_span_hooks["has_vector"] = has_vector
    # No "vector_norm": spaCy gives a span's vector for it, and its own norm is that of the vector.
    doc.user_span_hooks["similarity"] = similarity


def vector(item: Doc | Span) -> np.ndarray:
    """RETURNS (ndarray): (D,) float32 of a doc or span, of length 1; zeros where there is none."""
    if isinstance(item, Span):
        tensor = np.asarray(_on_cpu(item.doc.tensor))
        if tensor.ndim != 2:  # a DocBin keeps none
            return np.zeros(0, dtype=np.float32)
        rows = tensor[item.start : item.end]
        mean = rows.mean(axis=0) if len(rows) else np.zeros(tensor.shape[1], dtype=np.float32)
        return mean / max(float(np.linalg.norm(mean)), 1e-12)
    stored = get_embedding(item)
    return np.zeros(0, dtype=np.float32) if stored is None else stored


def has_vector(item: Doc | Span) -> bool:
    """RETURNS (bool): Whether the vector is not zero."""
    return bool(vector_norm(item))


def vector_norm(item: Doc | Span) -> float:
    """RETURNS (float): The length of the vector."""
    return float(np.linalg.norm(vector(item)))


def similarity(item: Doc | Span, other: Any) -> float:
    """Cosine of two vectors.

    item (Doc / Span): What is compared.
    other (Doc / Span / Token / Lexeme): What it is compared with.
    RETURNS (float): Between -1 and 1; 0 if one has no vector.
    RAISES (ValueError): If the vectors have different widths.
    """
    a, b = vector(item), np.asarray(_on_cpu(other.vector))
    lengths = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    if not lengths:
        return 0.0
    if a.shape != b.shape:
        raise ValueError(Errors.E431.format(found=a.shape[0], other=b.shape[0]))
    return float(a @ b) / lengths


def _on_cpu(array: Any) -> Any:
    return array.get() if hasattr(array, "get") else array
