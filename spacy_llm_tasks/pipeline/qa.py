"""`trf_qa`: answers to questions, cut out of the document's own text."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Config
from torch import Tensor

from ..annotations import Question, get_questions
from ..errors import Errors
from ..layers.answer_decoding import Spans, best_spans, gold_rows
from ..layers.answer_head import answer_loss
from ..layers.checks import at_least
from ..layers.task_head import HeadInput
from ..scoring.calibration import fit_platt, sigmoid, to_logits
from ..scoring.squad import best_over_golds, exact_match, score_squad
from ..tokenization.sequences import Sequences
from .groups import bounded_groups
from .owners import announce, owner_of
from .register import register_task
from .task import Task
from .task_pipe import TaskPipe

DEFAULT_QA_MODEL = Config().from_str(
    """
    [model]
    @architectures = "spacy_llm_tasks.AnswerHead.v1"

    [model.tok2vec]
    @architectures = "spacy_llm_tasks.Listener.v1"
    """
)["model"]

# Questions are asked in groups of about this many characters, texts included, and read in runs of
# about this many positions, so that memory stays bounded.
CHARACTERS_PER_GROUP = 250_000
ROWS_PER_RUN = 32_768
# With fewer questions than this, scores and the threshold stay as they are.
FEWEST_TO_CALIBRATE = 20


class Answer(NamedTuple):
    """An answer: always `doc.text[start_char:end_char] == text`.

    text (str): The words of the document; empty for "the text does not say".
    start_char, end_char (int): Where they stand.
    score (float): How likely the answer is right, between 0 and 1.
    """

    text: str
    start_char: int
    end_char: int
    score: float


@dataclass(frozen=True)
class QuestionTargets:
    """What a batch is to learn.

    sequences (Sequences): The layout of its questions, each with its text.
    gold (Tensor): (R, 2) bool, right starts and ends.
    open_rows (Tensor): (R,) bool, positions that may be chosen.
    """

    sequences: Sequences
    gold: Tensor
    open_rows: Tensor


class QaPipe(TaskPipe):
    """A `TaskPipe` that answers questions when it is asked, and leaves docs as they are."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        announce(self)
        if not Doc.has_extension("ask"):
            Doc.set_extension("ask", method=ask)

    def answer(
        self, docs: Iterable[Doc], questions: Iterable[str | Sequence[str]]
    ) -> list[Answer] | list[list[Answer]]:
        """Answer questions about docs, many at once.

        docs (Iterable[Doc]): Any docs; only their texts are read.
        questions (Iterable): For each doc its question, or a list of questions.
        RETURNS (list): For each doc its answer, or a list of answers.
        RAISES (ValueError): If a question is empty, or there are not as many as docs.
        """
        docs, asked = list(docs), list(questions)
        if len(docs) != len(asked):
            raise ValueError(Errors.E434.format(n_docs=len(docs), n_questions=len(asked)))
        task: QaTask = self.task  # type: ignore[assignment]
        lists = [[q] if isinstance(q, str) else list(q) for q in asked]
        pairs = [(q, doc.text) for doc, many in zip(docs, lists, strict=True) for q in many]
        answers = iter(task.answers(pairs))
        found = [[next(answers) for _ in many] for many in lists]
        if all(isinstance(q, str) for q in asked):
            return [many[0] for many in found]
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
    return pipe.answer([doc], [question])[0]  # type: ignore[return-value]


@register_task(
    "trf_qa",
    model=DEFAULT_QA_MODEL,
    score_weights={
        "qa_f1": 0.5,
        "qa_em": 0.5,
        "qa_has_ans_f1": None,
        "qa_has_ans_em": None,
        "qa_no_ans_f1": None,
        "qa_no_ans_em": None,
        "qa_best_f1": None,
        "qa_best_em": None,
        "qa_best_f1_threshold": None,
        "qa_best_em_threshold": None,
    },
    pipe=QaPipe,
)
@dataclass(kw_only=True)
class QaTask(Task):
    """Answer questions with words of the document.

    max_pieces (int): Most pieces of an answer.
    questions_per_doc (int): Most questions of a document in one training step, drawn anew each
        time.
    no_answer (bool): Whether a document may have no answer; null takes it from the training data.
    lang (str): Language of the metric: "zh" compares characters.
    """

    max_pieces: int = 30
    questions_per_doc: int = 4
    no_answer: bool | None = None
    lang: str = "en"

    needs_labels = False

    def __post_init__(self) -> None:
        at_least("max_pieces", self.max_pieces, 1)
        at_least("questions_per_doc", self.questions_per_doc, 1)

    # Training ------------------------------------------------------------------------------------

    def labels_of(self, example: Example) -> Iterable[str]:
        return ()

    def prepare(self, examples: Iterable[Example]) -> None:
        self.learned["no_answer"] = any(
            not question.answers for eg in examples for question in get_questions(eg.reference)
        )

    @property
    def may_refuse(self) -> bool:
        """RETURNS (bool): Whether "no answer" is an answer."""
        return self.learned.get("no_answer", False) if self.no_answer is None else self.no_answer

    def targets(self, examples: Sequence[Example]) -> QuestionTargets | None:
        pairs: list[tuple[str, str]] = []
        answers: list[list[tuple[int, int]]] = []
        for example in examples:
            for question in self._drawn(get_questions(example.reference)):
                pairs.append((question.question, example.predicted.text))
                answers.append([(a.start, a.start + len(a.text)) for a in question.answers])
        if not pairs:
            return None
        sequences = self.layout(pairs)
        gold, open_rows = gold_rows(sequences, answers)
        return QuestionTargets(sequences, torch.from_numpy(gold), torch.from_numpy(open_rows))

    def _drawn(self, questions: list[Question]) -> list[Question]:
        questions = [q for q in questions if q.question.strip() and (q.answers or self.may_refuse)]
        if len(questions) <= self.questions_per_doc:
            return questions
        chosen = np.random.permutation(len(questions))[: self.questions_per_doc]
        return [questions[i] for i in chosen]

    def inputs(self, docs: Sequence[Doc], targets: QuestionTargets | None = None) -> HeadInput:
        return HeadInput(docs, texts=targets.sequences if targets else None)

    def loss(self, logits: Tensor, targets: QuestionTargets) -> Tensor:
        lengths = torch.from_numpy(targets.sequences.lengths)
        sequence = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
        device = logits.device
        return answer_loss(
            logits, sequence.to(device), targets.open_rows.to(device), targets.gold.to(device)
        )

    # Answers -------------------------------------------------------------------------------------

    def decode(self, logits: Tensor, docs: Sequence[Doc]) -> list[None]:
        return [None] * len(docs)  # nobody has asked anything

    def split(self, logits: Tensor, docs: Sequence[Doc]) -> list[Tensor]:
        return [logits for _ in docs]

    def annotate(self, doc: Doc, prediction: None) -> None:
        pass

    def answers(self, pairs: Sequence[tuple[str, str]]) -> list[Answer]:
        """Answer questions.

        pairs (Sequence[Tuple[str, str]]): Questions, each with the text that may answer it.
        RETURNS (List[Answer]): Their answers.
        RAISES (ValueError): If a question is empty.
        """
        return [self._choose(spans, text) for spans, (_, text) in self._found(pairs)]

    def _found(self, pairs: Sequence[tuple[str, str]]) -> Iterable[tuple[Spans, tuple[str, str]]]:
        for question, _ in pairs:
            if not question.strip():
                raise ValueError(Errors.E435)
        for group in bounded_groups(list(pairs), _n_characters, CHARACTERS_PER_GROUP):
            sequences = self.layout(group)
            runs = [
                self.run(HeadInput([], texts=part)).float().cpu().numpy()
                for part in sequences.parts(ROWS_PER_RUN)
            ]
            found = best_spans(
                sequences,
                np.concatenate(runs).astype(np.float64),
                n_items=len(group),
                max_pieces=self.max_pieces,
                n_best=1,
            )
            yield from zip(found, group, strict=True)

    def _choose(self, spans: Spans, text: str) -> Answer:
        refusal = self._refusal(spans)
        if not len(spans.score) or (self.may_refuse and refusal > self._threshold):
            return Answer("", 0, 0, self._confidence(_log_odds(spans.null - spans.total)))
        first, last = _trimmed(text, int(spans.first[0]), int(spans.last[0]))
        raw = _log_odds(float(spans.score[0]) - spans.total)
        return Answer(text[first:last], first, last, self._confidence(raw))

    @property
    def _threshold(self) -> float:
        return self.learned.get("threshold", 0.0)

    def _refusal(self, spans: Spans) -> float:
        """How much better "no answer" scores than the best answer."""
        return spans.null - float(spans.score[0]) if len(spans.score) else 0.0

    def _confidence(self, raw: float) -> float:
        scale, shift = self.learned.get("calibration", (1.0, 0.0))
        return float(sigmoid(np.array(scale * raw + shift)))

    # Scores and calibration ----------------------------------------------------------------------

    def score(self, examples: Iterable[Example]) -> dict[str, Any]:
        asked = self._asked(examples)
        # A question's name need not be unique over several files: its number is.
        questions = [q._replace(id=str(i)) for i, (q, _) in enumerate(asked)]
        found = list(self._found([(q.question, text) for q, text in asked]))
        predictions = {
            str(i): self._choose(spans, text).text for i, (spans, (_, text)) in enumerate(found)
        }
        if all(q.answers for q in questions) and not self.may_refuse:
            return score_squad(questions, predictions, version="1.1", lang=self.lang)
        best = {str(i): self._best_text(spans, text) for i, (spans, (_, text)) in enumerate(found)}
        refusals = {str(i): self._refusal(spans) for i, (spans, _) in enumerate(found)}
        # Our own decisions give the scores; the best ones, over all thresholds, say what is lost.
        scores = score_squad(questions, predictions, version="2.0", lang=self.lang)
        with_all = score_squad(
            questions, best, version="2.0", no_answer_scores=refusals, lang=self.lang
        )
        return scores | {k: v for k, v in with_all.items() if k.startswith("qa_best")}

    def _best_text(self, spans: Spans, text: str) -> str:
        if not len(spans.score):
            return ""
        first, last = _trimmed(text, int(spans.first[0]), int(spans.last[0]))
        return text[first:last]

    def _asked(self, examples: Iterable[Example]) -> list[tuple[Question, str]]:
        """All gold questions, with the texts that may answer them."""
        return [
            (question, eg.predicted.text)
            for eg in examples
            for question in get_questions(eg.reference)
            if question.question.strip()
        ]

    def calibrate(self, examples: Sequence[Example], logits: Sequence[Tensor]) -> bool:
        asked = self._asked(examples)
        if len(asked) < FEWEST_TO_CALIBRATE:
            return False
        found = list(self._found([(q.question, text) for q, text in asked]))
        questions = [q for q, _ in asked]
        if self.may_refuse:
            self._tune_threshold(questions, found)
        raw, right = [], []
        self.learned.pop("calibration", None)
        for question, (spans, (_, text)) in zip(questions, found, strict=True):
            answer = self._choose(spans, text)
            raw.append(float(to_logits(np.array([answer.score]))[0]))
            right.append(self._is_right(question, answer.text))
        correct = np.array(right, dtype=bool)
        if correct.all() or not correct.any():
            return False
        self.learned["calibration"] = list(fit_platt(np.array(raw), correct))
        return True

    def _tune_threshold(
        self, questions: list[Question], found: list[tuple[Spans, tuple[str, str]]]
    ) -> None:
        """Refuse where "no answer" scores better than the best answer by more than what gives the
        best F1."""
        named = [q._replace(id=str(i)) for i, q in enumerate(questions)]
        best = {str(i): self._best_text(spans, text) for i, (spans, (_, text)) in enumerate(found)}
        refusals = {str(i): self._refusal(spans) for i, (spans, _) in enumerate(found)}
        scores = score_squad(named, best, version="2.0", no_answer_scores=refusals, lang=self.lang)
        self.learned["threshold"] = float(scores["qa_best_f1_threshold"] or 0.0)

    def _is_right(self, question: Question, text: str) -> bool:
        golds = [answer.text for answer in question.answers] or [""]
        return bool(best_over_golds(exact_match, text, golds, lang=self.lang))

    def reliability(self, examples: Sequence[Example]) -> tuple[np.ndarray, np.ndarray]:
        asked = self._asked(examples)
        found = self.answers([(q.question, text) for q, text in asked])
        right = [self._is_right(q, a.text) for (q, _), a in zip(asked, found, strict=True)]
        return np.array([a.score for a in found]), np.array(right, dtype=bool)


def _trimmed(text: str, first: int, last: int) -> tuple[int, int]:
    """The same span without white space at its ends, which some tokenizers put into pieces."""
    while first < last and text[first].isspace():
        first += 1
    while first < last and text[last - 1].isspace():
        last -= 1
    return first, last


def _log_odds(log_probability: float) -> float:
    probability = min(max(float(np.exp(log_probability)), 1e-6), 1 - 1e-6)
    return float(np.log(probability / (1 - probability)))


def _n_characters(pair: tuple[str, str]) -> int:
    return len(pair[0]) + len(pair[1])
