"""From annotated docs to entries of a search index with their vectors, where the pipeline is."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from spacy.pipeline import Sentencizer
from spacy.tokens import Doc

from ...indexing import fingerprint, similarity_of, vectors_of
from ...search import entries_of, spans_of
from ...search.vectors import checked
from ..reading.rows import Row
from ..writing.json_text import to_json
from .index_file import IndexEntries, Origin, to_line

if TYPE_CHECKING:
    from spacy.language import Language


class EntryMaker:
    """Makes the entries that `indexing.add_docs` would add.

    nlp (Language): The pipeline.
    unit (str): What an entry is: "doc", "sent" or "ent".
    RAISES (ValueError): If the pipeline has no `trf_similarity`.
    """

    def __init__(self, nlp: "Language", unit: str) -> None:
        self._pipe = similarity_of(nlp)
        width = int(self._pipe.embed(["width"]).shape[1])
        self.origin = Origin(unit, width, fingerprint(nlp))
        self._sentencizer = Sentencizer()

    def __call__(self, docs: Sequence[Doc], rows: Sequence[Row]) -> list[IndexEntries]:
        """Make the entries of a batch.

        docs (Sequence[Doc]): Annotated docs. Where sentences are wanted and nobody has found any,
            they get some, as from spaCy's `sentencizer`.
        rows (Sequence[Row]): What they were made from. Their ids name the docs of the entries.
        RETURNS (list[IndexEntries]): One for each doc.
        RAISES (ValueError): If a doc has no embedding, or a number in it is not finite.
        """
        unit = self.origin.unit
        if unit == "sent":
            docs = [self._with_sents(doc) for doc in docs]
        lines = [self._lines(doc, row) for doc, row in zip(docs, rows, strict=True)]
        spans = [span for doc in docs for span in spans_of(doc, unit)]
        width = self.origin.width
        vectors = np.zeros((0, width), dtype=np.float32)
        if spans:
            vectors = checked(vectors_of(self._pipe, spans, unit), width=width)
        found, start = [], 0
        for one in lines:
            found.append(IndexEntries(one, vectors[start : start + len(one)]))
            start += len(one)
        return found

    def _lines(self, doc: Doc, row: Row) -> list[bytes]:
        # Filters compare values of JSON; dates and decimals of Parquet are none.
        meta = {**json.loads(to_json(row.columns)), "id": row.id}
        return [
            to_line(entry) for entry in entries_of(doc, self.origin.unit, doc_id=row.id, meta=meta)
        ]

    def _with_sents(self, doc: Doc) -> Doc:
        return doc if doc.has_annotation("SENT_START") else self._sentencizer(doc)
