"""Fields between separators (RFC 4180), under a row of names.

Quotes are read strictly: a quote that is never closed would otherwise swallow the rest of the file
as one field.
"""

import csv
import re
from collections.abc import Iterator

from ....errors import Errors
from ..input_files import InputFile
from ..read_settings import ReadSettings
from ..rows import BadRow, Row
from .lines import lines_of
from .row_maker import RowMaker, shown_names

_NAME = re.compile(r"[^\W\d][\w.-]{0,39}")  # what columns are called, and no sentence is
MAX_FIELD_CHARS = 2**26  # a field takes four bytes for each while it is read


def read_delimited(
    file: InputFile, settings: ReadSettings, *, start: int = 0
) -> Iterator[Row | BadRow]:
    """Read a file of fields. Blank lines are no rows. All columns hold text; an empty id is none.

    file (InputFile): A `.csv` or `.tsv` file.
    settings (ReadSettings): How; see `separator`.
    start (int): Pass over so many rows.
    YIELDS (Row | BadRow): The documents, and the rows that are none.
    RAISES (ValueError): If the file cannot be read, or its first row names no column for the text
        or one twice.
    """
    maker = RowMaker(file, settings)
    lines = _Lines(maker)
    records = _records(lines, _separator(file, settings))
    names = _header(records, file, settings)
    number = 0
    for number, record in enumerate(records, start=1):
        if number <= start:
            continue
        if isinstance(record, str):
            yield maker.bad(number, f"the row cannot be read ({record})")
        elif len(record) != len(names):
            n = f"{len(record)} fields, and the first row {len(names)}"
            yield maker.bad(number, f"the row has {n}")
        else:
            yield _row(maker, number, dict(zip(names, record, strict=True)))
    if lines.bad is not None and number + 1 > start:
        damaged = lines.bad
        yield maker.bad(number + 1 if damaged.number else 0, damaged.reason)


def column_names(file: InputFile, settings: ReadSettings) -> list[str]:
    """RETURNS (list[str]): The names in a file's first row; none of an empty or damaged file.
    RAISES (ValueError): As `read_delimited`."""
    lines = _Lines(RowMaker(file, settings))
    return _header(_records(lines, _separator(file, settings)), file, settings)


class _Lines:
    """The lines as `csv` wants them, with bytes that are no UTF-8 as lone surrogates (PEP 383)."""

    def __init__(self, maker: RowMaker) -> None:
        self.bad: BadRow | None = None  # what came in place of the rest of the file
        self._lines = lines_of(maker)

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        _, line = next(self._lines)
        if isinstance(line, BadRow):
            self.bad = line
            raise StopIteration
        return line.decode("utf-8", "surrogateescape")


def _separator(file: InputFile, settings: ReadSettings) -> str:
    return "\t" if file.format == "tsv" else settings.separator


def _records(lines: Iterator[str], separator: str) -> Iterator[list[str] | str]:
    """The fields of each row that is not blank, or what is wrong with it.

    What a quote that is never closed has swallowed is not read anew, line by line: a file that ends
    in the middle of a document would give rows that nobody has written.
    """
    reader = csv.reader(lines, delimiter=separator, strict=True)
    while True:
        # The limit is the process's: others must not find it changed.
        before = csv.field_size_limit(MAX_FIELD_CHARS)
        first = reader.line_num + 1
        try:
            record: list[str] | str = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            record = _reason(error, first, reader.line_num)
        finally:
            csv.field_size_limit(before)
        if record:
            yield record


def _reason(error: csv.Error, first: int, last: int) -> str:
    """What is wrong with a row, and how many lines have gone into it."""
    reason = str(error)
    if "new-line character" in reason:  # what follows is advice to programmers
        reason = "a carriage return without a line feed, outside of quotes"
    if last <= first:
        return f"{reason}, in line {first}"
    n = f"{last - first + 1:,} lines, {first} to {last}"
    return f"{reason}; a quote that opens in line {first} or later has made one row of {n}"


def _header(
    records: Iterator[list[str] | str], file: InputFile, settings: ReadSettings
) -> list[str]:
    """The names in the first row; none if there is no row at all."""
    first = next(records, [])
    if isinstance(first, str):
        raise ValueError(Errors.E813.format(path=file.path, reason=first))
    # Tables with numbered rows are often written with no name above the numbers.
    names = [
        _bytes(name).decode("utf-8", "replace") or f"column_{i}"
        for i, name in enumerate(first, start=1)
    ]
    if names and settings.text_column not in names:
        found = _shown_header(names, _separator(file, settings))
        raise ValueError(
            Errors.E803.format(path=file.path, column=settings.text_column, found=found)
        )
    for name in names:
        if names.count(name) > 1:
            raise ValueError(Errors.E805.format(path=file.path, column=name))
    return names


def _shown_header(names: list[str], separator: str) -> str:
    """The first row for a message. One that is not of names is a document's, and is not shown."""
    if all(map(_NAME.fullmatch, names)):
        return shown_names(names)
    n = "1 field" if len(names) == 1 else f"{len(names)} fields"
    return f"no names of columns, but a first row of {n} (with {separator!r} between fields)"


def _row(maker: RowMaker, number: int, fields: dict[str, str]) -> Row | BadRow:
    id = fields.get(maker.settings.id_column)
    mended = False
    for name, field in fields.items():
        if field.isascii():
            continue
        decoded = maker.decode(_bytes(field), number, id=id)
        if isinstance(decoded, BadRow):
            return decoded
        fields[name], replaced = decoded
        mended = mended or replaced
    text, id = fields[maker.settings.text_column], fields.get(maker.settings.id_column)
    return maker.row(number, text, id=id, columns=fields, mended=mended)


def _bytes(field: str) -> bytes:
    return field.encode("utf-8", "surrogateescape")
