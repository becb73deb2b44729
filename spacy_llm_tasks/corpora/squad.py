"""SQuAD's JSON, versions 1.1 and 2.0, to Docs with questions.

    {"version": "v2.0", "data": [{"title": ..., "paragraphs": [{"context": ..., "qas": [
        {"id": ..., "question": ..., "is_impossible": false,
         "answers": [{"text": ..., "answer_start": 17}]}]}]}]}

Rajpurkar et al. 2016, "SQuAD: 100,000+ Questions for Machine Comprehension of Text", and 2018,
"Know What You Don't Know: Unanswerable Questions for SQuAD". `answer_start` is a character of the
context. Sets of other languages use the same form: DRCD, CMRC, KorQuAD, GermanQuAD and others.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc

from .. import annotations
from ..annotations import GoldAnswer, Question
from ..errors import Errors
from .exact import exact_doc, is_unicode
from .files import read_text
from .report import Report

_DATA = re.compile(r'"data"\s*:\s*\[')
_PARAGRAPHS = re.compile(r'"paragraphs"\s*:\s*\[')


class _Lines:
    """Lines of values in the file, looked for from the last one on: JSON does not keep them."""

    def __init__(self, raw: str) -> None:
        self._raw, self._at, self._line = raw, 0, 1

    def of(self, value: str) -> int:
        for needle in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
            found = self._raw.find(needle, self._at)
            if found >= 0:
                self._line += self._raw.count("\n", self._at, found)
                self._at = found
                break
        return self._line


def read_squad(
    path: Path, nlp: Language, report: Report, *, encoding: str = "utf-8"
) -> Iterator[Doc]:
    """Read a file of SQuAD's form.

    path (Path): The file.
    nlp (Language): Tokenizes the contexts; choose the language of the set.
    report (Report): Takes the counts of what was unusable. An answer that does not stand at its
        start is left out, and a question that loses all of its answers with it: without them it
        would read as one that the text does not answer.
    encoding (str): Encoding of the file.
    YIELDS (Doc): One Doc per paragraph, `doc.text` being exactly its context, with all of its
        questions and all answers that were given to each.
    RAISES (ValueError): If the file is missing, empty or undecodable, or is not of this form.
    """
    raw = read_text(path, encoding=encoding)
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ValueError(Errors.E340.format(path=path, reason=f"no JSON: {error}")) from None
    articles = content.get("data") if isinstance(content, dict) else None
    if not isinstance(articles, list):
        raise ValueError(Errors.E340.format(path=path, reason="no list 'data' in it"))
    lines = _Lines(raw)
    ids: set[str] = set()
    for i, article in enumerate(articles):
        paragraphs = article.get("paragraphs") if isinstance(article, dict) else None
        if not isinstance(paragraphs, list):
            report.reject("article without a list 'paragraphs'", 1, f"article {i}")
            continue
        for j, paragraph in enumerate(paragraphs):
            doc = _make_doc(paragraph, f"{i}-{j}", nlp, report, lines, ids)
            if doc is not None:
                yield doc


def looks_like_squad(text: str) -> bool:
    """Whether a text is one JSON object with the keys 'data' and 'paragraphs'."""
    # Inside of a string the quotes around these keys would be escaped.
    start = text.lstrip()[:1]
    return start == "{" and bool(_DATA.search(text)) and bool(_PARAGRAPHS.search(text))


def _make_doc(
    paragraph: Any, place: str, nlp: Language, report: Report, lines: _Lines, ids: set[str]
) -> Doc | None:
    context = paragraph.get("context") if isinstance(paragraph, dict) else None
    items = paragraph.get("qas") if isinstance(paragraph, dict) else None
    if not isinstance(context, str) or not isinstance(items, list):
        line = lines.of(context) if isinstance(context, str) else 1
        report.reject("paragraph that is not {context, qas}", line, f"paragraph {place}")
        return None
    unusable = Report(report.path)
    doc = exact_doc(nlp, context, unusable, 1)
    if doc is None:
        reason = next(iter(unusable.unusable))
        report.reject(f"paragraph: {reason}", lines.of(context), f"paragraph {place}")
        return None
    questions: list[Question] = []
    for k, item in enumerate(items):
        question = _question(item, f"{place}-{k}", context, report, lines)
        if question is None:
            continue
        if question.id in ids:
            report.repair("question id used before (numbered)", lines.of(question.id), question.id)
            question = question._replace(id=f"{question.id}-{place}-{k}")
        ids.add(question.id)
        questions.append(question)
    annotations.set_questions(doc, questions)
    return doc


def _question(
    item: Any, place: str, context: str, report: Report, lines: _Lines
) -> Question | None:
    asked = item.get("question") if isinstance(item, dict) else None
    given = item.get("answers") if isinstance(item, dict) else None
    if not isinstance(asked, str) or not isinstance(given, list | None):
        report.reject("question that is not {id, question, answers}", 1, f"question {place}")
        return None
    if not asked.strip() or not is_unicode(asked):
        report.reject("question without a text", lines.of(asked), f"question {place}")
        return None
    name = item.get("id")
    name = place if name is None else str(name)
    if not is_unicode(name):
        report.reject("question whose id has half a surrogate pair", lines.of(asked), asked)
        return None
    impossible = item.get("is_impossible")
    if impossible is True:
        if given:
            report.repair(
                "answers of a question marked impossible (left out)", lines.of(name), name
            )
        return Question(name, asked)
    if not given:
        if given is None or impossible is False:
            report.reject("question without answers", lines.of(name), f"{name}: {asked}")
            return None
        # Version 2.0 without its mark: an empty list can only mean that there is no answer.
        report.repair("empty list of answers (read as unanswerable)", lines.of(name), name)
        return Question(name, asked)
    answers: list[GoldAnswer] = []
    for answer in given:
        text = answer.get("text") if isinstance(answer, dict) else None
        start = answer.get("answer_start") if isinstance(answer, dict) else None
        if not isinstance(text, str) or not text or type(start) is not int or start < 0:
            reason = "answer that is not {text, answer_start}"
            report.reject(reason, lines.of(name), f"{name}: {answer}")
        elif not context.startswith(text, start):
            reason = "answer that does not stand at its start"
            report.reject(reason, lines.of(name), f"{name}: {text!r} at {start}")
        else:
            answers.append(GoldAnswer(text, start))
    if not answers:
        report.reject("question with no usable answer", lines.of(name), f"{name}: {asked}")
        return None
    return Question(name, asked, tuple(answers))
