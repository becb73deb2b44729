"""`trf_ner`: named entities, by span scores or by tags, flat or overlapping."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from spacy.attrs import IS_SPACE
from spacy.tokens import Doc, Span
from spacy.training import Example
from thinc.api import Config
from torch import Tensor, nn

from ..annotations import set_confidences
from ..errors import Errors
from ..layers.checks import at_least
from ..layers.span_decoding import (
    Spans,
    SpanTargets,
    candidate_spans,
    span_loss,
    without_overlaps,
)
from ..layers.tag_decoding import decode_tags, tag_loss
from ..scoring.calibration import fit_platt, sigmoid, tune_threshold
from ..scoring.ner import score_ner
from .gold import GoldSpan, align_spans, annotated_tokens, crossing_tokens, same_tokens
from .register import register_task
from .task import Task

DEFAULT_NER_MODEL = Config().from_str(
    """
    [model]
    @architectures = "spacy_llm_tasks.SpanHead.v1"

    [model.tok2vec]
    @architectures = "spacy_llm_tasks.Listener.v1"
    """
)["model"]

# Longest span that a head scores when the training data decides, whatever that data holds.
LONGEST_SPAN = 64
# A span counts from this score, about 0.4 in probability, until `calibrate` finds a better one. The
# best threshold for F1 is half the best F1 itself (Lipton et al. 2014, arXiv 1402.1892), so for
# scores between 0.6 and 0.9 it lies below the 0.5 that the loss aims at.
DEFAULT_THRESHOLD = -0.4
# Thresholds are searched this far to both sides of 0, the one the loss aims at.
THRESHOLD_RANGE = 2.0
# With fewer predictions than this, confidences stay as they are.
FEWEST_TO_CALIBRATE = 10
# With fewer gold entities than this, a tuned threshold would be noise.
FEWEST_TO_TUNE = 200


@dataclass(frozen=True)
class Entities:
    """Predicted spans of one doc: token ranges (last included), labels and raw scores."""

    spans: list[tuple[int, int, str]]
    scores: np.ndarray


@register_task(
    "trf_ner",
    model=DEFAULT_NER_MODEL,
    assigns=["doc.ents", "token.ent_iob", "token.ent_type"],
    score_weights={"ents_f": 1.0, "ents_p": 0.0, "ents_r": 0.0, "ents_per_type": None},
)
@dataclass(kw_only=True)
class NerTask(Task):
    """Find named entities.

    overlapping (bool): Allow nested and overlapping entities, which then go to `doc.spans` with
        their confidences in `attrs["scores"]`. Needs the span head.
    spans_key (str): Where in `doc.spans` they are read from in training, and written to.
    max_span (int): Longest entity in tokens that the span head scores; null takes the longest of
        the training data, up to 64.
    """

    overlapping: bool = False
    spans_key: str = "trf_ner"
    max_span: int | None = None

    def __post_init__(self) -> None:
        if self.max_span is not None:
            at_least("max_span", self.max_span, 1)

    # Gold ----------------------------------------------------------------------------------------

    def labels_of(self, example: Example) -> Iterable[str]:
        return (span.label_ for span in self._gold(example))

    def _gold(self, example: Example) -> Iterable[Span]:
        if self.overlapping:
            return example.reference.spans.get(self.spans_key, ())
        return example.reference.ents

    def _annotated(self, example: Example) -> np.ndarray:
        if not self.overlapping:
            return annotated_tokens(example)
        known = self.spans_key in example.reference.spans
        annotated = np.full(len(example.predicted), known, dtype=bool)
        if known and not same_tokens(example):
            annotated[crossing_tokens(example, self._gold(example))] = False
        return annotated

    def prepare(self, examples: Iterable[Example]) -> None:
        longest = max((s.end - s.start for eg in examples for s in self._gold(eg)), default=1)
        self.learned["max_span"] = self.max_span or min(longest, LONGEST_SPAN)

    def configure(self, head: nn.Module) -> None:
        if hasattr(head, "max_span"):
            head.max_span = self.learned.get("max_span", 1)
        elif self.overlapping:
            raise ValueError(Errors.E421)

    def targets(self, examples: Sequence[Example]) -> SpanTargets | None:
        lengths = np.fromiter((len(eg.predicted) for eg in examples), dtype=np.int64)
        annotated = np.concatenate([self._annotated(eg) for eg in examples])
        starts = np.cumsum(lengths) - lengths
        number = {label: i for i, label in enumerate(self.labels)}
        cells: list[tuple[int, int, int]] = []
        for eg, start in zip(examples, starts.tolist(), strict=True):
            for opens, closes, name in align_spans(eg, self._gold(eg)):
                if name in number:
                    cells.append((start + opens, closes - opens - 1, number[name]))
                else:  # an entity, though none that could be predicted: neither yes nor no
                    annotated[start + opens : start + closes] = False
        if not annotated.any():
            return None
        first, offset, label = np.array(cells, dtype=np.int64).reshape(-1, 3).T
        return SpanTargets(lengths, first, offset, label, annotated)

    def loss(self, logits: Tensor, targets: SpanTargets) -> Tensor:
        return tag_loss(logits, targets) if logits.dim() == 2 else span_loss(logits, targets)

    # Predictions ---------------------------------------------------------------------------------

    def decode(self, logits: Tensor, docs: Sequence[Doc]) -> list[Entities]:
        lengths = np.fromiter((len(doc) for doc in docs), dtype=np.int64, count=len(docs))
        # No entity begins or ends with white space, as with spaCy's own `ner`.
        space = np.zeros(len(logits), dtype=bool)
        if docs:
            space = np.concatenate([doc.to_array([IS_SPACE]).reshape(-1) for doc in docs]) > 0
        return self._by_doc(self._best_spans(logits, lengths, space), lengths)

    def _best_spans(self, logits: Tensor, lengths: np.ndarray, space: np.ndarray) -> Spans:
        if logits.dim() == 2:
            found = decode_tags(logits, lengths)
            return found.take(~(space[found.first] | space[found.last]))
        threshold = self.learned.get("threshold", DEFAULT_THRESHOLD)
        found = candidate_spans(logits, threshold=threshold, one_label=not self.overlapping)
        found = found.take(~(space[found.first] | space[found.last]))
        return found if self.overlapping else without_overlaps(found, len(logits))

    def _by_doc(self, spans: Spans, lengths: np.ndarray) -> list[Entities]:
        ends = np.cumsum(lengths)
        spans = spans.take(np.lexsort((spans.last, spans.first)))
        owner = np.searchsorted(ends, spans.first, side="right")
        start = (ends - lengths)[owner]
        labels = [self.labels[i] for i in spans.label.tolist()]
        borders = ((spans.first - start).tolist(), (spans.last - start).tolist())
        found = list(zip(*borders, labels, strict=True))
        cuts = np.searchsorted(owner, np.arange(len(lengths) + 1)).tolist()
        return [Entities(found[a:z], spans.score[a:z]) for a, z in pairwise(cuts)]

    def annotate(self, doc: Doc, prediction: Entities) -> None:
        spans = [Span(doc, a, z + 1, label=k) for a, z, k in prediction.spans]
        confidences = self._confidence(prediction.scores).tolist()
        if self.overlapping:
            doc.spans[self.spans_key] = spans
            doc.spans[self.spans_key].attrs["scores"] = confidences
        else:
            # an earlier annotation is looked for without a list of spans, which most docs lack
            annotated = doc.has_annotation("ENT_IOB")
            preset = [span for span in doc.ents if span.label_] if annotated else []
            if preset:  # an earlier component's entities stay, as with spaCy's own `ner`
                taken = {i for span in preset for i in range(span.start, span.end)}
                free = [i for i, s in enumerate(spans) if taken.isdisjoint(range(s.start, s.end))]
                spans = [spans[i] for i in free]
                confidences = [confidences[i] for i in free]
            doc.set_ents([*preset, *spans], default="outside")
        set_confidences(doc, spans, confidences, keep=True)

    def _confidence(self, scores: np.ndarray) -> np.ndarray:
        scale, shift = self.learned.get("calibration", (1.0, 0.0))
        return sigmoid(scale * scores + shift)

    # Scores and calibration ----------------------------------------------------------------------

    def score(self, examples: Iterable[Example]) -> dict[str, Any]:
        return score_ner(examples, **self.scoring)

    @property
    def scoring(self) -> dict[str, Any]:
        return {"spans_key": self.spans_key} if self.overlapping else {}

    def calibrate(self, examples: Sequence[Example], logits: Sequence[Tensor]) -> bool:
        kept = [(eg, x) for eg, x in zip(examples, logits, strict=True) if self._is_gold(eg)]
        if kept and kept[0][1].dim() == 3:
            self._tune_threshold(kept)
        scores, correct = self._judged(kept)
        if len(scores) < FEWEST_TO_CALIBRATE or correct.all() or not correct.any():
            return False
        self.learned["calibration"] = list(fit_platt(scores, correct))
        return True

    def _tune_threshold(self, kept: Sequence[tuple[Example, Tensor]]) -> None:
        """Choose the score above which a span counts, for the best F1 on these examples."""
        self.learned["threshold"] = -THRESHOLD_RANGE
        scores, correct = self._judged(kept)
        n_gold = sum(1 for eg, _ in kept for _ in self._gold(eg))
        self.learned["threshold"] = DEFAULT_THRESHOLD
        if n_gold < FEWEST_TO_TUNE:
            return
        threshold = tune_threshold(scores, correct, default=DEFAULT_THRESHOLD, n_true=n_gold)
        self.learned["threshold"] = float(np.clip(threshold, -THRESHOLD_RANGE, THRESHOLD_RANGE))

    def _judged(self, kept: Sequence[tuple[Example, Tensor]]) -> tuple[np.ndarray, np.ndarray]:
        """Scores of the spans found, and whether each is an entity of the gold."""
        scores: list[float] = []
        correct: list[bool] = []
        for example, logits in kept:
            gold = set(align_spans(example, self._gold(example)))
            found = self.decode(logits, [example.predicted])[0]
            scores.extend(found.scores.tolist())
            correct.extend((int(a), int(z) + 1, label) in gold for a, z, label in found.spans)
        return np.array(scores), np.array(correct, dtype=bool)

    def _is_gold(self, example: Example) -> bool:
        return bool(len(example.predicted)) and bool(self._annotated(example).all())

    def reliability(self, examples: Sequence[Example]) -> tuple[np.ndarray, np.ndarray]:
        confidences: list[float] = []
        correct: list[bool] = []
        for example in filter(self._is_gold, examples):
            gold: set[GoldSpan] = set(align_spans(example, self._gold(example)))
            doc = example.predicted
            found = doc.spans.get(self.spans_key, ()) if self.overlapping else doc.ents
            for span in found:
                if span._.confidence is not None:
                    confidences.append(span._.confidence)
                    correct.append((span.start, span.end, span.label_) in gold)
        return np.array(confidences), np.array(correct, dtype=bool)
