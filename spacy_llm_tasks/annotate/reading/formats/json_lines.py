"""JSON lines: an object a line, with the text, perhaps an id, and anything else."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ....errors import Errors
from ..input_files import InputFile
from ..read_settings import ReadSettings
from ..rows import BadRow, Row
from .lines import MAX_LINE_BYTES, lines_of
from .row_maker import RowMaker, kind_of, known_id, shown_names

# So many rows without the text's key, and none with it: it has another name.
ENOUGH_WITHOUT = 100


def read_json_lines(
    file: InputFile, settings: ReadSettings, *, start: int = 0
) -> Iterator[Row | BadRow]:
    """Read JSON lines. Blank lines are no rows.

    file (InputFile): A `.jsonl` or `.ndjson` file.
    settings (ReadSettings): How.
    start (int): Pass over so many rows, without decoding them.
    YIELDS (Row | BadRow): The documents, and the lines that are none.
    RAISES (ValueError): If the file cannot be read, or the first objects, or all of fewer, have no
        key for the text.
    """
    maker = RowMaker(file, settings)
    column = settings.text_column
    index = 0
    # From the first object without the text's key on, rows are held back until one has it.
    has_texts = start > 0
    held: list[Row | BadRow] = []
    names: set[str] = set()
    for number, line in lines_of(maker, MAX_LINE_BYTES):
        if isinstance(line, bytes) and not line.strip():
            continue
        index += 1
        if index <= start:
            continue
        row, record = (line, None) if isinstance(line, BadRow) else _row(maker, number, line)
        if not has_texts and record is not None:
            has_texts = column in record
            names.update(record)
        if has_texts:
            yield from held
            held.clear()
        if has_texts or not names:
            yield row
        else:
            held.append(row)
        if len(held) >= ENOUGH_WITHOUT:
            break
    if held:
        found = shown_names(sorted(names))
        raise ValueError(Errors.E803.format(path=file.path, column=column, found=found))


def _row(maker: RowMaker, number: int, data: bytes) -> tuple[Row | BadRow, dict[str, Any] | None]:
    """The row of a line, and the line's object if it is one."""
    if len(data) >= MAX_LINE_BYTES and not data.endswith(b"\n"):
        return maker.bad(number, f"the line has {MAX_LINE_BYTES:,} bytes or more"), None
    decoded = maker.decode(data, number)
    if isinstance(decoded, BadRow):
        id = _id_in(data.decode("utf-8", "surrogateescape"), maker.settings.id_column)
        return replace(decoded, id=known_id(id) or decoded.id), None
    line, mended = decoded
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        place = f"{error.msg} at character {error.pos + 1}"
        return maker.bad(number, f"the line is no JSON ({place})"), None
    except (ValueError, RecursionError) as error:  # numbers without end, brackets without end
        return maker.bad(number, f"the line is no JSON ({type(error).__name__})"), None
    if not isinstance(record, dict):
        return maker.bad(number, f"the line is {kind_of(record)}, expected an object"), None
    # Escapes can make half a surrogate pair, which no UTF-8 file can hold.
    if "\\u" in line and not _is_unicode(record):
        if maker.settings.encoding_errors != "replace":
            id = record.get(maker.settings.id_column)
            return maker.no_unicode(number, "half a surrogate pair", id=id), None
        record, mended = _mend(record), True
    column, id = maker.settings.text_column, record.get(maker.settings.id_column)
    if column not in record:
        return maker.bad(number, f"there is no {column!r}", id=id), record
    text = record[column]
    if not isinstance(text, str):
        return maker.no_text(number, text, id=id), record
    return maker.row(number, text, id=id, columns=record, mended=mended), record


def _id_in(line: str, column: str) -> Any:
    """What stands in the id column of a line that may be anything."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record.get(column) if isinstance(record, dict) else None


def _is_unicode(record: Any) -> bool:
    try:
        json.dumps(record, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _mend(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_mend(item) for item in value]
    if isinstance(value, dict):
        return {_mend(key): _mend(item) for key, item in value.items()}
    return value
