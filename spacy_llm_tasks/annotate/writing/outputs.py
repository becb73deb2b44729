"""From an annotated `Doc` to a plain row, and from plain rows to files."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from spacy.tokens import Doc, DocBin, Span

from ... import annotations
from ...annotations.store import store
from ...errors import Errors
from ..reading.columns import Columns
from ..reading.rows import Row
from .doc_names import ANSWERS, name_doc
from .formats.doc_bin import DocBinWriter
from .formats.json_lines import JsonLinesWriter
from .formats.parquet import ParquetWriter
from .formats.writer import Writer

FORMATS = ("parquet", "jsonl", "spacy")
# What a row may hold besides its id and its columns.
PARTS = (
    "text",
    "ents",
    "spans",
    "relations",
    "cats",
    "embedding",
    "answers",
    "tokens",
    "sents",
    "doc",
)
DEFAULT_PARTS = PARTS[:7]


def open_writer(
    format: str,
    path: str | Path,
    *,
    columns: Columns,
    parts: Collection[str] = DEFAULT_PARTS,
    embedding_width: int | None = None,
) -> Writer:
    """Open a file to write rows to. Its bytes depend on the rows, and on nothing else.

    format (str): "parquet" (see `schema.py`), "jsonl" (the project's JSONL, with "id" and the
        columns as further keys) or "spacy".
    path (str | Path): The file. It is written in place: give a temporary one and rename it.
    columns (Columns): The columns that the run carries through.
    parts (Collection[str]): What the rows hold, see `PARTS`. For "spacy" it must have "doc".
    embedding_width (int | None): Numbers in each embedding, where that is known: the column of
        Parquet then has it in its type.
    RETURNS (Writer): The writer. It is used in a `with` block, and the file is whole behind one
        that ends without an error.
    RAISES (ValueError): If the format or a part is unknown, or "doc" is missing for "spacy".
    RAISES (ImportError): If Parquet is written without `pyarrow`.
    """
    path = Path(path)
    check_parts(parts)
    if format == "parquet":
        return ParquetWriter(path, columns=columns, parts=parts, embedding_width=embedding_width)
    if format == "jsonl":
        return JsonLinesWriter(path, parts=parts)
    if format == "spacy":
        if "doc" not in parts:
            raise ValueError(Errors.E810.format(path=path, part="doc"))
        return DocBinWriter(path)
    expected = "one of " + ", ".join(FORMATS)
    raise ValueError(Errors.E806.format(name="format", expected=expected, found=format))


def check_parts(parts: Iterable[str]) -> None:
    """RAISES (ValueError): If a part is unknown."""
    for part in parts:
        if part not in PARTS:
            expected = "some of " + ", ".join(PARTS)
            raise ValueError(Errors.E806.format(name="parts", expected=expected, found=part))


def row_of(
    doc: Doc,
    row: Row,
    *,
    parts: Collection[str] = DEFAULT_PARTS,
    answers: Sequence[tuple[str, Any]] | None = None,
) -> dict[str, Any]:
    """An annotated Doc as a plain row. What nobody has annotated is None, which is not the same as
    an empty list. All places are characters of the text, ends exclusive.

    doc (Doc): The Doc.
    row (Row): What it was made from.
    parts (Collection[str]): What to take, see `PARTS`.
    answers (Sequence[tuple[str, Answer]] | None): Questions that were asked about the Doc, with
        the answers of `trf_qa`.
    RETURNS (dict[str, Any]): "id", "columns" and the parts, in the order of `PARTS`: lists of dicts
        as in `schema.py`, the embedding as an array, "doc" as a `DocBin` of this one Doc.
    RAISES (ValueError): If the annotations do not fit the Doc's text, as `annotations` says.
    """
    record: dict[str, Any] = {"id": row.id, "columns": row.columns}
    asked = None if answers is None else [_answer(question, found) for question, found in answers]
    if "text" in parts:
        record["text"] = doc.text
    if "ents" in parts:
        is_annotated = doc.has_annotation("ENT_IOB")
        record["ents"] = [_ent(ent) for ent in doc.ents] if is_annotated else None
    if "spans" in parts:
        record["spans"] = _spans(doc) if doc.spans else None
    if "relations" in parts:
        record["relations"] = _relations(doc) if annotations.has_relations(doc) else None
    if "cats" in parts:
        cats = [{"label": str(label), "score": float(doc.cats[label])} for label in doc.cats]
        record["cats"] = cats or None
    if "embedding" in parts:
        record["embedding"] = annotations.get_embedding(doc)
    if "answers" in parts:
        record["answers"] = asked
    if "tokens" in parts:
        record["tokens"] = [_token(token) for token in doc]
    if "sents" in parts:
        has_sents = doc.has_annotation("SENT_START")
        record["sents"] = [_place(sent) for sent in doc.sents] if has_sents else None
    if "doc" in parts:
        name_doc(doc, row.id, row.columns)
        if asked is not None:
            store(doc, ANSWERS, asked)
        record["doc"] = DocBin(docs=[doc], store_user_data=True)
    return record


def _place(span: Span) -> dict[str, Any]:
    return {"start": span.start_char, "end": span.end_char}


def _ent(ent: Span) -> dict[str, Any]:
    return {
        **_place(ent),
        "label": ent.label_,
        "score": annotations.get_confidence(ent),
        "kb_id": ent.kb_id_ or None,
    }


def _spans(doc: Doc) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name, group in doc.spans.items():
        scores = group.attrs.get("scores")
        # Components that find spans keep their scores here, one for each.
        known = list(scores) if scores is not None and len(scores) == len(group) else None
        for i, span in enumerate(group):
            score = annotations.get_confidence(span) if known is None else float(known[i])
            rows.append({"group": name, **_place(span), "label": span.label_, "score": score})
    return rows


def _relations(doc: Doc) -> list[dict[str, Any]]:
    index: dict[tuple[int, int, str], int] = {}
    for i, ent in enumerate(doc.ents):
        index.setdefault((ent.start_char, ent.end_char, ent.label_), i)
    rows = []
    for head, tail, label, score in annotations.get_relations(doc):
        places = [(span.start_char, span.end_char) for span in (head, tail)]
        rows.append(
            {
                "head": index.get((*places[0], head.label_)),
                "tail": index.get((*places[1], tail.label_)),
                "label": label,
                "score": score,
                "head_start": places[0][0],
                "head_end": places[0][1],
                "tail_start": places[1][0],
                "tail_end": places[1][1],
            }
        )
    return rows


def _answer(question: str, found: Any) -> dict[str, Any]:
    return {
        "question": question,
        "text": found.text,
        "start": found.start_char,
        "end": found.end_char,
        "score": float(found.score),
    }


def _token(token: Any) -> dict[str, Any]:
    return {
        "start": token.idx,
        "end": token.idx + len(token),
        "lemma": token.lemma_ or None,
        "pos": token.pos_ or None,
        "tag": token.tag_ or None,
        "morph": str(token.morph) or None,
        "dep": token.dep_ or None,
        "head": token.head.i if token.has_head() else None,
    }
