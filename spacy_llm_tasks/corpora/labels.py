"""Files of one text and its label a line (TSV, CSV, or `label text`) to Docs with categories."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc

from ..errors import Errors
from .csv_records import csv_records
from .exact import tokenize
from .files import numbered_lines, read_text
from .report import Report

SEPARATORS = {"tab": "\t", "comma": ",", "space": " "}
ORDERS = ("auto", "label-text", "text-label")
HEADERS = ("auto", "yes", "no")
_LABEL_NAMES = {"label", "labels", "category", "categories", "class", "target", "topic"}
_TEXT_NAMES = {"text", "sentence", "document", "message", "body", "content", "title", "review"}


@dataclass(frozen=True)
class _Row:
    line: int
    cells: list[str]


def read_labels(
    path: Path,
    nlp: Language,
    report: Report,
    *,
    separator: str = "auto",
    order: str = "auto",
    header: str = "auto",
    text_column: int | str | None = None,
    label_column: int | str | None = None,
    label_separator: str = "",
    names: Mapping[str, str] | None = None,
    encoding: str = "utf-8",
) -> Iterator[Doc]:
    """Read one labelled text a line.

    path (Path): The file.
    nlp (Language): Tokenizes the texts.
    report (Report): Takes the counts of what was unusable.
    separator (str): "auto", "tab", "comma" (quoted as CSV) or "space" (`label text`, cut at the
        first space). Tab-separated files are read without quoting, as the public sets are written.
    order (str): "label-text", "text-label", or "auto": the label is the column with fewer
        different values.
    header (str): "yes", "no", or "auto": a first line that names its columns.
    text_column, label_column (int | str): Positions from 0 or header names, for files of more
        than two columns; instead of `order`.
    label_separator (str): Cuts the label cell into several labels: the set is multi-label, and an
        empty cell means no label. Without it labels are exclusive.
    names (Mapping[str, str]): Raw label -> label to write. Names all labels: each of them gets a
        value in every Doc even if the file has no example of it, and other labels are unusable.
    encoding (str): Encoding of the file.
    YIELDS (Doc): `doc.cats` with every label of the file (or of `names`) at 0.0 or 1.0.
    RAISES (ValueError): If the file is missing, empty or undecodable, or the label column cannot
        be told.
    """
    for option, value, allowed in (
        ("separator", separator, ("auto", *SEPARATORS)),
        ("order", order, ORDERS),
        ("header", header, HEADERS),
    ):
        if value not in allowed:
            raise ValueError(Errors.E313.format(name=option, expected=allowed, found=value))
    text = read_text(path, encoding=encoding)
    if separator == "auto":
        separator = _detect_separator(path, text)
    picked = text_column is not None and label_column is not None
    if separator == "comma":
        rows = [_Row(*record) for record in csv_records(path, text, report)]
    else:
        rows = _rows(text, separator, order, whole=picked)
    titles: list[str] = []
    if rows and _has_titles(header, rows[0].cells, text_column):
        titles = [cell.strip().lstrip("#").strip().lower() for cell in rows[0].cells]
        report.skip("header line", rows[0].line)
        rows = rows[1:]
    if not rows:
        raise ValueError(Errors.E311.format(path=path, what="labelled lines"))
    if picked:
        at_text = _column(path, text_column, titles)
        at_label = _column(path, label_column, titles)
    else:
        at_text, at_label = _columns_of(path, rows, titles, order, separator)
    # A text that holds tabs itself is cut on the side where the label stands.
    if not picked and separator == "tab":
        rows = [_Row(row.line, _joined(row.cells, at_label)) for row in rows]
        at_text, at_label = (1, 0) if at_label == 0 else (0, 1)
    yield from _make_docs(nlp, rows, at_text, at_label, label_separator, names, report)


def parse_names(option: str) -> dict[str, str]:
    """Read the command line's label names.

    option (str): "0=negative,1=positive"; a name without "=" stands for itself.
    RETURNS (dict[str, str]): Raw label -> label to write.
    RAISES (ValueError): If a part is empty.
    """
    names: dict[str, str] = {}
    for part in option.split(",") if option else ():
        raw, _, name = part.strip().partition("=")
        name = name if "=" in part else raw
        if not raw or not name:
            raise ValueError(
                Errors.E320.format(what="--labels", found=option, expected="RAW=NAME,RAW=NAME")
            )
        names[raw.strip()] = name.strip()
    return names


def _detect_separator(path: Path, text: str) -> str:
    lines = [line for _, line in numbered_lines(text) if line.strip()]
    if 10 * sum("\t" in line for line in lines) > 9 * len(lines):
        return "tab"
    if Path(path).suffix.lower() == ".csv":
        return "comma"
    return "space"


def _rows(text: str, separator: str, order: str, *, whole: bool) -> list[_Row]:
    rows: list[_Row] = []
    for number, line_text in numbered_lines(text):
        if not line_text.strip():
            continue
        if separator == "tab" or whole:
            rows.append(_Row(number, line_text.split(SEPARATORS[separator])))
        elif order == "text-label":
            rows.append(_Row(number, line_text.rsplit(" ", 1)))
        else:
            rows.append(_Row(number, line_text.split(" ", 1)))
    return rows


def _joined(cells: list[str], at_label: int) -> list[str]:
    if len(cells) < 2:
        return cells
    if at_label == 0:
        return [cells[0], "\t".join(cells[1:])]
    return ["\t".join(cells[:-1]), cells[-1]]


def _has_titles(header: str, cells: list[str], text_column: int | str | None) -> bool:
    if header != "auto" or isinstance(text_column, str):
        return header != "no"
    titles = {cell.strip().lstrip("#").strip().lower() for cell in cells}
    return bool(titles & _LABEL_NAMES) and bool(titles & _TEXT_NAMES)


def _column(path: Path, column: int | str | None, titles: list[str]) -> int:
    if isinstance(column, str) and column.lower() in titles:
        return titles.index(column.lower())
    if isinstance(column, str):
        raise ValueError(Errors.E316.format(path=path, column=column, found=titles or "no header"))
    return column or 0


def _columns_of(
    path: Path, rows: list[_Row], titles: list[str], order: str, separator: str
) -> tuple[int, int]:
    """(text column, label column) as said, as the header names them, or as the values tell."""
    if order != "auto":
        return (1, 0) if order == "label-text" else (0, 1)
    by_title = [i for i, title in enumerate(titles) if title in _LABEL_NAMES]
    texts = [i for i, title in enumerate(titles) if title in _TEXT_NAMES]
    if len(by_title) == 1 and len(texts) == 1:
        return texts[0], by_title[0]
    width = max(len(row.cells) for row in rows)
    wide = sum(len(row.cells) > 2 for row in rows)
    if (separator == "comma" and wide) or (separator == "tab" and 10 * wide > len(rows)):
        raise ValueError(Errors.E315.format(path=path, reason=f"there are {width} columns"))
    first = {row.cells[0] for row in rows}
    last = {row.cells[-1] for row in rows}
    if separator == "space":
        if 2 * len(first) > len(rows) + 1:
            reason = f"{len(first)} different first words in {len(rows)} lines"
            raise ValueError(Errors.E315.format(path=path, reason=reason))
        return 1, 0
    if len(first) == len(last):
        reason = f"both have {len(first)} different values"
        raise ValueError(Errors.E315.format(path=path, reason=reason))
    return (1, 0) if len(first) < len(last) else (0, 1)


def _make_docs(
    nlp: Language,
    rows: list[_Row],
    at_text: int,
    at_label: int,
    label_separator: str,
    names: Mapping[str, str] | None,
    report: Report,
) -> Iterator[Doc]:
    usable: list[tuple[str, list[str]]] = []
    for row in rows:
        if max(at_text, at_label) >= len(row.cells):
            report.reject("line with too few columns", row.line, " | ".join(row.cells))
            continue
        text, cell = row.cells[at_text].strip(), row.cells[at_label].strip()
        raw = [part.strip() for part in cell.split(label_separator)] if label_separator else [cell]
        raw = [label for label in raw if label]
        if not text:
            report.reject("empty text", row.line, cell)
        elif not raw and not label_separator:
            report.reject("text without a label", row.line, text)
        elif names and any(label not in names for label in raw):
            report.reject("label that --labels does not name", row.line, cell)
        else:
            usable.append((text, [names[label] if names else label for label in raw]))
    known = set(names.values()) if names else {label for _, labels in usable for label in labels}
    for text, labels in usable:
        doc = tokenize(nlp, text)
        doc.cats = {label: float(label in labels) for label in sorted(known)}
        yield doc
