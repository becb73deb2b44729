"""The format in which CoNLL-2004's entities and relations are passed around, to Docs.

A document starts with a line `#doc NUMBER`; then comes a token a line, in five columns divided by
tabs: its number, the token, its BIO tag, the relations that start here and where each one ends:

    #doc 12
    0	Ada	B-Peop	['N']	[0]
    1	Lund	I-Peop	['Work_For', 'Live_In']	[4, 6]
    2	left	O	['N']	[2]

A relation stands on the last token of its head entity and names the number of the last token of
its tail entity (the "multi-head" form of Bekoulis et al. 2018, "Joint entity recognition and
relation extraction as a multi-head selection problem"); `N` is none and points at its own token.
The data: Roth & Yih 2004, "A linear programming formulation for global inference in natural
language tasks".
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from .. import annotations
from ..annotations import Relation
from ..errors import Errors
from . import tags as tagging
from .files import numbered_lines, read_text
from .report import Report

HEADER = "#doc"
NO_RELATION = "N"
_ROW = re.compile(r"\d+\t[^\t]+\t[^\t]+\t\[.*\]\t\[.*\]\s*")


@dataclass(frozen=True)
class _Row:
    line: int
    number: str
    token: str
    tag: str
    relations: list[tuple[str, str]]  # (label, number of the token it points at)


@dataclass
class _Document:
    line: int
    rows: list[_Row] = field(default_factory=list)


def read_conll04(
    path: Path, vocab: Vocab, report: Report, *, encoding: str = "utf-8"
) -> Iterator[Doc]:
    """Read a file of `#doc` blocks.

    path (Path): The file.
    vocab (Vocab): The vocabulary of the Docs, which have the tokens of the file. It does not tell
        the real spaces: they are joined by single ones, and `doc.has_unknown_spaces` is set.
    report (Report): Takes the counts of repairs and of what was unusable.
    encoding (str): Encoding of the file.
    YIELDS (Doc): One Doc per block, with entities and directed relations.
    RAISES (ValueError): If the file is missing, undecodable or holds no block with tokens.
    """
    text = read_text(path, encoding=encoding)
    documents = [document for document in _documents(text, report) if document.rows]
    if not documents:
        raise ValueError(Errors.E311.format(path=path, what=f"'{HEADER}' blocks with tokens"))
    for document in documents:
        yield _make_doc(document, vocab, report)


def looks_like_conll04(text: str) -> bool:
    """Whether a text starts with a `#doc` line and a row of five columns, two of them lists."""
    first, _, rest = text.lstrip().partition("\n")
    return first.startswith(HEADER) and _ROW.fullmatch(rest.partition("\n")[0]) is not None


def _documents(text: str, report: Report) -> Iterator[_Document]:
    document: _Document | None = None
    for number, line in numbered_lines(text):
        if line.startswith(HEADER):
            if document is not None:
                yield document
            document = _Document(number)
        elif not line.strip():
            continue
        elif document is None:
            report.reject(f"line before the first '{HEADER}'", number, line)
        else:
            row = _row(line, number, report)
            if row is not None:
                document.rows.append(row)
    if document is not None:
        yield document


def _row(line: str, number: int, report: Report) -> _Row | None:
    cells = line.split("\t")
    if len(cells) < 2 or not cells[1].strip(" "):
        report.reject("line without a token", number, line)
        return None
    if len(cells) < 3:
        report.reject("line without a tag (token kept, entity unknown)", number, line)
    relations: list[tuple[str, str]] = []
    labels, heads = (_list(cells[i]) if i < len(cells) else None for i in (3, 4))
    if labels is None or heads is None or len(labels) != len(heads):
        report.reject("relations that are not two lists of one length", number, line)
    else:
        pairs = ((str(label), str(head)) for label, head in zip(labels, heads, strict=True))
        relations = [(label, head) for label, head in pairs if label != NO_RELATION]
    tag = cells[2].strip(" ") if len(cells) > 2 else ""
    return _Row(number, cells[0].strip(), cells[1], tag, relations)


def _list(cell: str) -> list[Any] | None:
    try:
        value = ast.literal_eval(cell.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return value if isinstance(value, list) else None


def _make_doc(document: _Document, vocab: Vocab, report: Report) -> Doc:
    rows = document.rows
    doc = Doc(vocab, words=[row.token for row in rows])
    found, repairs, illegal = tagging.decode([row.tag for row in rows], "bio")
    for i, kind in repairs:
        report.repair(kind, rows[i].line, f"{rows[i].token} {rows[i].tag}")
    for i in illegal:
        if rows[i].tag:
            detail = f"{rows[i].token} {rows[i].tag!r}"
            report.reject("illegal tag (token kept, entity unknown)", rows[i].line, detail)
    entities = [Span(doc, start, end, label=label) for start, end, label in found]
    doc.set_ents(entities, missing=[doc[i : i + 1] for i in illegal], default="outside")
    owner = {token.i: entity for entity in entities for token in entity}
    position = {row.number: i for i, row in enumerate(rows)}
    relations: list[Relation] = []
    for i, row in enumerate(rows):
        for label, number in row.relations:
            to = position.get(number, -1)
            head, tail = owner.get(i), owner.get(to)
            detail = f"{row.token} {label} {number}"
            if head is None or tail is None:
                report.reject("relation whose argument is no entity", row.line, detail)
                continue
            if (i, to) != (head.end - 1, tail.end - 1):
                report.repair("relation not between last tokens of entities", row.line, detail)
            relations.append(Relation(head, tail, label))
    annotations.set_relations(doc, relations)
    return doc
