"""Questions about a document, with the answers that are accepted."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from spacy.tokens import Doc

from ..errors import Errors
from .store import load, store

QUESTIONS = "spacy_llm_tasks.questions"


class GoldAnswer(NamedTuple):
    """One accepted answer: its `text` and the character `start` where it stands in the Doc."""

    text: str
    start: int


class Question(NamedTuple):
    """A question about a Doc with its accepted answers.

    id (str): Name of the question, unique within its corpus.
    question (str): The question itself.
    answers (tuple[GoldAnswer, ...]): Accepted answers; empty when the text does not answer it.
    """

    id: str
    question: str
    answers: tuple[GoldAnswer, ...] = ()


def set_questions(doc: Doc, questions: Iterable[Question | Sequence[Any]]) -> None:
    """Store the gold questions of a Doc, replacing those it had.

    doc (Doc): The Doc.
    questions (Iterable[Question]): Questions. Answers are placed by their start character; that
        their text stands there is the reader's business (the form allows normalised answers).
    """
    rows: list[list[Any]] = []
    for item in questions:
        if not isinstance(item, Sequence) or isinstance(item, str) or not 2 <= len(item) <= 3:
            raise ValueError(
                Errors.E304.format(
                    what="A question",
                    expected="Question(id, question, answers)",
                    found=item,
                    function="set_questions",
                )
            )
        question = Question(*item)
        answers = [[str(text), int(start)] for text, start in question.answers]
        rows.append([str(question.id), str(question.question), answers])
    store(doc, QUESTIONS, rows)


def get_questions(doc: Doc) -> list[Question]:
    """The gold questions of a Doc; empty also when none were annotated: see `has_questions`."""
    return [
        Question(name, text, tuple(GoldAnswer(answer, start) for answer, start in answers))
        for name, text, answers in load(doc, QUESTIONS, ())
    ]


def has_questions(doc: Doc) -> bool:
    """Whether questions were annotated on this Doc, be it none."""
    return QUESTIONS in doc.user_data
