"""One entry for every format that can be read: name it or have it detected, get Docs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import spacy
from spacy.language import Language
from spacy.tokens import Doc

from ..errors import Errors
from .annotation_tool import looks_like_annotation_tool, read_annotation_tool
from .brat import read_brat
from .columns import looks_like_columns, read_columns
from .conll04 import looks_like_conll04, read_conll04
from .files import read_docs, read_text
from .jsonl import read_jsonl
from .labels import parse_names, read_labels
from .markup import looks_like_markup, read_markup
from .pairs import looks_like_sts, read_pairs
from .report import Report
from .semeval2010 import looks_like_semeval2010, read_semeval2010
from .squad import looks_like_squad, read_squad

_BY_SUFFIX = {
    ".ann": "brat",
    ".jsonl": "jsonl",
    ".spacy": "spacy",
    ".csv": "labels",
    ".conll": "columns",
    ".iob": "columns",
    ".bio": "columns",
    ".bmes": "columns",
    ".bioes": "columns",
    ".bilou": "columns",
}
# Layouts that nothing else has. They come under names that other formats have too.
_BY_LAYOUT: dict[str, Callable[[str], bool]] = {
    "semeval2010": looks_like_semeval2010,
    "conll04": looks_like_conll04,
    "tool-jsonl": looks_like_annotation_tool,
    "squad": looks_like_squad,
    "pairs": looks_like_sts,
}


@dataclass(frozen=True)
class Options:
    """Every option of every reader, as the command line takes them; the readers explain them."""

    format: str = "auto"
    lang: str = "en"
    encoding: str = "utf-8"
    scheme: str = "auto"
    separator: str = "auto"
    token_column: int = 0
    tag_column: int = -1
    spaces: str = "single"
    group: int = 1
    comment: str = ""
    order: str = "auto"
    header: str = "auto"
    text_column: str = ""
    label_column: str = ""
    label_separator: str = ""
    labels: str = ""
    align: str = "strict"
    spans_key: str = ""
    first_column: str = ""
    second_column: str = ""
    score_column: str = ""
    score_max: float = 0.0


def detect_format(path: Path, *, encoding: str = "utf-8") -> str:
    """The format of a file by a layout that nothing else has, else by its name, else by what
    stands in it.

    path (Path): The file, or a folder: of brat's .ann files, or of .txt files in the project's
        markup.
    encoding (str): Its encoding.
    RETURNS (str): One of FORMATS.
    RAISES (ValueError): If it cannot be told.
    """
    path = Path(path)
    if path.is_dir() and any(path.glob("*.ann")):
        return "brat"
    if path.is_dir() and any(path.glob("*.txt")):
        return "markup"
    if not path.is_file():
        raise ValueError(Errors.E310.format(path=path))
    known = _BY_SUFFIX.get(path.suffix.lower())
    if known in ("spacy", "brat"):  # not one text file
        return known
    text = read_text(path, encoding=encoding)
    for name, looks_like in _BY_LAYOUT.items():
        if looks_like(text):
            return name
    if known:
        return known
    if looks_like_markup(text):
        return "markup"
    if text.lstrip().startswith("{"):
        return "jsonl"
    if looks_like_columns(text):
        return "columns"
    if path.suffix.lower() in (".tsv", ".txt"):
        return "labels"
    raise ValueError(Errors.E317.format(path=path, expected=", ".join(FORMATS)))


def blank(lang: str) -> Language:
    """`spacy.blank(lang)` with a clear error.

    lang (str): Language code.
    RETURNS (Language): A pipeline with a tokenizer only.
    """
    try:
        return spacy.blank(lang)
    except ImportError as error:
        raise ValueError(
            Errors.E313.format(name="--lang", expected="a language code of spaCy", found=lang)
        ) from error


def read_any(path: Path, options: Options, report: Report) -> Iterator[Doc]:
    """Read a file of any known format.

    path (Path): The file, or for some formats a folder.
    options (Options): How.
    report (Report): Takes the counts.
    YIELDS (Doc): The Docs; all share one vocabulary.
    RAISES (ValueError): As the readers do.
    """
    name = options.format
    if name == "auto":
        name = detect_format(path, encoding=options.encoding)
    if name not in _READERS:
        expected = ("auto", *FORMATS)
        raise ValueError(Errors.E313.format(name="--format", expected=expected, found=name))
    yield from _READERS[name](path, blank(options.lang), report, options)


# ------------------------------------------------------------------- options to each reader's own


def _columns(path: Path, nlp: Language, report: Report, options: Options) -> Iterator[Doc]:
    return read_columns(
        path,
        nlp.vocab,
        report,
        scheme=options.scheme,
        separator=options.separator,
        token_column=options.token_column,
        tag_column=options.tag_column,
        spaces=options.spaces,
        group=options.group,
        encoding=options.encoding,
        comment=options.comment,
    )


def _labels(path: Path, nlp: Language, report: Report, options: Options) -> Iterator[Doc]:
    return read_labels(
        path,
        nlp,
        report,
        separator=options.separator,
        order=options.order,
        header=options.header,
        text_column=_column(options.text_column),
        label_column=_column(options.label_column),
        label_separator=options.label_separator,
        names=parse_names(options.labels) or None,
        encoding=options.encoding,
    )


def _jsonl(path: Path, nlp: Language, report: Report, options: Options) -> Iterator[Doc]:
    return read_jsonl(
        path,
        nlp,
        report,
        align=options.align,
        spans_key=options.spans_key,
        encoding=options.encoding,
    )


def _pairs(path: Path, nlp: Language, report: Report, options: Options) -> Iterator[Doc]:
    return read_pairs(
        path,
        nlp,
        report,
        first_column=_column(options.first_column),
        second_column=_column(options.second_column),
        score_column=_column(options.score_column),
        score_max=options.score_max,
        header=options.header,
        encoding=options.encoding,
    )


def _markup(path: Path, nlp: Language, report: Report, options: Options) -> Iterator[Doc]:
    return read_markup(path, nlp, report, encoding=options.encoding)


def _semeval2010(path: Path, nlp: Language, report: Report, options: Options) -> Iterator[Doc]:
    return read_semeval2010(path, nlp, report, encoding=options.encoding)


def _conll04(path: Path, nlp: Language, report: Report, options: Options) -> Iterator[Doc]:
    return read_conll04(path, nlp.vocab, report, encoding=options.encoding)


def _tool_jsonl(path: Path, nlp: Language, report: Report, options: Options) -> Iterator[Doc]:
    return read_annotation_tool(path, nlp, report, encoding=options.encoding)


def _brat(path: Path, nlp: Language, report: Report, options: Options) -> Iterator[Doc]:
    return read_brat(path, nlp, report, encoding=options.encoding)


def _squad(path: Path, nlp: Language, report: Report, options: Options) -> Iterator[Doc]:
    return read_squad(path, nlp, report, encoding=options.encoding)


def _spacy(path: Path, nlp: Language, report: Report, options: Options) -> Iterator[Doc]:
    return read_docs(path, nlp.vocab)


def _column(option: str) -> int | str | None:
    if not option:
        return None
    return int(option) if option.lstrip("-").isdigit() else option


_READERS: dict[str, Callable[[Path, Language, Report, Options], Iterator[Doc]]] = {
    "columns": _columns,
    "labels": _labels,
    "jsonl": _jsonl,
    "markup": _markup,
    "semeval2010": _semeval2010,
    "conll04": _conll04,
    "tool-jsonl": _tool_jsonl,
    "brat": _brat,
    "squad": _squad,
    "pairs": _pairs,
    "spacy": _spacy,
}
FORMATS = tuple(_READERS)
