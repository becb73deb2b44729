"""The lines of a file that may be damaged, empty or unreadable."""

from collections.abc import Iterator

from ....errors import Errors
from ....streams import DAMAGE, is_damage, numbered_lines, open_bytes
from ..rows import BadRow
from .row_maker import RowMaker

# A longer line is no document, but a file that is no lines.
MAX_LINE_BYTES = 2**28


def lines_of(maker: RowMaker, limit: int = MAX_LINE_BYTES) -> Iterator[tuple[int, bytes | BadRow]]:
    """Read the lines of a file.

    maker (RowMaker): Of the file.
    limit (int): Of a longer line, only so many bytes are given.
    YIELDS (tuple[int, bytes | BadRow]): The number of each line from 1, and the line with its end.
        Where the file is damaged, a `BadRow` stands for the rest of it; one of a file in which
        there is nothing.
    RAISES (ValueError): If the file cannot be read, be it for a failure of the disk.
    """
    number = 0
    try:
        with open_bytes(maker.file.path) as stream:
            for number, line in numbered_lines(stream, limit):
                yield number, line
    except DAMAGE as error:
        if not is_damage(maker.file.path, error):
            raise unreadable(maker.file.path, error) from error
        yield number + 1, maker.damaged(number, error)
        return
    if not number:
        yield 0, maker.empty()


def unreadable(path: str, error: BaseException) -> ValueError:
    """RETURNS (ValueError): For a file that the system does not let one read."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return ValueError(Errors.E802.format(path=path, reason=reason))
