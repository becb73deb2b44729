"""Documents out of single files: plain text, JSON lines and Parquet, plain or compressed.

Memory holds one document (or one row batch of a Parquet file) at a time, whatever the file's size.
Text is UTF-8. What is not is an error, or is replaced or left out and counted, as `invalid` says;
the same choice holds for compressed files that end too early or are damaged: "strict" is an error,
otherwise what stands before the damage is used and the damage is counted.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ...errors import Errors
from ...streams import DAMAGE, is_damage, numbered_lines, open_bytes, pyarrow
from .corpus_report import CorpusReport

INVALID = ("strict", "replace", "skip")
TXT_DOCUMENTS = ("file", "line", "paragraph")
COMPRESSIBLE = (".txt", ".jsonl", ".ndjson")  # Parquet compresses inside
# A longer line is no document that one would train on, but a file that is no JSON lines.
MAX_LINE_BYTES = 2**28
_BLOCK = 2**20
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class ReadOptions:
    """How files are read; see `sources.read_texts`."""

    text_column: str = "text"
    txt_documents: str = "file"
    invalid: str = "strict"
    max_characters: int | None = None

    @property
    def max_bytes(self) -> int | None:
        """RETURNS (int | None): Bytes that hold more than `max_characters` in UTF-8, even without a
        byte order mark and a last character that was cut."""
        return None if self.max_characters is None else 4 * (self.max_characters + 2)


def read_txt(path: Path, options: ReadOptions, report: CorpusReport) -> Iterator[str]:
    """Read plain text: the file, each line or each run of lines between blank ones is a document.

    path (Path): `.txt`, `.txt.gz` or `.txt.zst`.
    options (ReadOptions): How.
    report (CorpusReport): Takes the counts.
    YIELDS (str): The documents.
    RAISES (ValueError): With `invalid="strict"`, for bytes that are no UTF-8 and damaged files.
    """
    if options.txt_documents == "file":
        data = _whole(path, options, report)
        text = _decode(data, path, 1, options, report)
        if text is not None:
            yield text
        return
    passage: list[bytes] = []
    first, n_bytes = 1, 0
    limit = MAX_LINE_BYTES if options.max_bytes is None else options.max_bytes
    for number, line in _lines(path, limit, options, report):
        content = line.rstrip(b"\r\n")
        if options.txt_documents == "line":
            first, passage = number, [content]
        elif content.strip():
            first = first if passage else number
            if options.max_bytes is None or n_bytes < options.max_bytes:
                passage.append(content)
                n_bytes += len(content) + 1
            continue
        if any(passage):
            text = _decode(b"\n".join(passage), path, first, options, report)
            if text is not None:
                yield text
        passage, n_bytes = [], 0
    if any(passage):
        text = _decode(b"\n".join(passage), path, first, options, report)
        if text is not None:
            yield text


def read_jsonl(path: Path, options: ReadOptions, report: CorpusReport) -> Iterator[str]:
    """Read JSON lines: the value of `text_column` of each object is a document.

    path (Path): `.jsonl` or `.ndjson`, or one of these with `.gz` or `.zst` behind.
    options (ReadOptions): How.
    report (CorpusReport): Takes lines that are no JSON or have no text, with file and line.
    YIELDS (str): The documents.
    RAISES (ValueError): If no line has the column; with `invalid="strict"` also for bytes that are
        no UTF-8 and damaged files.
    """
    column = options.text_column
    n_with = 0
    found: str | None = None
    for number, data in _lines(path, MAX_LINE_BYTES, options, report):
        place = f"{path}:{number}"
        if len(data) >= MAX_LINE_BYTES:
            report.reject("line longer than 256 MB", place)
            continue
        line = _decode(data, path, number, options, report)
        if line is None or not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            report.reject("line that is no JSON", place, str(error))
            continue
        if not isinstance(record, dict) or column not in record:
            names = ", ".join(record) if isinstance(record, dict) else type(record).__name__
            found = names if found is None else found
            report.reject(f"line without {column!r}", place, names)
            continue
        n_with += 1
        text = record[column]
        if not isinstance(text, str):
            report.reject(f"{column!r} that is no text", place, repr(text))
            continue
        unicode = _mend_surrogates(text, place, options, report)
        if unicode is not None:
            yield unicode
    if found is not None and not n_with:
        raise ValueError(Errors.E704.format(path=path, column=column, found=found or "no names"))


def read_parquet(path: Path, options: ReadOptions, report: CorpusReport) -> Iterator[str]:
    """Read a column of a Parquet file, some rows at a time.

    path (Path): The file.
    options (ReadOptions): How.
    report (CorpusReport): Takes rows without a text.
    YIELDS (str): The documents.
    RAISES (ValueError): If the file is none of Parquet or damaged, or has no such column of text.
    RAISES (ImportError): If `pyarrow` is not installed.
    """
    pa, parquet = pyarrow("pyarrow"), pyarrow("pyarrow.parquet")
    column = options.text_column
    number = 0
    try:
        with closing(parquet.ParquetFile(path, pre_buffer=False)) as file:
            schema = file.schema_arrow
            if column not in schema.names:
                found = ", ".join(schema.names)
                raise ValueError(Errors.E704.format(path=path, column=column, found=found))
            kind = schema.field(column).type
            kind = kind.value_type if pa.types.is_dictionary(kind) else kind
            if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                found = f"{column} of type {kind}"
                raise ValueError(Errors.E704.format(path=path, column=column, found=found))
            for batch in file.iter_batches(batch_size=256, columns=[column]):
                values = batch.column(0)
                if pa.types.is_dictionary(values.type):
                    values = values.dictionary_decode()
                # As bytes, because Parquet does not promise that its strings are UTF-8.
                for data in values.cast(pa.large_binary()).to_pylist():
                    number += 1
                    if data is None:
                        report.reject(f"row without {column!r}", f"{path}:{number}")
                        continue
                    text = _decode(data, path, number, options, report)
                    if text is not None:
                        yield text
    except (pa.ArrowException, OSError) as error:
        message = Errors.E712.format(path=path, line=number, reason=str(error).splitlines()[0])
        raise ValueError(message) from error


def _lines(
    path: Path, limit: int, options: ReadOptions, report: CorpusReport
) -> Iterator[tuple[int, bytes]]:
    """(number from 1, line with its end). Of a line longer than `limit` bytes the rest is passed
    over, and is never in memory."""
    number = 0
    try:
        with open_bytes(path) as stream:
            for number, line in numbered_lines(stream, limit):
                yield number, line
    except DAMAGE as error:
        _damaged(path, number, error, options, report)


def _whole(path: Path, options: ReadOptions, report: CorpusReport) -> bytes:
    """All bytes of a file, or as many as can be used."""
    limit = options.max_bytes
    blocks: list[bytes] = []
    n_bytes = 0
    with open_bytes(path) as stream:
        try:
            while (limit is None or n_bytes < limit) and (block := stream.read(_BLOCK)):
                blocks.append(block)
                n_bytes += len(block)
        except DAMAGE as error:
            _damaged(path, b"".join(blocks).count(b"\n"), error, options, report)
    return b"".join(blocks)[:limit].removeprefix(_BOM)


def _damaged(
    path: Path, line: int, error: Exception, options: ReadOptions, report: CorpusReport
) -> None:
    if not is_damage(path, error):
        raise error  # the disk's or the network's own failure
    if options.invalid == "strict":
        raise ValueError(Errors.E705.format(path=path, line=line, reason=error)) from error
    report.repair("damaged file (read up to the damage)", f"{path}:{line}", str(error))


def _decode(
    data: bytes, path: Path, line: int, options: ReadOptions, report: CorpusReport
) -> str | None:
    """The text, or None for one that is left out. `line` is where it begins."""
    limit = options.max_bytes
    if limit is not None and len(data) >= limit - len(_BOM):
        data = _whole_characters(data[:limit])
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line += data.count(b"\n", 0, error.start)
        detail = f"byte {data[error.start]:#04x}, {error.reason}"
    place = f"{path}:{line}"
    if options.invalid == "strict":
        raise ValueError(Errors.E703.format(place=place, detail=detail)) from None
    if options.invalid == "skip":
        report.reject("text that is no UTF-8", place, detail)
        return None
    report.repair("text that is no UTF-8 (bytes replaced)", place, detail)
    return data.decode("utf-8", errors="replace")


def _whole_characters(data: bytes) -> bytes:
    """The bytes without a last character that was cut: one starts in the last three."""
    for back in range(1, min(4, len(data)) + 1):
        lead = data[-back]
        if lead < 0x80:
            return data
        if lead >= 0xC0:
            needed = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            return data if back >= needed else data[:-back]
    return data


def _mend_surrogates(
    text: str, place: str, options: ReadOptions, report: CorpusReport
) -> str | None:
    """JSON's escapes can make half a surrogate pair, which no UTF-8 file can hold."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        if options.invalid != "replace":
            report.reject("text with half a surrogate pair", place)
            return None
        report.repair("text with half a surrogate pair (replaced)", place)
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
