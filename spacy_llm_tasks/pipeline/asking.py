"""The asking side of `trf_qa`: `doc._.ask`, many questions at once, and what an answer is."""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from spacy.tokens import Doc

from ..errors import Errors, Warnings
from ..layers.checks import at_least
from .owners import announce, owner_of
from .task_pipe import TaskPipe


class Answer(NamedTuple):
    """An answer: always `doc.text[start_char:end_char] == text`.

    text (str): The words of the document; empty for "the text does not say".
    start_char, end_char (int): Where they stand; 0 and 0 for "the text does not say".
    score (float): How likely the answer is right, between 0 and 1; of "the text does not say", how
        likely that is.
    """

    text: str
    start_char: int
    end_char: int
    score: float


class QaPipe(TaskPipe):
    """A `TaskPipe` that answers questions when it is asked, and leaves docs as they are. Its task
    has a method `answers` for pairs of questions and texts, see `QaTask`."""

    task: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._be_found()

    def __setstate__(self, state: Any) -> None:
        """Copies and unpickled components answer for the docs of their own pipeline."""
        super().__setstate__(state)
        self._be_found()

    def _be_found(self) -> None:
        announce(self, self.vocab)
        if not Doc.has_extension("ask"):
            Doc.set_extension("ask", method=ask)
        elif getattr(Doc.get_extension("ask")[1], "__module__", None) != __name__:
            warnings.warn(Warnings.W446, stacklevel=4)

    def set_annotations(self, docs: Iterable[Doc], predictions: Sequence[Any]) -> None:
        for doc in docs:
            announce(self, doc.vocab)

    def answer(
        self,
        docs: Iterable[Doc],
        questions: Iterable[str | Sequence[str]],
        *,
        n_best: int | None = None,
    ) -> list[Any]:
        """Answer questions about docs, many at once.

        docs (Iterable[Doc]): Any docs; only their texts are read.
        questions (Iterable): For each doc its question, or a list of questions.
        n_best (int): Give several answers to each question, at most so many.
        RETURNS (list): For each doc its `Answer`, or a list of answers if it had a list of
            questions. With `n_best`, each of these answers is itself a list, best first, in which
            "the text does not say" is one of the answers where documents may have none.
        RAISES (ValueError): If a question is empty, or there are not as many as docs.
        """
        if isinstance(docs, Doc) or isinstance(questions, str):
            raise ValueError(Errors.E446)
        docs, asked = list(docs), list(questions)
        if not all(isinstance(doc, Doc) for doc in docs):
            raise ValueError(Errors.E446)
        if not all(isinstance(few, Iterable) for few in asked):
            raise ValueError(Errors.E435)
        if len(docs) != len(asked):
            raise ValueError(Errors.E434.format(n_docs=len(docs), n_questions=len(asked)))
        if n_best is not None:
            at_least("n_best", n_best, 1)
        lists = [[q] if isinstance(q, str) else list(q) for q in asked]
        pairs = [(q, doc.text) for doc, many in zip(docs, lists, strict=True) for q in many]
        answers = iter(self.task.answers(pairs, n_best=n_best or 1))
        found: list[Any] = []
        for question, many in zip(asked, lists, strict=True):
            ranked = [next(answers) for _ in many]
            mine = [few[0] for few in ranked] if n_best is None else ranked
            found.append(mine[0] if isinstance(question, str) else mine)
        return found


def ask(doc: Doc, question: str) -> Answer:
    """Answer a question about a doc (installed as `doc._.ask`).

    doc (Doc): A doc from a pipeline with `trf_qa`.
    question (str): The question.
    RETURNS (Answer): Its text is empty if the document does not say.
    RAISES (ValueError): If the question is empty, or none or several pipelines may have made the
        doc.
    """
    pipe: QaPipe = owner_of(doc, QaPipe, "trf_qa")  # type: ignore[assignment]
    return pipe.answer([doc], [question])[0]
