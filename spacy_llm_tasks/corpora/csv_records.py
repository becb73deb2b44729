"""Records of comma-separated values (RFC 4180), with quotes read strictly."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from ..errors import Errors
from .report import Report


def csv_records(path: Path, text: str, report: Report) -> Iterator[tuple[int, list[str]]]:
    """Read the records of a file.

    A stray quote takes the lines up to the next quote, or to the end of the file, into its record.
    They are read anew if each of them is a record by itself, with as many cells as the first of the
    file; otherwise they may be the lines of one quoted cell, and are left out together.

    path (Path): The file.
    text (str): Its content.
    report (Report): Takes the records that cannot be read.
    YIELDS (tuple[int, list[str]]): The number of a record's first line, from 1, and its cells;
        blank records are left out.
    RAISES (ValueError): If the first record cannot be read.
    """
    lines = list(io.StringIO(text, newline=""))
    reader = csv.reader(lines, strict=True)
    n_cells = 0
    while True:
        first = reader.line_num + 1
        # The limit is the process's: others must not find it changed.
        before = csv.field_size_limit(len(text))
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if not n_cells:
                raise ValueError(Errors.E322.format(path=path, line=first, reason=error)) from None
            last = reader.line_num
            taken = {i + 1: _alone(lines[i], n_cells) for i in range(first, last)}
            if None in taken.values():
                detail = f"{error}, {last - first + 1} lines up to line {last}"
                report.reject("lines with a stray quote", first, detail)
            else:
                report.reject("line with a stray quote", first, lines[first - 1].strip())
                yield from ((line, cells) for line, cells in taken.items() if cells)
            continue
        finally:
            csv.field_size_limit(before)
        if any(cell.strip() for cell in cells):
            n_cells = n_cells or len(cells)
            yield first, cells


def _alone(line: str, n_cells: int) -> list[str] | None:
    """The cells of a line that is a whole record, none if it is blank; None if it is no record."""
    if not line.strip():
        return []
    if line.count('"') % 2:
        return None
    try:
        cells = next(csv.reader([line], strict=True))
    except csv.Error:
        return None
    return cells if len(cells) == n_cells else None
