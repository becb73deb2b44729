"""One entry for every format that can be read: name it or have it detected, get Docs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import spacy
from spacy.language import Language
from spacy.tokens import Doc

from ..errors import Errors
from .columns import looks_like_columns, read_columns
from .files import read_docs, read_text
from .jsonl import read_jsonl
from .labels import parse_names, read_labels
from .markup import looks_like_markup, read_markup
from .report import Report

FORMATS = ("columns", "labels", "jsonl", "markup", "spacy")
_BY_SUFFIX = {
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


def detect_format(path: Path, *, encoding: str = "utf-8") -> str:
    """The format of a file by its name, else by what stands in it.

    path (Path): The file, or a folder of .txt files in the project's markup.
    encoding (str): Its encoding.
    RETURNS (str): One of FORMATS.
    RAISES (ValueError): If it cannot be told.
    """
    path = Path(path)
    if path.is_dir() and any(path.glob("*.txt")):
        return "markup"
    if not path.is_file():
        raise ValueError(Errors.E310.format(path=path))
    known = _BY_SUFFIX.get(path.suffix.lower())
    if known:
        return known
    text = read_text(path, encoding=encoding)
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

    path (Path): The file.
    options (Options): How.
    report (Report): Takes the counts.
    YIELDS (Doc): The Docs; all share one vocabulary.
    RAISES (ValueError): As the readers do.
    """
    name = options.format
    if name == "auto":
        name = detect_format(path, encoding=options.encoding)
    nlp = blank(options.lang)
    if name == "columns":
        yield from read_columns(
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
    elif name == "labels":
        yield from read_labels(
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
    elif name == "jsonl":
        yield from read_jsonl(
            path,
            nlp,
            report,
            align=options.align,
            spans_key=options.spans_key,
            encoding=options.encoding,
        )
    elif name == "markup":
        yield from read_markup(path, nlp, report, encoding=options.encoding)
    elif name == "spacy":
        yield from read_docs(path, nlp.vocab)
    else:
        raise ValueError(
            Errors.E313.format(name="--format", expected=("auto", *FORMATS), found=name)
        )


def _column(option: str) -> int | str | None:
    if not option:
        return None
    return int(option) if option.lstrip("-").isdigit() else option
