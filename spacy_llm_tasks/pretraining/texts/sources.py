"""Texts out of files, folders, patterns and the installed Python's documentation, one at a time.

The order is that of the paths as they are given; what a folder or a pattern stands for is sorted by
name, so that it does not depend on the file system. A file that is reached twice is read once.
"""

import glob
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ...errors import Errors
from ...streams import COMPRESSIONS
from .corpus_report import CorpusReport
from .pydoc_texts import pydoc_texts
from .text_readers import (
    COMPRESSIBLE,
    INVALID,
    TXT_DOCUMENTS,
    ReadOptions,
    read_jsonl,
    read_parquet,
    read_txt,
)

PYDOC = "pydoc:"
Reader = Callable[[Path], Iterable[str]]
_READERS = {".txt": read_txt, ".jsonl": read_jsonl, ".ndjson": read_jsonl, ".parquet": read_parquet}


def read_texts(
    paths: Sequence[str | Path],
    *,
    text_column: str = "text",
    txt_documents: str = "file",
    invalid: str = "strict",
    max_characters: int | None = None,
    readers: Mapping[str, Reader] | None = None,
    report: CorpusReport | None = None,
) -> Iterator[str]:
    """Stream documents. Memory does not grow with their number, nor with the size of the files.

    paths (Sequence[str | Path]): Files (`.txt`, `.jsonl`, `.ndjson`, the same with `.gz` or `.zst`
        behind, `.parquet`, and what `readers` knows), folders, which are searched for such files at
        any depth (names that begin with a dot are passed by), patterns such as `wiki/*.jsonl.gz`,
        and "pydoc:", the English documentation inside the installed Python.
    text_column (str): Key or column of the text in JSON lines and Parquet.
    txt_documents (str): What a document is in a `.txt` file: the "file", each "line", or each
        "paragraph" (lines between blank ones).
    invalid (str): What becomes of text that is no UTF-8, and of compressed files that end too
        early: "strict" raises an error; "replace" puts U+FFFD for what cannot be decoded and "skip"
        leaves the document out, and both count it and read a damaged file up to the damage.
    max_characters (int | None): Of a longer document only so many are taken, and no more than that
        is in memory of a `.txt` file; None passes on documents of any length.
    readers (Mapping | None): Suffix -> function (path) -> texts, for other kinds of files.
    report (CorpusReport | None): Takes the counts.
    RETURNS (Iterator[str]): The documents, those of white space left out. The paths are looked up
        in this call, the files are read as one goes on.
    RAISES (ValueError): If an option is unknown, or a path names nothing or a file of another kind;
        and while reading, for a file that has no such column or is damaged.
    RAISES (ImportError): While reading, if a file needs `pyarrow` and it is not installed.
    """
    _check_option("txt_documents", txt_documents, TXT_DOCUMENTS)
    _check_option("invalid", invalid, INVALID)
    if max_characters is not None and max_characters < 1:
        raise ValueError(
            Errors.E706.format(name="max_characters", expected="1 or more", found=max_characters)
        )
    options = ReadOptions(text_column, txt_documents, invalid, max_characters)
    report = CorpusReport() if report is None else report
    own = dict(readers or {})
    files = find_files(paths, suffixes=own, report=report)
    return _texts(files, own, options, report)


def find_files(
    paths: Sequence[str | Path],
    *,
    suffixes: Iterable[str] = (),
    report: CorpusReport | None = None,
) -> list[Path | str]:
    """Find the files that paths stand for; see `read_texts`.

    paths (Sequence[str | Path]): Files, folders, patterns and "pydoc:".
    suffixes (Iterable[str]): Kinds of files besides those that are known here, such as ".spacy".
    report (CorpusReport | None): Takes the number of files in folders that are of no known kind.
    RETURNS (list[Path | str]): The files in order, each once; "pydoc:" stands for itself.
    RAISES (ValueError): If a path names nothing, or a file of another kind.
    """
    report = CorpusReport() if report is None else report
    known = {*_READERS, *suffixes}
    found: dict[Path | str, Path | str] = {}
    for given in paths:
        if str(given) == PYDOC:
            found.setdefault(PYDOC, PYDOC)
            continue
        for path in _expand(Path(given).expanduser(), known, report):
            found.setdefault(path.resolve(), path)
    return list(found.values())


def _check_option(name: str, found: str, known: Sequence[str]) -> None:
    if found not in known:
        expected = "one of " + ", ".join(known)
        raise ValueError(Errors.E706.format(name=name, expected=expected, found=found))


def _expand(path: Path, known: set[str], report: CorpusReport) -> list[Path]:
    expected = ", ".join(sorted(known))
    if path.is_dir():
        files = []
        for file in sorted(path.rglob("*"), key=lambda file: file.relative_to(path).parts):
            if any(part.startswith(".") for part in file.relative_to(path).parts):
                continue
            if file.is_file():
                if _kind(file) in known:
                    files.append(file)
                else:
                    report.skip(file.suffix or "no suffix")
        if not files:
            raise ValueError(Errors.E701.format(path=path, expected=expected))
        return files
    if not path.exists():
        matches = (Path(match) for match in glob.glob(str(path), recursive=True))
        files = sorted((match for match in matches if match.is_file()), key=lambda file: file.parts)
        if not files:
            raise ValueError(Errors.E701.format(path=path, expected=expected))
    else:
        files = [path]
    for file in files:
        if _kind(file) not in known:
            raise ValueError(Errors.E702.format(path=file, expected=expected))
    return files


def _kind(path: Path) -> str:
    """The suffix that says how to read a file, without that of its compression."""
    suffix = path.suffix.lower()
    inner = Path(path.stem).suffix.lower()
    return inner if suffix in COMPRESSIONS and inner in COMPRESSIBLE else suffix


def _texts(
    files: Sequence[Path | str],
    readers: Mapping[str, Reader],
    options: ReadOptions,
    report: CorpusReport,
) -> Iterator[str]:
    for file in files:
        report.files += 1
        for text in _read(file, readers, options, report):
            report.documents += 1
            report.characters += len(text)
            if options.max_characters is not None and len(text) > options.max_characters:
                report.capped += 1
                text = text[: options.max_characters]
            if text.strip():
                yield text
            else:
                report.dropped["empty"] += 1


def _read(
    file: Path | str, readers: Mapping[str, Reader], options: ReadOptions, report: CorpusReport
) -> Iterable[str]:
    if isinstance(file, str):
        return pydoc_texts()
    kind = _kind(file)
    if kind in readers:
        return readers[kind](file)
    return _READERS[kind](file, options, report)
