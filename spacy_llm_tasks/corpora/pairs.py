"""Pairs of sentences, graded or not, from tab-separated files to Docs with `doc._.pair`.

Files are read without quoting, as the public sets are written. The layout of the STS benchmark
(genre, file, year, number, score, first and second sentence; scores from 0 to 5; Cer et al. 2017,
"SemEval-2017 Task 1: Semantic Textual Similarity") is known by itself. Two columns are pairs that
belong together. Three columns are two sentences and a score in any place or, without numbers,
triplets: a sentence, one that belongs to it and one that does not.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc

from .. import annotations
from ..annotations import Pair
from ..errors import Errors
from .exact import exact_doc
from .files import numbered_lines, read_text
from .labels import HEADERS
from .report import Report

_FIRST = ("sentence1", "sentence_1", "sentence_a", "text1", "anchor")
_SECOND = ("sentence2", "sentence_2", "sentence_b", "text2", "positive")
_THIRD = ("negative",)
_SCORE = ("score", "similarity", "similarity_score", "relatedness_score")


@dataclass(frozen=True)
class _Row:
    line: int
    cells: list[str]


@dataclass(frozen=True)
class _Layout:
    """Where things stand, counted from 0; `top` is the highest score, 0 if it was not said."""

    first: int
    second: int
    score: int | None = None
    negative: int | None = None
    top: float = 0.0


STS = _Layout(first=5, second=6, score=4, top=5.0)


def read_pairs(
    path: Path,
    nlp: Language,
    report: Report,
    *,
    first_column: int | str | None = None,
    second_column: int | str | None = None,
    score_column: int | str | None = None,
    score_max: float = 0.0,
    header: str = "auto",
    encoding: str = "utf-8",
) -> Iterator[Doc]:
    """Read a tab-separated file of sentence pairs.

    path (Path): The file.
    nlp (Language): Tokenizes the first sentences.
    report (Report): Takes the counts of what was unusable.
    first_column, second_column, score_column (int | str): Positions from 0 or header names. With
        no score column the pairs belong together (score 1). All left out: by the header, the
        layout of the STS benchmark, or two or three columns, see above.
    score_max (float): The score of sentences that mean the same, by which all are divided. 0: 5 in
        the layout of the STS benchmark, elsewhere 1 if no score is higher.
    header (str): "yes", "no", or "auto": a first line that names its columns.
    encoding (str): Encoding of the file.
    YIELDS (Doc): The first sentence, `doc._.pair` being the second with a score between 0 and 1;
        of a triplet the second with the score 1, and the third as its negative.
    RAISES (ValueError): If the file is missing, empty or undecodable, or it cannot be told where
        the sentences stand or what the highest score is.
    """
    if header not in HEADERS:
        raise ValueError(Errors.E313.format(name="header", expected=HEADERS, found=header))
    if not 0.0 <= score_max < math.inf:
        raise ValueError(
            Errors.E313.format(name="--score-max", expected="0 or more", found=score_max)
        )
    text = read_text(path, encoding=encoding)
    rows = [_Row(n, line.split("\t")) for n, line in numbered_lines(text) if line.strip()]
    titles: list[str] = []
    named = any(isinstance(column, str) for column in (first_column, second_column, score_column))
    if header == "yes" or (header == "auto" and (named or _is_header(rows[0].cells))):
        titles = [cell.strip().lower() for cell in rows[0].cells]
        report.skip("header line", rows[0].line)
        rows = rows[1:]
    if not rows:
        raise ValueError(Errors.E311.format(path=path, what="lines of sentence pairs"))
    if first_column is None and second_column is None and score_column is None:
        layout = _find_layout(path, rows, titles)
    elif first_column is None or second_column is None:
        raise ValueError(Errors.E342.format(path=path, reason="only one of the two was named"))
    else:
        first, second = (_column(path, column, titles) for column in (first_column, second_column))
        score = None if score_column is None else _column(path, score_column, titles)
        layout = _Layout(first, second, score)
    top = score_max or layout.top or _highest(path, rows, layout)
    for row in rows:
        doc = _make_doc(row, layout, top, nlp, report)
        if doc is not None:
            yield doc


def looks_like_sts(text: str) -> bool:
    """Whether a text has the layout of the STS benchmark: seven columns, the fifth a score and the
    last two of several words (files of one token a line have many columns too)."""
    lines = [line for _, line in numbered_lines(text[:20000]) if line.strip()]
    # The last line may have been cut.
    rows = [line.split("\t") for line in lines[:-1] or lines]
    n_sentences = sum(all(" " in cell.strip() for cell in row[5:7]) for row in rows)
    return _has_sts_layout(rows) and 2 * n_sentences >= len(rows)


def _has_sts_layout(rows: Sequence[list[str]]) -> bool:
    n_fitting = 0
    for cells in rows:
        score = _number(cells[4]) if len(cells) >= 7 else None
        n_fitting += score is not None and 0.0 <= score <= 5.0
    return 0 < n_fitting >= 0.9 * len(rows)


def _is_header(cells: list[str]) -> bool:
    titles = {cell.strip().lower() for cell in cells}
    return bool(titles.intersection(_FIRST)) and bool(titles.intersection(_SECOND))


def _find_layout(path: Path, rows: Sequence[_Row], titles: list[str]) -> _Layout:
    first, second, third, score = (
        next((i for i, title in enumerate(titles) if title in names), None)
        for names in (_FIRST, _SECOND, _THIRD, _SCORE)
    )
    if first is not None and second is not None:
        return _Layout(first, second, score, None if score is not None else third)
    if _has_sts_layout([row.cells for row in rows]):
        return STS
    width = max(len(row.cells) for row in rows)
    # A few broken lines do not make a column of numbers one of sentences.
    numbers = [i for i in range(width) if 10 * _n_numbers(rows, i) >= 9 * len(rows)]
    texts = [i for i in range(width) if i not in numbers]
    if width in (2, 3) and len(texts) == 2:
        return _Layout(texts[0], texts[1], numbers[0] if numbers else None)
    if width == len(texts) == 3:
        return _Layout(0, 1, negative=2)
    reason = f"there are {width} columns, {len(numbers)} of them numbers"
    raise ValueError(Errors.E342.format(path=path, reason=reason))


def _n_numbers(rows: Sequence[_Row], column: int) -> int:
    return sum(len(row.cells) > column and _number(row.cells[column]) is not None for row in rows)


def _column(path: Path, column: int | str, titles: list[str]) -> int:
    if isinstance(column, int) and column >= 0:
        return column
    if isinstance(column, str) and column.lower() in titles:
        return titles.index(column.lower())
    raise ValueError(Errors.E316.format(path=path, column=column, found=titles or "no header"))


def _highest(path: Path, rows: Sequence[_Row], layout: _Layout) -> float:
    if layout.score is None:
        return 1.0
    cells = (row.cells[layout.score] for row in rows if len(row.cells) > layout.score)
    highest = max((score for cell in cells if (score := _number(cell)) is not None), default=1.0)
    if highest > 1.0:
        raise ValueError(Errors.E341.format(path=path, found=highest))
    return 1.0


def _make_doc(row: _Row, layout: _Layout, top: float, nlp: Language, report: Report) -> Doc | None:
    needed = (layout.first, layout.second, layout.score or 0, layout.negative or 0)
    if max(needed) >= len(row.cells):
        report.reject("line with too few columns", row.line, " | ".join(row.cells))
        return None
    score = 1.0
    if layout.score is not None:
        found = _number(row.cells[layout.score])
        if found is None or not 0.0 <= found <= top:
            reason = f"score that is no number between 0 and {top:g}"
            report.reject(reason, row.line, row.cells[layout.score])
            return None
        score = found / top
    if layout is STS and len(row.cells) > 7:
        report.skip("source of the sentences (cells after the seventh)", row.line)
    places = [layout.first, layout.second, *([] if layout.negative is None else [layout.negative])]
    first, second, *negatives = (row.cells[place].strip() for place in places)
    if not all((first, second, *negatives)):
        report.reject("empty sentence", row.line, " | ".join(row.cells))
        return None
    doc = exact_doc(nlp, first, report, row.line)
    if doc is not None:
        annotations.set_pair(doc, Pair(second, score, tuple(negatives)))
    return doc


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
