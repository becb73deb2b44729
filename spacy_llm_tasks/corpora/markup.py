"""A markup to annotate by hand in any text editor; a file holds documents like this one:

    ## garden-01
    topic: garden
    [Ida Moss|PERSON#1] planted her first orchard near [Ely|GPE#2].
    @rel 1 LIVES_IN 2
    @q Who planted an orchard? => Ida Moss
    @pair 0.9 An orchard near Ely was begun by Ida Moss.

- A document starts at its `## name` line; a blank line ends it.
- `topic:` (optional) is its category. Then comes the text, on one line or on several, which are
  joined by newlines.
- `[surface|LABEL]` marks an entity, `[surface|LABEL#id]` one that relations refer to by its number.
  `[surface|O]` says that this surface is on purpose no entity here.
- `@rel HEAD_ID LABEL TAIL_ID` is a directed relation, `@q question => answer` a question whose
  answer stands in the text (`=> answer #2`: its second occurrence), and `@pair SCORE sentence` a
  sentence to compare the whole document with.

Parsing never stops at the first mistake: it collects all of them, each with its line and a remedy.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc

from ..errors import Errors
from .files import numbered_lines, read_text
from .jsonl import record_to_doc
from .report import Report

_ENTITY = re.compile(r"\[([^\[\]|]*)\|([^\[\]|#]*)(?:#([^\[\]|]*))?\]")
_RELATION = re.compile(r"@rel\s+(\d+)\s+(\S+)\s+(\d+)\s*$")
_QUESTION = re.compile(r"@q\s+(.+?)\s*=>\s*(.+?)(?:\s+#(\d+))?\s*$")
_PAIR = re.compile(r"@pair\s+(\d*\.?\d+)\s+(.+?)\s*$")
NO_ENTITY = "O"


@dataclass(frozen=True)
class Problem:
    """A mistake in a file: where, what and what to do."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


@dataclass(frozen=True)
class MarkedEntity:
    """An entity at characters [start, end) of the plain text; label "O" marks a deliberate none."""

    start: int
    end: int
    label: str
    id: int | None
    line: int


@dataclass(frozen=True)
class MarkedRelation:
    """A relation between the entities of two ids."""

    head: int
    label: str
    tail: int
    line: int


@dataclass(frozen=True)
class MarkedQuestion:
    """A question; `start` is the character where its answer stands."""

    question: str
    answer: str
    start: int
    line: int


@dataclass
class MarkedDocument:
    """One document of a markup file, its text plain."""

    name: str
    path: Path
    line: int
    text: str = ""
    topic: str = ""
    entities: list[MarkedEntity] = field(default_factory=list)
    relations: list[MarkedRelation] = field(default_factory=list)
    questions: list[MarkedQuestion] = field(default_factory=list)
    pairs: list[tuple[float, str, int]] = field(default_factory=list)
    text_lines: list[tuple[int, int]] = field(default_factory=list)  # (start character, line)

    def by_id(self, number: int) -> MarkedEntity | None:
        """The entity with this id, or None."""
        return next((entity for entity in self.entities if entity.id == number), None)

    def line_of(self, character: int) -> int:
        """The line of the file on which a character of the text stands."""
        return max(line for start, line in self.text_lines if start <= character)


def looks_like_markup(text: str) -> bool:
    """Whether a text starts with a document header of this markup."""
    return text.lstrip().startswith("## ")


def parse_markup(
    path: Path, *, encoding: str = "utf-8"
) -> tuple[list[MarkedDocument], list[Problem]]:
    """Parse one file.

    path (Path): The file.
    encoding (str): Its encoding.
    RETURNS (tuple): The documents, and every mistake found. A document with a mistake is returned
        without the mistaken part.
    RAISES (ValueError): If the file is missing, empty or undecodable.
    """
    path = Path(path)
    documents: list[MarkedDocument] = []
    problems: list[Problem] = []
    document: MarkedDocument | None = None
    pending: list[tuple[int, str]] = []
    ended = commands = False

    def finish() -> None:
        if document is None:
            return
        if not document.text:
            problems.append(Problem(path, document.line, "document without a text: write one"))
        for number, command in pending:
            _parse_command(document, number, command, problems)
        documents.append(document)

    for number, line in numbered_lines(read_text(path, encoding=encoding)):
        line = line.rstrip()
        if line.startswith("##"):
            finish()
            name = line[2:].strip()
            if not name:
                problems.append(Problem(path, number, "header without a name: write '## name'"))
            document = MarkedDocument(name, path, number)
            pending, ended, commands = [], False, False
        elif not line:
            ended = document is not None
        elif document is None or ended:
            remedy = "start a document with '## name', and leave no blank line inside one"
            problems.append(Problem(path, number, f"line outside a document: {remedy}"))
        elif line.startswith("@"):
            commands = True
            pending.append((number, line))
        elif line.startswith("topic:") and not document.text:
            document.topic = line.removeprefix("topic:").strip()
        elif commands:
            remedy = "put the whole text before the first line that starts with '@'"
            problems.append(Problem(path, number, f"text after a command: {remedy}"))
        else:
            _parse_text(document, number, line, problems)
    finish()
    if not documents:
        raise ValueError(Errors.E311.format(path=path, what="documents ('## name')"))
    return documents, problems


def _parse_text(document: MarkedDocument, number: int, line: str, problems: list[Problem]) -> None:
    path = document.path
    parts = [f"{document.text}\n" if document.text else ""]
    length = len(parts[0])
    document.text_lines.append((length, number))
    at = 0
    for match in _ENTITY.finditer(line):
        parts.append(_literal(path, number, line[at : match.start()], problems))
        length += len(parts[-1])
        surface, label, name = match.group(1), match.group(2).strip(), match.group(3)
        parts.append(surface)
        at = match.end()
        entity_id = int(name) if name is not None and name.isdigit() else None
        if not surface.strip() or surface != surface.strip() or not label:
            message = f"{match.group()!r}: write [surface|LABEL], no spaces at the surface's ends"
            problems.append(Problem(path, number, message))
        elif name is not None and entity_id is None:
            message = f"{match.group()!r}: the id after # must be a whole number"
            problems.append(Problem(path, number, message))
        elif entity_id is not None and document.by_id(entity_id) is not None:
            message = f"id #{entity_id} is used twice in {document.name}: give each entity its own"
            problems.append(Problem(path, number, message))
        else:
            end = length + len(surface)
            document.entities.append(MarkedEntity(length, end, label, entity_id, number))
        length += len(surface)
    parts.append(_literal(path, number, line[at:], problems))
    document.text = "".join(parts)


def _literal(path: Path, number: int, text: str, problems: list[Problem]) -> str:
    if any(character in text for character in "[]|"):
        message = f"stray bracket or bar in {text.strip()[:40]!r}: entities do not nest, and these"
        problems.append(Problem(path, number, f"{message} characters mean nothing else"))
    return text


def _parse_command(
    document: MarkedDocument, number: int, line: str, problems: list[Problem]
) -> None:
    path = document.path
    if match := _RELATION.match(line):
        head, label, tail = int(match.group(1)), match.group(2), int(match.group(3))
        unknown = [f"#{i}" for i in (head, tail) if document.by_id(i) is None]
        if unknown:
            message = f"no entity has id {' or '.join(unknown)}: mark it [surface|LABEL#id]"
            problems.append(Problem(path, number, message))
        else:
            document.relations.append(MarkedRelation(head, label, tail, number))
    elif match := _QUESTION.match(line):
        question, answer, which = match.group(1), match.group(2), int(match.group(3) or 1)
        start = _nth(document.text, answer, which)
        if start < 0:
            times = document.text.count(answer)
            message = f"answer {answer!r} occurs {times} times in the text, wanted number {which}"
            problems.append(Problem(path, number, f"{message}: copy it exactly from the text"))
        else:
            document.questions.append(MarkedQuestion(question, answer, start, number))
    elif match := _PAIR.match(line):
        document.pairs.append((float(match.group(1)), match.group(2), number))
    else:
        message = f"cannot read {line[:40]!r}: write '@rel ID LABEL ID', '@q question => answer' or"
        problems.append(Problem(path, number, f"{message} '@pair SCORE sentence'"))


def _nth(text: str, part: str, which: int) -> int:
    start = -1
    for _ in range(which):
        start = text.find(part, start + 1)
        if start < 0:
            return -1
    return start if which else -1


def to_record(document: MarkedDocument, topics: list[str]) -> dict[str, Any]:
    """A document as an object of the project's JSONL.

    document (MarkedDocument): The document.
    topics (list[str]): All topics: each becomes a category with 0.0 or 1.0.
    RETURNS (dict): The object. Entities and relations are always annotated (maybe with none);
        questions and the pair only where the document has them.
    """
    entities = [entity for entity in document.entities if entity.label != NO_ENTITY]
    place = {entity.id: i for i, entity in enumerate(entities) if entity.id is not None}
    record: dict[str, Any] = {
        "text": document.text,
        "ents": [[entity.start, entity.end, entity.label] for entity in entities],
        "relations": [
            {"head": place[item.head], "tail": place[item.tail], "label": item.label}
            for item in document.relations
            if item.head in place and item.tail in place
        ],
    }
    if document.topic:
        record["cats"] = {topic: float(topic == document.topic) for topic in topics}
    if document.questions:
        record["questions"] = [
            {
                "id": f"{document.name}-q{i}",
                "question": item.question,
                "answers": [{"text": item.answer, "start": item.start}],
            }
            for i, item in enumerate(document.questions, start=1)
        ]
    if document.pairs:
        score, text, _ = document.pairs[0]
        record["pair"] = {"text": text, "score": score}
    return record


def read_markup(
    path: Path, nlp: Language, report: Report, *, encoding: str = "utf-8"
) -> Iterator[Doc]:
    """Read a file of the markup, or every .txt file of a folder.

    path (Path): The file or folder.
    nlp (Language): Tokenizes the texts.
    report (Report): Takes every mistake.
    encoding (str): Encoding of the files.
    YIELDS (Doc): One Doc per document that has a text.
    RAISES (ValueError): If there is no such file or it holds no document.
    """
    path = Path(path)
    files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    if not files:
        raise ValueError(Errors.E311.format(path=path, what=".txt files"))
    documents: list[MarkedDocument] = []
    for file in files:
        found, problems = parse_markup(file, encoding=encoding)
        documents.extend(found)
        own = Report(file)
        for problem in problems:
            own.reject("mistake in the markup", problem.line, problem.message)
        report.merge(own)
    topics = sorted({document.topic for document in documents if document.topic})
    for document in documents:
        own = Report(document.path)
        record = to_record(document, topics)
        doc = record_to_doc(record, nlp, own, document.line) if document.text else None
        report.merge(own)
        if doc is not None:
            yield doc
