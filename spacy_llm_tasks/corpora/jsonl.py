"""The project's JSONL, one document a line, to Docs and back.

A line is an object with `text` and any of `ents`, `relations`, `cats`, `questions` and `pair`
(`{"text":, "score":, "negatives": [...]}`, the last of which may be left out).
A key that is absent means that nobody annotated it, which is not the same as an empty list: a
document without `ents` has missing entities (not counted when scoring), one with `"ents": []` has
none. The difference survives the way to a `.spacy` file and back.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeGuard

from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.util import filter_spans

from .. import annotations
from ..annotations import GoldAnswer, Pair, Question, Relation
from ..errors import Errors
from .exact import is_unicode, tokenize
from .files import numbered_lines, read_text
from .report import Report

ALIGNMENTS = ("strict", "expand", "contract")
KEYS = ("text", "ents", "relations", "cats", "questions", "pair")
# JSON's escapes may leave one; no file can hold it.
_HALF = "with half a surrogate pair"


class _Bad(Exception):
    """A value of the wrong form; its text says which."""


def read_jsonl(
    path: Path,
    nlp: Language,
    report: Report,
    *,
    align: str = "strict",
    spans_key: str = "",
    encoding: str = "utf-8",
) -> Iterator[Doc]:
    """Read the project's JSONL.

    path (Path): The file.
    nlp (Language): Tokenizes the texts (only its tokenizer is used).
    report (Report): Takes the counts of what was unusable, with line and text.
    align (str): What becomes of an entity that does not fall on token boundaries: "strict" leaves
        it out and marks its tokens missing, "expand" and "contract" move it to the tokens that it
        touches or contains.
    spans_key (str): Write entities to `doc.spans[spans_key]`, where they may overlap, instead of
        `doc.ents`.
    encoding (str): Encoding of the file.
    YIELDS (Doc): One Doc per usable line.
    RAISES (ValueError): If the file is missing, empty or undecodable, or an option is unknown.
    """
    if align not in ALIGNMENTS:
        raise ValueError(Errors.E313.format(name="align", expected=ALIGNMENTS, found=align))
    for number, record in json_lines(path, report, encoding=encoding):
        doc = record_to_doc(record, nlp, report, number, align=align, spans_key=spans_key)
        if doc is not None:
            yield doc


def json_lines(path: Path, report: Report, *, encoding: str) -> Iterator[tuple[int, Any]]:
    """Decode a file of one JSON value a line.

    path (Path): The file.
    report (Report): Takes the lines that are none; blank ones are passed over.
    encoding (str): Encoding of the file.
    YIELDS (Tuple[int, Any]): The number of a line, from 1, and its value.
    RAISES (ValueError): If the file is missing, empty or undecodable.
    """
    for number, line in numbered_lines(read_text(path, encoding=encoding)):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            report.reject("line that is no JSON", number, str(error))
            continue
        yield number, record


def record_to_doc(
    record: Any,
    nlp: Language,
    report: Report,
    line: int,
    *,
    align: str = "strict",
    spans_key: str = "",
) -> Doc | None:
    """One decoded JSONL line to a Doc; what cannot be used goes to the report.

    record (dict): The line's object.
    nlp (Language): Tokenizes the text.
    report (Report): Takes the counts.
    line (int): Line number for the report.
    align, spans_key (str): See `read_jsonl`.
    RETURNS (Doc): The Doc, or None when there is no text.
    """
    text = record.get("text") if isinstance(record, dict) else None
    if not isinstance(text, str):
        report.reject("line without a text", line, json.dumps(record, ensure_ascii=False))
        return None
    if not text:
        report.reject("empty text", line)
        return None
    if not is_unicode(text):
        report.reject(f"text {_HALF}", line, text)
        return None
    for key in record:
        if key not in KEYS:
            report.skip(f"key {key!r}", line)
    doc = tokenize(nlp, text)
    by_index: list[Span | None] = []
    if record.get("ents") is not None:
        by_index = _read_ents(doc, record["ents"], report, line, align, spans_key)
    if record.get("relations") is not None:
        _read_relations(doc, record["relations"], by_index, report, line)
    if record.get("cats") is not None:
        _read_cats(doc, record["cats"], report, line)
    if record.get("questions") is not None:
        _read_questions(doc, record["questions"], report, line)
    if record.get("pair") is not None:
        _read_pair(doc, record["pair"], report, line)
    return doc


def _read_ents(
    doc: Doc, value: Any, report: Report, line: int, align: str, spans_key: str
) -> list[Span | None]:
    """Sets the entities; returns the span of each index of the list, None for an unusable one."""
    if not isinstance(value, list):
        report.reject("'ents' that is no list (left un-annotated)", line, repr(value))
        return []
    text = doc.text
    by_index: list[Span | None] = []
    unknown: list[tuple[int, int]] = []
    for item in value:
        span: Span | None = None
        try:
            start, end, label = _entity(item, len(text))
        except _Bad as bad:
            report.reject(f"entity {bad}", line, json.dumps(item, ensure_ascii=False))
        else:
            span = doc.char_span(start, end, label=label)
            if span is None:
                detail = f"{label} {text[start:end]!r} at {start}-{end}"
                if align != "strict":
                    span = doc.char_span(start, end, label=label, alignment_mode=align)
                if span is not None and len(span):
                    report.repair(f"entity off the token boundaries ({align}ed)", line, detail)
                else:
                    span = None
                    report.reject("entity off the token boundaries", line, detail)
                    unknown.append((start, end))
        by_index.append(span)
    usable = [span for span in by_index if span is not None]
    if spans_key:
        doc.spans[spans_key] = usable
        return by_index
    kept = filter_spans(usable)
    for i, span in enumerate(by_index):
        if span is not None and not any(span is other for other in kept):
            detail = f"{span.label_} {span.text!r} at {span.start_char}-{span.end_char}"
            report.reject("entity that overlaps a longer or earlier one", line, detail)
            by_index[i] = None
    inside = {token.i for span in kept for token in span}
    missing = [
        doc[token.i : token.i + 1]
        for token in doc
        if token.i not in inside
        and any(token.idx < end and start < token.idx + len(token) for start, end in unknown)
    ]
    doc.set_ents(kept, missing=missing, default="outside")
    return by_index


def _entity(item: Any, n_characters: int) -> tuple[int, int, str]:
    if isinstance(item, dict):
        item = [item.get("start"), item.get("end"), item.get("label")]
    if not isinstance(item, list) or len(item) != 3:
        raise _Bad("that is not [start, end, label]")
    start, end, label = item
    if not _is_int(start) or not _is_int(end) or not isinstance(label, str) or not label:
        raise _Bad("that is not [start, end, label]")
    if not 0 <= start < end <= n_characters:
        raise _Bad("outside the text or empty")
    if not is_unicode(label):
        raise _Bad(_HALF)
    return start, end, label


def _read_relations(
    doc: Doc, value: Any, by_index: list[Span | None], report: Report, line: int
) -> None:
    if not isinstance(value, list):
        report.reject("'relations' that is no list (left un-annotated)", line, repr(value))
        return
    relations: list[Relation] = []
    for item in value:
        shown = json.dumps(item, ensure_ascii=False)
        head, tail, label = (
            (item.get("head"), item.get("tail"), item.get("label"))
            if isinstance(item, dict)
            else (None, None, None)
        )
        if not _is_int(head) or not _is_int(tail) or not isinstance(label, str) or not label:
            report.reject("relation that is not {head, tail, label}", line, shown)
        elif not is_unicode(label):
            report.reject(f"relation {_HALF}", line, shown)
        elif not (0 <= head < len(by_index) and 0 <= tail < len(by_index)):
            report.reject("relation whose index has no entity", line, shown)
        else:
            head_span, tail_span = by_index[head], by_index[tail]
            if head_span is None or tail_span is None:
                report.reject("relation whose entity was unusable", line, shown)
            else:
                relations.append(Relation(head_span, tail_span, label))
    annotations.set_relations(doc, relations)


def _read_cats(doc: Doc, value: Any, report: Report, line: int) -> None:
    if not isinstance(value, dict):
        report.reject("'cats' that is no object (left un-annotated)", line, repr(value))
        return
    for label, score in value.items():
        shown = f"{label}: {score}"
        if not _is_score(score):
            report.reject("category whose value is not between 0 and 1", line, shown)
        elif not is_unicode(label):
            report.reject(f"category {_HALF}", line, shown)
        else:
            doc.cats[label] = float(score)


def _read_questions(doc: Doc, value: Any, report: Report, line: int) -> None:
    if not isinstance(value, list):
        report.reject("'questions' that is no list (left un-annotated)", line, repr(value))
        return
    text = doc.text
    questions: list[Question] = []
    for i, item in enumerate(value):
        asked = item.get("question") if isinstance(item, dict) else None
        given = item.get("answers", []) if isinstance(item, dict) else None
        if not isinstance(asked, str) or not asked.strip() or not isinstance(given, list):
            shown = json.dumps(item, ensure_ascii=False)
            report.reject("question that is not {id, question, answers}", line, shown)
            continue
        name = f"{line}-{i}" if item.get("id") is None else str(item["id"])
        if not is_unicode(name + asked):
            report.reject(f"question {_HALF}", line, asked)
            continue
        answers: list[GoldAnswer] = []
        for answer in given:
            found = answer.get("text") if isinstance(answer, dict) else None
            start = answer.get("start") if isinstance(answer, dict) else None
            if not isinstance(found, str) or not found or not _is_int(start) or start < 0:
                shown = json.dumps(answer, ensure_ascii=False)
                report.reject("answer that is not {text, start}", line, shown)
            elif not text.startswith(found, start):
                report.reject("answer that does not stand at its start", line, f"{found} {start}")
            else:
                answers.append(GoldAnswer(found, start))
        if given and not answers:
            # Without its answers it would read as a question that the text does not answer.
            report.reject("question with no usable answer", line, asked)
            continue
        questions.append(Question(name, asked, (*answers,)))
    annotations.set_questions(doc, questions)


def _read_pair(doc: Doc, value: Any, report: Report, line: int) -> None:
    text = value.get("text") if isinstance(value, dict) else None
    score = value.get("score") if isinstance(value, dict) else None
    if not isinstance(text, str) or not text or not _is_score(score):
        shown = json.dumps(value, ensure_ascii=False)
        report.reject("pair that is not {text, score between 0 and 1}", line, shown)
        return
    if not is_unicode(text):
        report.reject(f"pair {_HALF}", line, text)
        return
    given = value.get("negatives")
    if given is not None and not isinstance(given, list):
        report.reject("negatives of a pair that are no list", line, repr(given))
        given = None
    negatives: list[str] = []
    for other in given or ():
        if not isinstance(other, str) or not other:
            shown = json.dumps(other, ensure_ascii=False)
            report.reject("negative of a pair that is no text", line, shown)
        elif not is_unicode(other):
            report.reject(f"negative of a pair {_HALF}", line, other)
        else:
            negatives.append(other)
    annotations.set_pair(doc, Pair(text, score, tuple(negatives)))


def _is_score(value: Any) -> TypeGuard[float]:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0.0 <= value <= 1.0


def _is_int(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


# ------------------------------------------------------------------------------ writing


def doc_to_record(doc: Doc, report: Report, line: int, *, spans_key: str = "") -> dict[str, Any]:
    """A Doc as an object of the project's JSONL, with the keys that it is annotated for.

    doc (Doc): The Doc.
    report (Report): Takes what the form cannot hold: entities missing for part of the tokens, and
        relations whose arguments are no entities.
    line (int): The Doc's number for the report.
    spans_key (str): Take entities from `doc.spans[spans_key]` instead of `doc.ents`.
    RETURNS (dict): The object. Entities in the order of the Doc; relations index into them.
    """
    record: dict[str, Any] = {"text": doc.text}
    spans: Iterable[Span] | None = None
    if spans_key:
        spans = doc.spans[spans_key] if spans_key in doc.spans else None
    elif doc.has_annotation("ENT_IOB"):
        spans = doc.ents
        if not doc.has_annotation("ENT_IOB", require_complete=True):
            report.repair("entities missing for some tokens (written as none there)", line)
    index: dict[tuple[int, int, str], int] = {}
    if spans is not None:
        record["ents"] = [[span.start_char, span.end_char, span.label_] for span in spans]
        for i, (start, end, label) in enumerate(record["ents"]):
            index.setdefault((start, end, label), i)
    if annotations.has_relations(doc):
        record["relations"] = []
        for relation in annotations.get_relations(doc):
            head, tail = (
                index.get((span.start_char, span.end_char, span.label_))
                for span in (relation.head, relation.tail)
            )
            if head is None or tail is None:
                detail = f"{relation.head.text} {relation.label} {relation.tail.text}"
                report.reject("relation whose argument is no entity", line, detail)
            else:
                record["relations"].append({"head": head, "tail": tail, "label": relation.label})
    if doc.cats:
        record["cats"] = {str(label): float(score) for label, score in doc.cats.items()}
    if annotations.has_questions(doc):
        record["questions"] = [
            {
                "id": question.id,
                "question": question.question,
                "answers": [
                    {"text": answer.text, "start": answer.start} for answer in question.answers
                ],
            }
            for question in annotations.get_questions(doc)
        ]
    pair = annotations.get_pair(doc)
    if pair is not None:
        record["pair"] = {"text": pair.text, "score": pair.score}
        if pair.negatives:
            record["pair"]["negatives"] = list(pair.negatives)
    return record


def jsonl_lines(docs: Iterable[Doc], report: Report, *, spans_key: str = "") -> Iterator[str]:
    """Docs as lines of JSONL, without line ends.

    docs (Iterable[Doc]): The Docs.
    report (Report): See `doc_to_record`.
    spans_key (str): See `doc_to_record`.
    YIELDS (str): One line per Doc.
    """
    for number, doc in enumerate(docs, start=1):
        record = doc_to_record(doc, report, number, spans_key=spans_key)
        yield json.dumps(record, ensure_ascii=False)
