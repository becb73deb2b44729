"""The JSONL that annotation tools on top of spaCy write (tokens, spans, relations), to Docs.

A line is an object with `text`, `tokens` (`{"text", "start", "end", "id", "ws"}`), `spans`
(`{"start", "end", "token_start", "token_end", "label"}`) and `relations`:

    {"head": 1, "child": 4, "head_span": {"start": 0, "end": 8, "label": "GENE"},
     "child_span": {...}, "label": "Binds"}

`start` and `end` are characters, end exclusive; `token_end`, `head` and `child` are *last* tokens.
Characters are believed before token numbers: in published files `token_start` is wrong in the
spans of relations that start at token 0. The layout is described at
https://prodi.gy/docs/api-interfaces.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from spacy.language import Language
from spacy.tokens import Doc, Span

from .. import annotations
from ..annotations import Relation
from .exact import Mark, exact_doc, is_unicode, set_marks
from .jsonl import json_lines
from .report import Report

_NO_ANNOTATION = ("text", "tokens", "spans", "relations", "answer", "meta", "config")


def read_annotation_tool(
    path: Path, nlp: Language, report: Report, *, encoding: str = "utf-8"
) -> Iterator[Doc]:
    """Read the JSONL of an annotation tool.

    path (Path): The file.
    nlp (Language): Tokenizes texts that come without tokens, or with tokens that do not make up
        the text.
    report (Report): Takes the counts of what was unusable. An example that was not accepted
        (`"answer": "reject"` or `"ignore"`) is skipped.
    encoding (str): Encoding of the file.
    YIELDS (Doc): One Doc per accepted line with the tokens and spaces of the file: entities where
        it has `spans`, directed relations (head to child) where it has `relations`.
    RAISES (ValueError): If the file is missing, empty or undecodable.
    """
    for number, record in json_lines(path, report, encoding=encoding):
        doc = _make_doc(record, nlp, report, number)
        if doc is not None:
            yield doc


def looks_like_annotation_tool(text: str) -> bool:
    """Whether the first line is an object with a text, tokens and spans or relations."""
    try:
        record = json.loads(text.lstrip().partition("\n")[0])
    except (ValueError, RecursionError):
        return False
    if not isinstance(record, dict) or "ents" in record:
        return False
    annotated = "spans" in record or "relations" in record
    return "text" in record and isinstance(record.get("tokens"), list) and annotated


def _make_doc(record: Any, nlp: Language, report: Report, line: int) -> Doc | None:
    text = record.get("text") if isinstance(record, dict) else None
    if not isinstance(text, str):
        report.reject("line without a text", line, json.dumps(record, ensure_ascii=False))
        return None
    answer = record.get("answer", "accept")
    if answer != "accept":
        report.skip(f"example with the answer {answer!r}", line)
        return None
    for key in record:
        if key not in _NO_ANNOTATION and not key.startswith("_"):
            report.skip(f"key {key!r}", line)
    doc = _tokenized(text, record.get("tokens"), nlp, report, line)
    if doc is None:
        return None
    items = record.get("spans")
    if items is not None and not isinstance(items, list):
        report.reject("'spans' that is no list (left un-annotated)", line, repr(items))
        items = None
    marks: list[Mark] = []
    spans: list[Span | None] = []
    before = doc
    if items is not None:
        marks = [mark for item in items if (mark := _mark(item, doc, report, line)) is not None]
        doc, spans = set_marks(doc, marks, report)
    relations = record.get("relations")
    if relations is not None and not isinstance(relations, list):
        report.reject("'relations' that is no list (left un-annotated)", line, repr(relations))
    elif relations is not None:
        _set_relations(doc, relations, before, marks, spans, report, line)
    return doc


def _tokenized(text: str, tokens: Any, nlp: Language, report: Report, line: int) -> Doc | None:
    if tokens is not None and text.strip() and is_unicode(text):
        doc = _doc_of_tokens(tokens, text, nlp)
        if doc is not None:
            return doc
        report.repair("tokens that do not make up the text (tokenized anew)", line, text)
    return exact_doc(nlp, text, report, line)


def _doc_of_tokens(tokens: Any, text: str, nlp: Language) -> Doc | None:
    """A Doc of the file's tokens, or None if they do not make up the text."""
    words: list[str] = []
    spaces: list[bool] = []
    at = 0
    for token in tokens if isinstance(tokens, list) else ():
        word = token.get("text") if isinstance(token, dict) else None
        if not isinstance(word, str) or not text.startswith(word, at) or not word:
            return None
        at += len(word)
        space = token.get("ws")
        # Older files do not tell whether a space follows; the text does.
        spaces.append(space if isinstance(space, bool) else text.startswith(" ", at))
        at += spaces[-1]
        words.append(word)
    doc = Doc(nlp.vocab, words=words, spaces=spaces)
    return doc if doc.text == text else None


def _mark(item: Any, doc: Doc, report: Report, line: int) -> Mark | None:
    place = _characters(item, doc)
    label = item.get("label") if isinstance(item, dict) else None
    if place is None or not isinstance(label, str) or not label:
        report.reject("span that is not {start, end, label}", line, json.dumps(item))
        return None
    if not is_unicode(label):
        report.reject("span with half a surrogate pair", line, label)
        return None
    surface = item.get("text")
    if isinstance(surface, str) and doc.text[slice(*place)] != surface:
        detail = f"{label} {surface!r} at {place[0]}-{place[1]}"
        report.reject("span whose text does not stand at its place", line, detail)
        return None
    return Mark(*place, label, line)


def _characters(item: Any, doc: Doc) -> tuple[int, int] | None:
    """The characters of a span; from its first and last token if it does not tell them."""
    if not isinstance(item, dict):
        return None
    start, end = item.get("start"), item.get("end")
    if _is_int(start) and _is_int(end):
        return start, end
    first, last = item.get("token_start"), item.get("token_end")
    if _is_int(first) and _is_int(last) and 0 <= first <= last < len(doc):
        return doc[first].idx, doc[last].idx + len(doc[last])
    return None


def _set_relations(
    doc: Doc,
    items: list[Any],
    before: Doc,
    marks: Sequence[Mark],
    spans: Sequence[Span | None],
    report: Report,
    line: int,
) -> None:
    relations: list[Relation] = []
    for item in items:
        label = item.get("label") if isinstance(item, dict) else None
        if not isinstance(label, str) or not label:
            detail = json.dumps(item, ensure_ascii=False)
            report.reject("relation that is not {head, child, label}", line, detail)
            continue
        if not is_unicode(label):
            report.reject("relation with half a surrogate pair", line, label)
            continue
        head, tail = (_argument(item, name, before, marks) for name in ("head", "child"))
        detail = f"{item.get('head')} {label} {item.get('child')}"
        if head is None or tail is None:
            report.reject("relation whose argument is no entity", line, detail)
            continue
        head_span, tail_span = spans[head], spans[tail]
        if head_span is None or tail_span is None:
            report.reject("relation whose entity was unusable", line, detail)
        else:
            relations.append(Relation(head_span, tail_span, label))
    annotations.set_relations(doc, relations)


def _argument(item: dict[str, Any], name: str, before: Doc, marks: Sequence[Mark]) -> int | None:
    """Which mark an argument is: that of its span, else the one that holds its token."""
    span = item.get(f"{name}_span")
    if span is not None:
        place = _characters(span, before)
        label = span.get("label") if isinstance(span, dict) else None
        for i, mark in enumerate(marks):
            if (mark.start, mark.end) == place and label in (None, mark.label):
                return i
        return None
    token = item.get(name)
    if _is_int(token) and 0 <= token < len(before):
        last = before[token].idx + len(before[token]) - 1
        for i, mark in enumerate(marks):
            if mark.start <= last < mark.end:
                return i
    return None


def _is_int(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
