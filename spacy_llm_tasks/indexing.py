"""From a pipeline with `trf_similarity` to a search index: entries, vectors, and their origin."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc, Span

from .annotations import get_embedding
from .errors import Errors
from .layers.listener import Listener
from .layers.task_head import shim_of
from .pipeline.encoder import EncoderComponent
from .pipeline.owners import component_of
from .pipeline.similarity import SimilarityPipe
from .search import Entry, SearchIndex, entries_of, spans_of

# Documents whose entries are written together.
DOCS_PER_WRITE = 256


def similarity_of(nlp: Language) -> SimilarityPipe:
    """RETURNS (SimilarityPipe): The pipeline's. RAISES (ValueError): if it has none."""
    return component_of(nlp, SimilarityPipe, "trf_similarity")


def fingerprint(nlp: Language) -> str:
    """Name what decides a pipeline's vectors: the weights and windows of its encoder, its sentence
    head, and how that makes a vector of rows. Not the precision: rounded weights give vectors that
    can be compared with the exact ones.

    nlp (Language): The pipeline.
    RETURNS (str): A sha256 in hexadecimal; equal for vectors that can be compared.
    RAISES (ValueError): If it has no `trf_similarity`.
    """
    pipe = similarity_of(nlp)
    digest = hashlib.sha256(pipe.model.to_bytes())
    for _, component in nlp.pipeline:
        if isinstance(component, EncoderComponent):
            digest.update(component.model.to_bytes())
    digest.update(json.dumps(_choices(pipe)).encode("utf8"))
    return digest.hexdigest()


def _choices(pipe: SimilarityPipe) -> list[Any]:
    """What changes vectors and is not in the bytes of a model."""
    views = [node.view for node in pipe.model.walk() if isinstance(node, Listener)]
    pooling = getattr(shim_of(pipe.model).module, "pooling", None)
    return [pooling, getattr(pipe.task, "keep", None), views]


class Added(NamedTuple):
    """What `add_docs` did.

    entries (int): How many entries it put in, those that it replaced again not counted.
    repeated (int): How many docs replaced an earlier one of the same call.
    """

    entries: int
    repeated: int


def add_docs(
    nlp: Language, docs: Iterable[tuple[Doc, dict[str, Any]]], index: SearchIndex
) -> Added:
    """Add annotated docs to an index, replacing what it has of the same ones. Of docs with the same
    id the last one stays.

    nlp (Language): The pipeline that has annotated them.
    docs (Iterable[Tuple[Doc, Dict]]): Docs with their metadata, of which "id" names the doc.
    index (SearchIndex): The index.
    RETURNS (Added): How many entries were put in.
    RAISES (ValueError): If a doc has no embedding.
    """
    pipe, unit = similarity_of(nlp), index.manifest.unit
    seen: set[str] = set()
    n_docs = n_entries = 0
    with index.update():
        for chunk in _chunks(docs, DOCS_PER_WRITE):
            latest = {str(meta["id"]): (doc, meta) for doc, meta in chunk}
            n_entries -= index.delete(doc_ids=latest.keys() & seen)
            index.delete(doc_ids=latest.keys() - seen)
            seen |= latest.keys()
            entries: list[Entry] = []
            spans: list[Span] = []
            for name, (doc, meta) in latest.items():
                entries += entries_of(doc, unit, doc_id=name, meta=meta)
                spans += spans_of(doc, unit)
            if entries:
                index.add(entries, vectors_of(pipe, spans, unit))
            n_entries += len(entries)
            n_docs += len(chunk)
    return Added(n_entries, n_docs - len(seen))


def vectors_of(pipe: SimilarityPipe, spans: list[Span], unit: str) -> np.ndarray:
    """Vectors of the entries of docs.

    pipe (SimilarityPipe): The component.
    spans (List[Span]): One for each entry.
    unit (str): "doc": the docs' own embeddings. "sent" or "ent": the texts of the spans, read
        alone, so that their vectors are comparable with a query's.
    RETURNS (ndarray): (N, D) float32.
    RAISES (ValueError): If a doc has no embedding.
    """
    if unit != "doc":
        return pipe.embed([span.text for span in spans])
    found = [get_embedding(span.doc) for span in spans]
    if any(vector is None for vector in found):
        raise ValueError(Errors.E456)
    return np.stack(found)  # type: ignore[arg-type]


def _chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def open_index(nlp: Language, path: Path) -> SearchIndex:
    """RETURNS (SearchIndex): The index at a path. RAISES (ValueError): if there is none, or another
    pipeline has made it."""
    return SearchIndex.open(path, fingerprint=fingerprint(nlp))


def new_index(nlp: Language, path: Path, *, unit: str, precision: str) -> SearchIndex:
    """Make an empty index for the vectors of a pipeline.

    nlp (Language): The pipeline.
    path (Path): The folder of the index.
    unit (str): "doc", "sent" or "ent".
    precision (str): "float32", "int8" or "binary".
    RETURNS (SearchIndex): The index.
    """
    width = similarity_of(nlp).embed(["width"]).shape[1]
    return SearchIndex.create(
        path, width=width, unit=unit, precision=precision, fingerprint=fingerprint(nlp)
    )
