"""Every error message of the package, under a code that never changes its meaning.

A message says what was found, what was expected and what to do next. Each room has a file of its
own here, and a hundred of codes: 1xx nn and weights, 2xx tokenization, 3xx corpora and scoring, 4xx
layers and pipeline, 5xx training, the command line and benchmarks, 6xx search, 7xx pretraining,
8xx annotation of a corpus, 9xx export.
"""

from .annotate import AnnotateErrors
from .bench import BenchErrors
from .corpora import CorporaErrors, CorporaWarnings
from .export import ExportErrors
from .nn import NnErrors, NnWarnings
from .pipeline import PipelineErrors, PipelineWarnings
from .pretraining import PretrainingErrors, PretrainingWarnings
from .search import SearchErrors, SearchWarnings
from .tokenization import TokenizationErrors
from .training import TrainingErrors, TrainingWarnings


class _WithCodes(type):
    def __getattribute__(cls, code: str) -> str:
        message = super().__getattribute__(code)
        return message if code.startswith("__") else f"[{code}] {message}"


class Errors(
    NnErrors,
    TokenizationErrors,
    CorporaErrors,
    PipelineErrors,
    TrainingErrors,
    BenchErrors,
    SearchErrors,
    PretrainingErrors,
    AnnotateErrors,
    ExportErrors,
    metaclass=_WithCodes,
):
    """`Errors.E101` is the message with its code in front, for `format`."""


class Warnings(
    NnWarnings,
    CorporaWarnings,
    PipelineWarnings,
    TrainingWarnings,
    SearchWarnings,
    PretrainingWarnings,
    metaclass=_WithCodes,
):
    """`Warnings.W301` is the message with its code in front, for `format`."""
