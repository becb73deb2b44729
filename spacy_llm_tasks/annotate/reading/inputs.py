"""From the paths that a user gives to rows, whatever the files are."""

from collections.abc import Callable, Iterable, Iterator

from ...streams import STDIN
from .columns import columns_of
from .formats.delimited import read_delimited
from .formats.doc_bin import read_doc_bin
from .formats.json_lines import read_json_lines
from .formats.parquet import read_parquet
from .formats.text_file import read_text_file
from .input_files import InputFile, find_inputs
from .read_settings import ReadSettings
from .rows import BadRow, Row

__all__ = ["InputFile", "ReadSettings", "check_inputs", "find_inputs", "read_rows"]

_READERS: dict[str, Callable[..., Iterator[Row | BadRow]]] = {
    "txt": read_text_file,
    "jsonl": read_json_lines,
    "csv": read_delimited,
    "tsv": read_delimited,
    "parquet": read_parquet,
    "spacy": read_doc_bin,
}


def read_rows(file: InputFile, settings: ReadSettings, *, start: int = 0) -> Iterator[Row | BadRow]:
    """Read a file from its beginning or from somewhere on; see the readers for each kind of file.

    Memory does not grow with the file (but see `read_doc_bin`), and the rows of a file and their
    ids are the same in each reading, from wherever it starts.

    file (InputFile): The file.
    settings (ReadSettings): How.
    start (int): Pass over so many of what is yielded; cheaper than reading it.
    YIELDS (Row | BadRow): Each document, and in its place what cannot be read.
    RAISES (ValueError): If the file has no column for the text, with those that it has; or if it
        cannot be read at all.
    RAISES (ImportError): If it needs `pyarrow`, which is not installed.
    """
    return _READERS[file.format](file, settings, start=start)


def check_inputs(files: Iterable[InputFile], settings: ReadSettings) -> None:
    """Look at the beginning of each file, so that one that can never be read is found before a run
    and not hours into it.

    files (Iterable[InputFile]): The files. The standard input is not touched.
    settings (ReadSettings): How they are to be read.
    RAISES (ValueError): As `read_rows`.
    """
    files = [file for file in files if file.path != STDIN]
    for file in files:
        if file.format == "jsonl":
            next(read_json_lines(file, settings), None)
        else:
            columns_of([file], settings)
