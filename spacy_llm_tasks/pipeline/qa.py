"""`trf_qa`: answers to questions, cut out of the document's own text."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Config
from torch import Tensor, nn

from ..annotations import Question, get_questions
from ..errors import Errors
from ..layers.answer_decoding import Spans, best_spans, gold_rows
from ..layers.answer_head import answer_loss
from ..layers.checks import at_least
from ..layers.joint import Joint
from ..layers.task_head import HeadInput
from ..scoring.calibration import fit_platt, sigmoid
from ..scoring.refusal import tune_refusal
from ..scoring.squad import best_over_golds, exact_match, f1, score_squad
from ..tokenization.sequences import Sequences
from .asking import Answer, QaPipe
from .groups import bounded_groups
from .register import register_task
from .task import Task

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


@dataclass(frozen=True)
class QuestionTargets:
    """What a batch is to learn.

    inputs (Sequences / Joint): The layout of its questions, each with its text.
    gold (Tensor): (R, 2) bool, right starts and ends.
    open_rows (Tensor): (R,) bool, positions that may be chosen.
    """

    inputs: Sequences | Joint
    gold: Tensor
    open_rows: Tensor


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
        self._deferred = 0

    def configure(self, head: nn.Module) -> None:
        self._deferred = getattr(head, "deferred_layers", 0)

    # Training ------------------------------------------------------------------------------------

    def labels_of(self, example: Example) -> Iterable[str]:
        return ()

    def prepare(self, examples: Iterable[Example]) -> None:
        self.learned.clear()  # what was calibrated belonged to other weights
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
                pairs.append((question.question, example.reference.text))
                answers.append([(a.start, a.start + len(a.text)) for a in question.answers])
        if not pairs:
            return None
        inputs = self._laid_out(pairs, is_train=True)
        gold, open_rows = gold_rows(_as_read(inputs), answers)
        return QuestionTargets(inputs, torch.from_numpy(gold), torch.from_numpy(open_rows))

    def _laid_out(
        self, pairs: Sequence[tuple[str, str]], *, is_train: bool = False
    ) -> Sequences | Joint:
        if self._deferred:
            return self.apart(pairs, after=self._deferred, is_train=is_train)
        return self.layout(pairs)

    def _drawn(self, questions: list[Question]) -> list[Question]:
        questions = [q for q in questions if q.question.strip() and (q.answers or self.may_refuse)]
        if len(questions) <= self.questions_per_doc:
            return questions
        chosen = np.random.permutation(len(questions))[: self.questions_per_doc]
        return [questions[i] for i in chosen]

    def inputs(self, docs: Sequence[Doc], targets: QuestionTargets | None = None) -> HeadInput:
        return HeadInput(docs, texts=targets.inputs if targets else None)

    def loss(self, logits: Tensor, targets: QuestionTargets) -> Tensor:
        lengths = torch.from_numpy(_as_read(targets.inputs).lengths)
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

    def answers(self, pairs: Sequence[tuple[str, str]], *, n_best: int = 1) -> list[list[Answer]]:
        """Answer questions.

        pairs (Sequence[Tuple[str, str]]): Questions, each with the text that may answer it.
        n_best (int): Most answers to each.
        RETURNS (List[List[Answer]]): Their answers, best first; at least one for each question.
        RAISES (ValueError): If a question is empty.
        """
        found = self._found(pairs, n_best=n_best)
        return [
            self._ranked(spans, text)[:n_best]
            for spans, (_, text) in zip(found, pairs, strict=True)
        ]

    def _found(self, pairs: Sequence[tuple[str, str]], *, n_best: int = 1) -> list[Spans]:
        for question, _ in pairs:
            if not isinstance(question, str) or not question.strip():
                raise ValueError(Errors.E435)
        found: list[Spans] = []
        for group in bounded_groups(list(pairs), _n_characters, CHARACTERS_PER_GROUP):
            inputs = self._laid_out(group)
            runs = [
                self.run(HeadInput([], texts=part)).float().cpu().numpy()
                for part in inputs.parts(ROWS_PER_RUN)
            ]
            found += best_spans(
                _as_read(inputs),
                np.concatenate(runs).astype(np.float64),
                [text for _, text in group],
                max_pieces=self.max_pieces,
                n_best=n_best,
            )
        return found

    def _ranked(self, spans: Spans, text: str) -> list[Answer]:
        """The spans as answers, and among them the refusal, if it is an answer or there is no
        other."""
        places = zip(spans.first.tolist(), spans.last.tolist(), strict=True)
        ranked = [
            Answer(text[first:last], first, last, self._confidence(score - spans.total, "answers"))
            for (first, last), score in zip(places, spans.score.tolist(), strict=True)
        ]
        if self.may_refuse or not ranked:
            refusal = Answer("", 0, 0, self._confidence(spans.null - spans.total, "refusals"))
            n_better = int((spans.null - spans.score <= self._threshold).sum())
            ranked.insert(n_better, refusal)
        return ranked

    @property
    def _threshold(self) -> float:
        return self.learned.get("threshold", 0.0)

    def _confidence(self, log_probability: float, kind: str) -> float:
        scale, shift = self.learned.get("calibration", {}).get(kind, (1.0, 0.0))
        return float(sigmoid(scale * _log_odds(log_probability) + shift))

    # Scores and calibration ----------------------------------------------------------------------

    def score(self, examples: Iterable[Example]) -> dict[str, Any]:
        asked = self._asked(examples)
        # A question's name need not be unique over several files: its number is.
        questions = [q._replace(id=str(i)) for i, (q, _) in enumerate(asked)]
        found = self._found([(q.question, text) for q, text in asked])
        texts = [text for _, text in asked]
        predictions = {
            str(i): self._ranked(spans, text)[0].text
            for i, (spans, text) in enumerate(zip(found, texts, strict=True))
        }
        if all(q.answers for q in questions) and not self.may_refuse:
            return score_squad(questions, predictions, version="1.1", lang=self.lang)
        best = {str(i): _best_text(*pair) for i, pair in enumerate(zip(found, texts, strict=True))}
        refusals = {str(i): _refusal(spans) for i, spans in enumerate(found)}
        # Our own decisions give the scores; the best ones, over all thresholds, say what is lost.
        scores = score_squad(questions, predictions, version="2.0", lang=self.lang)
        with_all = score_squad(
            questions, best, version="2.0", no_answer_scores=refusals, lang=self.lang
        )
        return scores | {k: v for k, v in with_all.items() if k.startswith("qa_best")}

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
        found = self._found([(q.question, text) for q, text in asked])
        if self.may_refuse:
            gains = [
                self._gain(question, _best_text(spans, text))
                for (question, text), spans in zip(asked, found, strict=True)
            ]
            self.learned["threshold"] = tune_refusal([_refusal(s) for s in found], gains)
        maps: dict[str, list[float]] = {}
        judged: dict[str, list[tuple[float, bool]]] = {"answers": [], "refusals": []}
        for (question, text), spans in zip(asked, found, strict=True):
            answer = self._ranked(spans, text)[0]
            kind, score = "refusals", spans.null
            if answer.text:
                kind, score = "answers", float(spans.score[0])
            is_right = self._is_right(question, answer.text)
            judged[kind].append((_log_odds(score - spans.total), is_right))
        for kind, pairs in judged.items():
            raw, right = np.array(pairs, dtype=float).reshape(-1, 2).T
            if len(raw) >= FEWEST_TO_CALIBRATE and 0 < right.sum() < len(right):
                maps[kind] = list(fit_platt(raw, right))
        if maps:
            self.learned["calibration"] = maps
        return bool(maps) or self.may_refuse

    def _gain(self, question: Question, text: str) -> float:
        """How much more this answer scores than a refusal."""
        if not question.answers:
            return -1.0 if text else 0.0
        return best_over_golds(f1, text, [a.text for a in question.answers], lang=self.lang)

    def _is_right(self, question: Question, text: str) -> bool:
        golds = [answer.text for answer in question.answers] or [""]
        return bool(best_over_golds(exact_match, text, golds, lang=self.lang))

    def reliability(self, examples: Sequence[Example]) -> tuple[np.ndarray, np.ndarray]:
        asked = self._asked(examples)
        found = [few[0] for few in self.answers([(q.question, text) for q, text in asked])]
        right = [self._is_right(q, a.text) for (q, _), a in zip(asked, found, strict=True)]
        return np.array([a.score for a in found]), np.array(right, dtype=bool)


def _as_read(inputs: Sequences | Joint) -> Sequences:
    """The layout that start and end are scored on."""
    return inputs.together if isinstance(inputs, Joint) else inputs


def _best_text(spans: Spans, text: str) -> str:
    return text[spans.first[0] : spans.last[0]] if len(spans.score) else ""


def _refusal(spans: Spans) -> float:
    """How much better "no answer" scores than the best answer."""
    return spans.null - float(spans.score[0]) if len(spans.score) else 0.0


def _log_odds(log_probability: float) -> float:
    probability = min(max(float(np.exp(log_probability)), 1e-6), 1 - 1e-6)
    return float(np.log(probability / (1 - probability)))


def _n_characters(pair: tuple[str, str]) -> int:
    return len(pair[0]) + len(pair[1])
