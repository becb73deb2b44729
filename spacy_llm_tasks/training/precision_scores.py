"""What fewer bits cost a pipeline: its scores on held-out data, in each precision."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from spacy.language import Language
from spacy.training import Example

from ..nn.precision import check
from ..pipeline.precisions import encoders, load_with, reduce_weights

EXACT = "fp32"
Read = Callable[[Language], Sequence[Example]]


class Setting(NamedTuple):
    """How a pipeline computes and what it keeps.

    precision (str): Of products with weights.
    embeddings (str): Of reduced weights, that of the table of pieces; "" where the weights are kept
        in float32 and rounded at load time.
    """

    precision: str
    embeddings: str = ""

    @property
    def name(self) -> str:
        """RETURNS (str): What tables call it."""
        return f"{self.precision}, {self.embeddings} table" if self.embeddings else self.precision

    def load(self, pipeline: str | Path) -> Language:
        """RETURNS (Language): A pipeline from a folder, in this setting."""
        nlp = load_with(pipeline, check(self.precision))
        if self.embeddings:
            reduce_weights(nlp, embeddings=check(self.embeddings))
        return nlp


@dataclass(frozen=True)
class Measured:
    """A pipeline in one setting.

    setting (str): Its name.
    encoder_bytes (int): Bytes of the weights of its encoders as they are saved.
    cpu_s (float): CPU seconds for predicting on the data.
    scores (dict): The main scores of all components; None without gold.
    change (dict): In points, hundredths of the score: what was won over float32 (below 0: lost).
    unavailable (str): Why this machine or this pipeline has no such setting, and there are no
        scores; "" where it was measured.
    """

    setting: str
    encoder_bytes: int
    cpu_s: float
    scores: dict[str, float | None]
    change: dict[str, float | None] = field(default_factory=dict)
    unavailable: str = ""

    @property
    def lost(self) -> float:
        """RETURNS (float): The most points that any score has lost; 0 if none has."""
        return max([0.0, *(-points for points in self.change.values() if points is not None)])


@dataclass(frozen=True)
class PrecisionReport:
    """A pipeline in several settings, float32 first.

    n_docs (int): Documents that the scores are measured on.
    rows (List[Measured]): One a setting.
    """

    n_docs: int
    rows: list[Measured]

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (dict): The report in JSON types."""
        return {"n_docs": self.n_docs, "results": [asdict(row) for row in self.rows]}


def compare(
    pipeline: str | Path, read: Read, settings: Iterable[Setting], *, until: float | None = None
) -> PrecisionReport:
    """Score a pipeline in float32 and in other settings.

    pipeline (str / Path): Folder or name of a trained pipeline.
    read (Callable): Gives the examples for a pipeline that was loaded.
    settings (Iterable[Setting]): The others.
    until (float): Stop at the first that loses at most so many points; None tries all, and goes on
        after those that are not available.
    RETURNS (PrecisionReport): The scores.
    RAISES (ValueError): if a precision is unknown, the pipeline has no encoder, or reduced weights;
        with `until` also if a setting is not available.
    """
    others = list(settings)
    for setting in others:
        check(setting.precision)
    nlp = Setting(EXACT).load(pipeline)
    examples = read(nlp)
    rows = [_measure(nlp, examples, Setting(EXACT), {})]
    for setting in others:
        try:
            nlp = setting.load(pipeline)
            rows.append(_measure(nlp, read(nlp), setting, rows[0].scores))
        except ValueError as error:
            if until is not None or not str(error).startswith("[E"):
                raise
            missing: dict[str, float | None] = dict.fromkeys(rows[0].scores)
            rows.append(Measured(setting.name, 0, 0.0, missing, unavailable=str(error)))
        if until is not None and rows[-1].lost <= until:
            break
    return PrecisionReport(len(examples), rows)


def _measure(
    nlp: Language,
    examples: Sequence[Example],
    setting: Setting,
    base: dict[str, float | None],
) -> Measured:
    started = time.process_time()
    found = nlp.evaluate(examples)
    spent = time.process_time() - started
    scores = {metric: found.get(metric) for metric in main_metrics(nlp)}
    change = {metric: _points(base.get(metric), score) for metric, score in scores.items()}
    n_bytes = sum(shim.n_bytes for shim in encoders(nlp))
    return Measured(setting.name, n_bytes, round(spent, 3), scores, change if base else {})


def main_metrics(nlp: Language) -> list[str]:
    """RETURNS (List[str]): The scores that count, of all components, in their order."""
    metas = [nlp.get_pipe_meta(name) for name in nlp.pipe_names]
    weights = [meta.default_score_weights or {} for meta in metas]
    return list(dict.fromkeys(name for part in weights for name, weight in part.items() if weight))


def _points(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else round(100 * (after - before), 3)
