"""The standoff format of brat: a text in `X.txt`, its annotations in `X.ann`, to Docs.

    T1	Plant 4 12	fir tree
    T2	Place 20 24;30 34	Oslo Fjord
    R1	GrowsIn Arg1:T1 Arg2:T2

Entities (`T`) stand at characters of the text file, end exclusive, relations (`R`) point from
their first to their second argument. See https://brat.nlplab.org/standoff.html (Stenetorp et al.
2012, "brat: a Web-based Tool for NLP-Assisted Text Annotation"). What a Doc has no place for is
counted: entities in several pieces, events, equivalences, attributes and normalizations. Triggers
of events are entities as the others.
"""

import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc

from .. import annotations
from ..annotations import Relation
from ..errors import Errors
from .exact import Mark, exact_doc, set_marks
from .files import MARK, numbered_lines, read_text
from .report import Report

_ENTITY = re.compile(r"(\S+)[ \t]+(\d+ \d+(?:;\d+ \d+)*)(?:\t(.*))?")
_RELATION = re.compile(r"(\S+)\s+([^\s:]+):(\S+)\s+([^\s:]+):(\S+)\s*")
_NOT_READ = {
    "E": "event (not read; its trigger is)",
    "*": "equivalence (not read)",
    "A": "attribute (not read)",
    "M": "attribute (not read)",
    "N": "normalization (not read)",
}


@dataclass(frozen=True)
class _Arc:
    line: int
    label: str
    head: str
    tail: str


@dataclass
class _Standoff:
    marks: dict[str, Mark] = field(default_factory=dict)  # by id
    arcs: list[_Arc] = field(default_factory=list)
    unusable: set[str] = field(default_factory=set)


def read_brat(
    path: Path, nlp: Language, report: Report, *, encoding: str = "utf-8"
) -> Iterator[Doc]:
    """Read a folder of brat's files, or one of them.

    path (Path): A folder with pairs `X.txt` and `X.ann`, or one file of a pair.
    nlp (Language): Tokenizes the texts; a token of which only a part is an entity is cut.
    report (Report): Takes the counts of what was unusable, by file and line.
    encoding (str): Encoding of the files.
    YIELDS (Doc): One Doc per pair, with entities (of overlapping ones the longest) and directed
        relations. An empty `.ann` file says that there are none.
    RAISES (ValueError): If a file is missing or undecodable, or the folder has no `.ann` file.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(path.glob("*.ann"))
        if not files:
            raise ValueError(Errors.E311.format(path=path, what=".ann files"))
        alone = [file for file in path.glob("*.txt") if not file.with_suffix(".ann").is_file()]
        for file in sorted(alone):
            _reject(report, file, "text without its .ann file")
    else:
        files = [path.with_suffix(".ann")]
    for file in files:
        source = file.with_suffix(".txt")
        if path.is_dir() and not source.is_file():
            _reject(report, file, "annotations without their .txt file")
            continue
        own = Report(file)
        doc = _make_doc(source, file, nlp, own, encoding)
        report.merge(own)
        if doc is not None:
            yield doc


def _reject(report: Report, file: Path, reason: str) -> None:
    own = Report(file)
    own.reject(reason, 1)
    report.merge(own)


def _read(path: Path, encoding: str) -> str:
    """A file's text; empty files are legal here, and mean that there is nothing to annotate."""
    if path.is_file() and not path.read_bytes().removeprefix(BOM_UTF8).strip():
        return ""
    return read_text(path, encoding=encoding, keep_mark=True)


def _make_doc(source: Path, file: Path, nlp: Language, report: Report, encoding: str) -> Doc | None:
    text = _read(source, encoding)
    content = _read(file, encoding).removeprefix(MARK)
    if text.startswith(MARK):
        text = text.removeprefix(MARK)
        standoff = _parse_behind_mark(content, text, report)
    else:
        standoff = _parse(content, text, report)
    doc = exact_doc(nlp, text, report, 1)
    if doc is None:
        return None
    doc, spans = set_marks(doc, list(standoff.marks.values()), report)
    by_id = dict(zip(standoff.marks, spans, strict=True))
    relations: list[Relation] = []
    for arc in standoff.arcs:
        head, tail = by_id.get(arc.head), by_id.get(arc.tail)
        detail = f"{arc.label} {arc.head} {arc.tail}"
        if head is not None and tail is not None:
            relations.append(Relation(head, tail, arc.label))
        elif all(name in by_id or name in standoff.unusable for name in (arc.head, arc.tail)):
            report.reject("relation whose entity was unusable", arc.line, detail)
        else:
            report.reject("relation whose argument is no entity", arc.line, detail)
    annotations.set_relations(doc, relations)
    return doc


def _parse(content: str, text: str, report: Report) -> _Standoff:
    standoff = _Standoff()
    for number, line in numbered_lines(content):
        if not line.strip():
            continue
        name, _, rest = line.partition("\t")
        kind = name[:1]
        if kind == "#":
            report.skip("note line", number)
        elif kind in _NOT_READ:
            report.reject(_NOT_READ[kind], number, line)
        elif kind == "T":
            mark = _mark(rest, text, report, number, line)
            if mark is None or name in standoff.marks:
                if mark is not None:
                    report.reject("entity whose id was used before", number, line)
                standoff.unusable.add(name)
            else:
                standoff.marks[name] = mark
        elif kind == "R" and (match := _RELATION.fullmatch(rest)):
            label, first_role, first, second_role, second = match.groups()
            if (first_role, second_role) == ("Arg2", "Arg1"):
                first, second = second, first
            standoff.arcs.append(_Arc(number, label, first, second))
        else:
            report.reject("line that is no annotation", number, line)
    return standoff


def _parse_behind_mark(content: str, text: str, report: Report) -> _Standoff:
    """As `_parse`, for a text that follows a byte order mark in its file. brat counts that mark as
    a character, tools that take it off first do not: as more of the annotations say is done."""
    counting, other = Report(report.path), Report(report.path)
    standoff, uncounted = _parse(content, MARK + text, counting), _parse(content, text, other)
    if sum(other.unusable.values()) < sum(counting.unusable.values()):
        report.merge(other)
        return uncounted
    report.merge(counting)
    for name, mark in standoff.marks.items():
        standoff.marks[name] = replace(mark, start=max(mark.start - 1, 0), end=mark.end - 1)
    return standoff


def _mark(rest: str, text: str, report: Report, number: int, line: str) -> Mark | None:
    match = _ENTITY.fullmatch(rest)
    if match is None:
        report.reject("line that is no annotation", number, line)
        return None
    pieces = [[int(place) for place in piece.split(" ")] for piece in match.group(2).split(";")]
    # brat writes an entity that runs over the end of a line as one piece a line: it has no gap.
    gaps = [text[end:start] for (_, end), (start, _) in zip(pieces, pieces[1:], strict=False)]
    if any(gap.strip() or "\n" not in gap for gap in gaps):
        report.reject("entity in several pieces", number, line)
        return None
    start, end = pieces[0][0], pieces[-1][1]
    surface = match.group(3)
    if surface is not None and surface.split() != text[start:end].split():
        report.reject("entity whose text does not stand at its place", number, line)
        return None
    return Mark(start, end, match.group(1), number)
