"""A first reading of the whole corpus, while the workers load: how much there is, and all ids.

It takes a few microseconds for each row, and saves being told of a duplicate id after hours.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from ...files import write_json
from .id_register import IdRegister
from .input_files import InputFile
from .rows import BadRow, Row
from .shards import ReadRows

ROWS_AT_ONCE = 1000


def survey(
    files: Sequence[InputFile],
    read: ReadRows,
    ids: IdRegister,
    *,
    stop: Callable[[], bool],
    note: Path,
) -> int | None:
    """Read a corpus to its end.

    files (Sequence[InputFile]): The corpus.
    read (Callable): (file, start) -> its rows from there.
    ids (IdRegister): Takes the ids.
    stop (Callable): Whether to stop.
    note (Path): A file, written when the corpus is read, by which `surveyed` tells.
    RETURNS (int | None): How many rows there are, those that cannot be read too, but without those
        that are left out as the user asked; None if it was stopped.
    RAISES (ValueError): If an id is there twice and that is refused.
    """
    total = 0
    rows: list[Row | BadRow] = []
    for file in files:
        for row in read(file, 0):
            rows.append(_without_text(row))
            if len(rows) == ROWS_AT_ONCE:
                if stop():
                    return None
                total += _check(rows, ids)
    total += _check(rows, ids)
    ids.commit()
    write_json(note, {"rows": total})
    return total


def surveyed(note: Path) -> int | None:
    """RETURNS (int | None): What an earlier `survey` of the corpus gave; None without one."""
    if not note.exists():
        return None
    return int(json.loads(note.read_text(encoding="utf8"))["rows"])


def _without_text(row: Row | BadRow) -> Row | BadRow:
    """What the register needs to know: a thousand large documents are not held together."""
    if isinstance(row, BadRow):
        return row
    return Row(row.id, "", file=row.file, number=row.number)


def _check(rows: list[Row | BadRow], ids: IdRegister) -> int:
    ids.check(rows)
    n = sum(isinstance(row, Row) or not row.left_out for row in rows)
    rows.clear()
    return n
