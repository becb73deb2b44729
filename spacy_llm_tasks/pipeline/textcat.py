"""`trf_textcat`: categories of whole documents, one of them or several."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Config
from torch import Tensor
from torch.nn import functional

from ..scoring.calibration import fit_temperature, sigmoid, tune_threshold
from ..scoring.textcat import score_textcat, unknown_labels
from .register import register_task
from .task import Task

DEFAULT_TEXTCAT_MODEL = Config().from_str(
    """
    [model]
    @architectures = "spacy_llm_tasks.TextCatHead.v1"

    [model.tok2vec]
    @architectures = "spacy_llm_tasks.Listener.v1"
    """
)["model"]

# With fewer predictions than this, probabilities stay as they are.
FEWEST_TO_CALIBRATE = 10
# With fewer positive examples of a label than this, its threshold stays at 0.5.
FEWEST_TO_TUNE = 10


@register_task(
    "trf_textcat",
    model=DEFAULT_TEXTCAT_MODEL,
    assigns=["doc.cats"],
    score_weights={"cats_score": 1.0, "cats_score_desc": None, "cats_f_per_type": None},
)
@dataclass(kw_only=True)
class TextCatTask(Task):
    """Classify documents.

    exclusive (bool): Exactly one category is right; probabilities then sum to 1.
    label_smoothing (float): Share of the probability that the loss spreads over all categories
        (exclusive only).
    """

    exclusive: bool = True
    label_smoothing: float = 0.0

    def labels_of(self, example: Example) -> Iterable[str]:
        return example.reference.cats

    def targets(self, examples: Sequence[Example]) -> tuple[Tensor, Tensor] | None:
        gold, known = self._gold(examples)
        if not known.any():
            return None
        return torch.from_numpy(gold), torch.from_numpy(known)

    def _gold(self, examples: Sequence[Example]) -> tuple[np.ndarray, np.ndarray]:
        """Gold values (B, L) and which of them are annotated."""
        gold = np.zeros((len(examples), len(self.labels)), dtype=np.float32)
        known = np.zeros(gold.shape, dtype=bool)
        for row, example in enumerate(examples):
            cats = example.reference.cats
            for column, label in enumerate(self.labels):
                if label in cats:
                    gold[row, column], known[row, column] = cats[label], True
        if self.exclusive:  # one positive category tells all the others
            known[:] = gold.max(axis=1, keepdims=True, initial=0.0) > 0
        return gold, known

    def loss(self, logits: Tensor, targets: tuple[Tensor, Tensor]) -> Tensor:
        gold, known = targets
        if self.exclusive:
            rows = known.any(dim=1)
            share = gold[rows] / gold[rows].sum(dim=1, keepdim=True)
            return functional.cross_entropy(
                logits[rows], share, label_smoothing=self.label_smoothing
            )
        return functional.binary_cross_entropy_with_logits(logits[known], gold[known])

    def decode(self, logits: Tensor, docs: Sequence[Doc]) -> list[list[float]]:
        scaled = logits / self.learned.get("temperature", 1.0)
        return (scaled.softmax(dim=1) if self.exclusive else scaled.sigmoid()).tolist()

    def split(self, logits: Tensor, docs: Sequence[Doc]) -> list[Tensor]:
        return list(logits)

    def annotate(self, doc: Doc, prediction: list[float]) -> None:
        doc.cats = {**doc.cats, **dict(zip(self.labels, prediction, strict=True))}

    @property
    def thresholds(self) -> dict[str, float]:
        """RETURNS (Dict[str, float]): The probability from which a category counts, per label."""
        return {label: 0.5 for label in self.labels} | self.learned.get("thresholds", {})

    def score(self, examples: Iterable[Example]) -> dict[str, Any]:
        return score_textcat(examples, labels=self.labels, **self.scoring)

    @property
    def scoring(self) -> dict[str, Any]:
        return {"exclusive": self.exclusive, "thresholds": self.thresholds}

    def calibrate(self, examples: Sequence[Example], logits: Sequence[Tensor]) -> bool:
        gold, known = self._gold(examples)
        if not known.any():
            return False
        scores = torch.stack(list(logits)).double().numpy()
        if self.exclusive:
            # A text whose right label is none of these has no likelihood to fit.
            rows = known.any(axis=1)
            right = gold[rows].argmax(axis=1)
            return self._fit(scores[rows], right, scores[rows].argmax(axis=1) == right)
        right = gold[known] > 0.5
        fitted = self._fit(scores[known], right, (scores[known] > 0) == right)
        probability = sigmoid(scores / self.learned.get("temperature", 1.0))
        thresholds = {}
        for column, label in enumerate(self.labels):
            rows = known[:, column]
            positive = gold[rows, column] > 0.5
            if positive.sum() >= FEWEST_TO_TUNE:
                thresholds[label] = tune_threshold(probability[rows, column], positive)
        self.learned["thresholds"] = thresholds
        return fitted or bool(thresholds)

    def _fit(self, scores: np.ndarray, gold: np.ndarray, correct: np.ndarray) -> bool:
        """Fit the temperature, if there are both right and wrong predictions to learn from: without
        a single error the best temperature is the lowest one, and every score would be 0 or 1."""
        if len(correct) < FEWEST_TO_CALIBRATE or correct.all() or not correct.any():
            return False
        self.learned["temperature"] = fit_temperature(scores, gold)
        return True

    def reliability(self, examples: Sequence[Example]) -> tuple[np.ndarray, np.ndarray]:
        gold, known = self._gold(examples)
        found = np.array(
            [[eg.predicted.cats.get(label, 0.0) for label in self.labels] for eg in examples]
        ).reshape(gold.shape)
        if not self.exclusive:
            return found[known], gold[known] > 0.5
        best = found.argmax(axis=1)
        right = known.any(axis=1) & (gold.argmax(axis=1) == best)
        wrong = [bool(unknown_labels(eg.reference.cats, self.labels)) for eg in examples]
        rows = known.any(axis=1) | np.array(wrong, dtype=bool)
        return found[rows].max(axis=1), right[rows]
