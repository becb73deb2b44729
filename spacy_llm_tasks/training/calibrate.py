"""Make the scores of a trained pipeline mean what they say, and show on other data that they do.

Held-out examples are cut in two. Every component that can fits its temperature and thresholds on
one half; scores and expected calibration error (ECE) are measured on the other, before and after.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spacy.language import Language
from spacy.training import Example

from ..corpora.reader import bare_copy
from ..errors import Errors
from ..scoring.calibration import expected_calibration_error

SEED = 0
FEWEST_EXAMPLES = 4


@dataclass(frozen=True)
class CalibrationRow:
    """One component, measured on the reporting half.

    component (str): Its name.
    fitted (bool): Whether there was enough to fit; if not, nothing changed.
    metric (str): Name of its main score.
    score_before, score_after (float): That score, None without gold.
    ece_before, ece_after (float): Expected calibration error, None without predictions.
    n_predictions (int): Predictions that the second error is measured on.
    """

    component: str
    fitted: bool
    metric: str
    score_before: float | None
    score_after: float | None
    ece_before: float | None
    ece_after: float | None
    n_predictions: int


@dataclass(frozen=True)
class CalibrationReport:
    """What calibrating a pipeline changed.

    n_fit, n_report (int): Documents in the two halves.
    rows (List[CalibrationRow]): One per component that can be calibrated.
    """

    n_fit: int
    n_report: int
    rows: list[CalibrationRow]

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (dict): The report in JSON types."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"Fitted on {self.n_fit} documents, measured on {self.n_report} others:"]
        for row in self.rows:
            score = f"{row.metric} {_show(row.score_before)} -> {_show(row.score_after)}"
            ece = f"ECE {_show(row.ece_before)} -> {_show(row.ece_after)}"
            note = f"({row.n_predictions} predictions)" if row.fitted else "(too few: left alone)"
            lines.append(f"  {row.component}: {score}, {ece} {note}")
        return "\n".join(lines)


def calibrate_pipeline(nlp: Language, examples: Sequence[Example]) -> CalibrationReport:
    """Fit the temperatures and thresholds of every component with `calibrate` and `reliability`.

    nlp (Language): A trained pipeline; its components are changed, not saved.
    examples (Sequence[Example]): Held-out examples; training data would make every score look sure.
    RETURNS (CalibrationReport): Scores and errors before and after.
    RAISES (ValueError): if there are fewer than four examples.
    """
    if len(examples) < FEWEST_EXAMPLES:
        raise ValueError(Errors.E422.format(found=len(examples), expected=FEWEST_EXAMPLES))
    shuffled = list(examples)
    random.Random(SEED).shuffle(shuffled)
    middle = len(shuffled) // 2
    fit, held_out = shuffled[:middle], shuffled[middle:]
    able = [name for name, proc in nlp.pipeline if _can_be_calibrated(proc)]
    before = _measure(nlp, able, held_out)
    predicted = _predict(nlp, fit)
    fitted: dict[str, bool] = {name: _pipe(nlp, name).calibrate(predicted) for name in able}
    after = _measure(nlp, able, held_out)
    rows = [
        CalibrationRow(
            component=name,
            fitted=fitted[name],
            metric=before[name].metric,
            score_before=before[name].score,
            score_after=after[name].score,
            ece_before=before[name].ece,
            ece_after=after[name].ece,
            n_predictions=after[name].n_predictions,
        )
        for name in able
    ]
    return CalibrationReport(len(fit), len(held_out), rows)


@dataclass(frozen=True)
class _Measured:
    metric: str
    score: float | None
    ece: float | None
    n_predictions: int


def _measure(
    nlp: Language, names: Iterable[str], examples: Sequence[Example]
) -> dict[str, _Measured]:
    predicted = _predict(nlp, examples)
    found = {}
    for name in names:
        metric = _main_metric(nlp, name)
        score = _pipe(nlp, name).score(predicted).get(metric)
        confidences, correct = _pipe(nlp, name).reliability(predicted)
        ece = expected_calibration_error(confidences, correct)
        found[name] = _Measured(metric, score, ece, len(confidences))
    return found


def _predict(nlp: Language, examples: Sequence[Example]) -> list[Example]:
    """The examples, with new predicted docs that have gone through the whole pipeline."""
    docs = nlp.pipe(bare_copy(eg.predicted, nlp.vocab) for eg in examples)
    return [Example(doc, eg.reference) for doc, eg in zip(docs, examples, strict=True)]


def _can_be_calibrated(component: Any) -> bool:
    return all(callable(getattr(component, name, None)) for name in ("calibrate", "reliability"))


def _main_metric(nlp: Language, name: str) -> str:
    """The score with the largest weight among those a component contributes."""
    weights = nlp.get_pipe_meta(name).default_score_weights or {}
    numbers = {metric: weight for metric, weight in weights.items() if weight}
    return max(numbers, key=lambda metric: numbers[metric]) if numbers else ""


def _pipe(nlp: Language, name: str) -> Any:
    return nlp.get_pipe(name)


def _show(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
