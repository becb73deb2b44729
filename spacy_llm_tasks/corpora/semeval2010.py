"""The format of SemEval-2010 task 8 (relation classification) to Docs with one directed relation.

An example is a numbered sentence in quotation marks, in which two nominals are marked, then its
relation, a comment and a blank line:

    7	"The <e1>kettle</e1> stood in a <e2>cupboard</e2>."
    Content-Container(e1,e2)
    Comment: invented

Hendrickx et al. 2010, "SemEval-2010 Task 8: Multi-Way Classification of Semantic Relations Between
Pairs of Nominals": the relation reads from the first to the second nominal in its brackets, which
become head and tail; `Other` has no direction and stands for no relation of the nine.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc

from .. import annotations
from ..annotations import Relation
from ..errors import Errors
from .exact import Mark, exact_doc, set_marks
from .files import numbered_lines, read_text
from .hold_out import set_number
from .report import Report

# The set does not say what its nominals are: both get one label, so that the label of an entity
# does not give the direction of the relation away.
LABEL = "ENTITY"
NO_RELATION = "Other"
_SENTENCE = re.compile(r"(\d+)\t(.*)")
_TAG = re.compile(r"<(/?)(e[12])>")
_RELATION = re.compile(r"([^()\s]+)\((e1,e2|e2,e1)\)")


@dataclass
class _Example:
    number: int
    sentence: str
    line: int
    label: str = ""
    label_line: int = 0


def read_semeval2010(
    path: Path, nlp: Language, report: Report, *, encoding: str = "utf-8"
) -> Iterator[Doc]:
    """Read a file of SemEval-2010 task 8.

    path (Path): The file.
    nlp (Language): Tokenizes the sentences; a token of which only a part is a nominal is cut.
    report (Report): Takes the counts of what was unusable.
    encoding (str): Encoding of the file.
    YIELDS (Doc): One Doc per sentence, without the quotation marks around it, with two entities
        and no relation or one. Its number is kept: `hold_out.get_number`. A sentence without a
        label line, as in the published test file, is not annotated for relations.
    RAISES (ValueError): If the file is missing, undecodable or holds no numbered sentence.
    """
    text = read_text(path, encoding=encoding)
    examples = list(_examples(text, report))
    if not examples:
        raise ValueError(Errors.E311.format(path=path, what="numbered sentences"))
    for example in examples:
        doc = _make_doc(example, nlp, report)
        if doc is not None:
            yield doc


def looks_like_semeval2010(text: str) -> bool:
    """Whether a text starts with a numbered sentence in which two nominals are marked."""
    first = text.lstrip().partition("\n")[0]
    match = _SENTENCE.match(first)
    return match is not None and "<e1>" in match.group(2) and "<e2>" in match.group(2)


def _examples(text: str, report: Report) -> Iterator[_Example]:
    example: _Example | None = None
    for number, line in numbered_lines(text):
        line = line.strip()
        match = _SENTENCE.match(line)
        if match:
            if example is not None:
                yield example
            example = _Example(int(match.group(1)), match.group(2), number)
        elif line.startswith("Comment"):
            report.skip("comment line", number)
        elif line and example is not None and not example.label:
            example.label, example.label_line = line, number
        elif line:
            report.reject("line that is no sentence, label or comment", number, line)
    if example is not None:
        yield example


def _make_doc(example: _Example, nlp: Language, report: Report) -> Doc | None:
    text, places = _untagged(example.sentence)
    if sorted(places) != ["e1", "e2"]:
        reason = "sentence that does not mark one <e1> and one <e2>"
        report.reject(reason, example.line, example.sentence)
        return None
    direction = _RELATION.fullmatch(example.label)
    if direction is None and example.label not in ("", NO_RELATION):
        reason = "label that is neither Other nor of the form Label(e1,e2)"
        report.reject(reason, example.label_line, example.label)
        return None
    doc = exact_doc(nlp, text, report, example.line)
    if doc is None:
        return None
    marks = [Mark(*places[name], LABEL, example.line) for name in ("e1", "e2")]
    doc, (first, second) = set_marks(doc, marks, report)
    set_number(doc, example.number)
    if first is None or second is None:
        report.reject("sentence whose nominals cannot both be kept", example.line, text)
        return None
    if direction is not None:
        head, tail = (first, second) if direction.group(2) == "e1,e2" else (second, first)
        annotations.set_relations(doc, [Relation(head, tail, direction.group(1))])
    elif example.label:
        annotations.set_relations(doc, [])
    else:
        report.reject("sentence without a label (kept without relations)", example.line, text)
    return doc


def _untagged(sentence: str) -> tuple[str, dict[str, tuple[int, int]]]:
    """The text without its tags and outer quotation marks, and the characters of each nominal that
    is opened and closed once. Quotation marks inside are plain characters: nothing is escaped."""
    sentence = sentence.strip()
    if len(sentence) > 1 and sentence[0] == sentence[-1] == '"':
        sentence = sentence[1:-1].strip()
    parts: list[str] = []
    opened: dict[str, list[int]] = {}
    closed: dict[str, list[int]] = {}
    at = length = 0
    for match in _TAG.finditer(sentence):
        parts.append(sentence[at : match.start()])
        length += len(parts[-1])
        at = match.end()
        (closed if match.group(1) else opened).setdefault(match.group(2), []).append(length)
    parts.append(sentence[at:])
    places = {
        name: (starts[0], closed[name][0])
        for name, starts in opened.items()
        if len(starts) == 1 == len(closed.get(name, ())) and starts[0] < closed[name][0]
    }
    return "".join(parts), places
