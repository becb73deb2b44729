"""A file on the disk and what is read from it."""

from pathlib import PurePath

from spacy_llm_tasks.annotate.reading.input_files import InputFile, format_of
from spacy_llm_tasks.annotate.reading.inputs import read_rows
from spacy_llm_tasks.annotate.reading.read_settings import ReadSettings
from spacy_llm_tasks.annotate.reading.rows import BadRow, Row


def write(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    return InputFile(name, str(path), format_of(PurePath(name)))


def read(file, *, start=0, **settings):
    rows = list(read_rows(file, ReadSettings(**settings), start=start))
    assert all(row.file == file.name for row in rows)
    return rows


def texts(rows):
    return [row.text for row in rows if isinstance(row, Row)]


def bad(rows):
    return [(row.number, row.reason) for row in rows if isinstance(row, BadRow)]


def starts_anywhere(file, **settings):
    """Whether reading from each row on gives the rest of what a whole reading gives."""
    rows = read(file, **settings)
    return all(read(file, start=i, **settings) == rows[i:] for i in range(len(rows) + 2))
