"""Plain text: the file is a document, or each of its lines is one."""

from collections.abc import Iterator

from ....streams import DAMAGE, first_bytes, is_damage, open_bytes
from ..input_files import InputFile
from ..read_settings import ReadSettings
from ..rows import BadRow, Row
from .lines import MAX_LINE_BYTES, lines_of, unreadable
from .row_maker import RowMaker


def read_text_file(
    file: InputFile, settings: ReadSettings, *, start: int = 0
) -> Iterator[Row | BadRow]:
    """Read plain text. Blank lines are no documents; line ends do not belong to one.

    file (InputFile): A `.txt` file.
    settings (ReadSettings): How; see `per_line`.
    start (int): Pass over so many rows.
    YIELDS (Row | BadRow): The documents. A damaged file is no document, but its lines up to the
        damage are some.
    RAISES (ValueError): If the file cannot be read.
    """
    maker = RowMaker(file, settings)
    if not settings.per_line:
        if start == 0:
            yield _whole(maker)
        return
    limit = _n_bytes(settings.max_chars)
    limit = MAX_LINE_BYTES if limit is None else min(limit, MAX_LINE_BYTES)
    index = 0
    for number, line in lines_of(maker, limit):
        if isinstance(line, bytes) and not line.strip():
            continue
        index += 1
        if index <= start:
            continue
        if isinstance(line, BadRow):
            yield line
        elif len(line) >= limit and not line.endswith(b"\n"):
            yield maker.bad(number, f"the line has {limit:,} bytes or more, which is too long")
        else:
            yield _row(maker, number, line.rstrip(b"\r\n"))


def _whole(maker: RowMaker) -> Row | BadRow:
    path, limit = maker.file.path, _n_bytes(maker.settings.max_chars)
    try:
        with open_bytes(path) as stream:
            data = first_bytes(stream, limit)
    except DAMAGE as error:
        if not is_damage(path, error):
            raise unreadable(path, error) from error
        return maker.damaged(0, error)
    if not data:
        return maker.empty()
    if limit is not None and len(data) >= limit - 4:
        return maker.too_long(0, f"more than {maker.settings.max_chars:,}")
    return _row(maker, 0, data)


def _row(maker: RowMaker, number: int, data: bytes) -> Row | BadRow:
    decoded = maker.decode(data, number)
    if isinstance(decoded, BadRow):
        return decoded
    text, mended = decoded
    return maker.row(number, text, mended=mended)


def _n_bytes(max_chars: int | None) -> int | None:
    """Bytes that hold more than so many characters of UTF-8, even with a mark and a line end."""
    return None if max_chars is None else 4 * (max_chars + 3)
